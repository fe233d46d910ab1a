"""What a job asks of a disk before it begins, and what it says where that is not there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.contract.store.model_bundle import ModelBundle
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.errors import OutputError
from engine.contract.wire.jobs import Export
from engine.run.disk import check_disk_space
from engine.run.export_job import _bytes_of


def test_a_full_disk_names_the_option_that_puts_the_files_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for there in (SimpleNamespace(bytes=10, files=None), SimpleNamespace(bytes=10**12, files=3)):
        monkeypatch.setattr("engine.run.disk.disk_space", lambda _, there=there: there)
        with pytest.raises(OutputError, match="choose an --output on another disk"):
            check_disk_space(tmp_path, 1000, "An export", "an --output")
        with pytest.raises(OutputError, match="choose a --workspace on another disk"):
            check_disk_space(tmp_path, 1000, "A run of this recipe")


def test_an_export_asks_for_about_what_it_writes(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.safetensors").write_bytes(b"\0" * 525_000)
    bundle = cast(ModelBundle, SimpleNamespace(weights=SimpleNamespace(file="best.safetensors"), features=None))

    def asked(**options: Any) -> int:
        return _bytes_of(Export(id="start", by="test", run="run", output="model", **options), run, bundle)

    assert 525_000 < asked(formats=[]) < 1_000_000
    assert asked(formats=[]) < asked(formats=["onnx"]) < asked(formats=["onnx", "torch"])
    assert asked(formats=["onnx"]) < asked(formats=["onnx"], int8=True) < 13_000_000
