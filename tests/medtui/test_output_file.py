"""What a command writes because its user named it never replaces a device, a link, or what the command reads."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from driving import json_lines, medtui

from engine.contract.wire.errors import OutputError
from medtui.client.output_file import check_output
from medtui.sentences import OutputFile


def refusal(path: Path, *, force: bool = True, **more: object) -> str | None:
    try:
        check_output(path, force=force, **more)  # type: ignore[arg-type]
    except OutputError as error:
        return error.code
    return None


def test_only_a_regular_file_is_replaced_and_only_on_request(tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    assert refusal(mine, force=False) is None, "nothing is there"
    mine.write_text("mine")
    assert refusal(mine, force=False) == OutputFile.EXISTS.code
    assert refusal(mine) is None
    assert refusal(tmp_path / "nowhere" / "new.csv") == OutputFile.NO_FOLDER.code


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a file", "link to nothing", "device"])
def test_anything_else_stays_also_with_force(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    (tmp_path / "other").write_text("other")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind.startswith("link"):
        path.symlink_to(tmp_path / ("other" if kind == "link to a file" else "gone"))
    else:
        path = Path("/dev/null")
    assert refusal(path) == OutputFile.NO_FILE.code
    assert (tmp_path / "other").read_text() == "other"


def test_no_command_replaces_what_it_reads_by_whatever_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "table.csv"
    table.write_text("file,label\n")
    (tmp_path / "alias").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in (table, Path("table.csv"), tmp_path / "alias" / "table.csv"):
        assert refusal(name, inputs=[str(tmp_path), str(table)]) == OutputFile.INPUT.code


@pytest.mark.parametrize(
    ("words", "victim"),
    [
        (("data", "explore", "table.csv", "--html", "table.csv", "--force"), "table.csv"),
        (("data", "explore", "cells", "--html", "page.html"), "page.html"),
        (("data", "synth", "breastmnist", "--limit", "4", "-o", "new.npz"), "new.card.json"),
        (("data", "synth", "breastmnist", "--limit", "4", "-o", "pipe.npz", "--force"), "pipe.npz"),
        (("data", "export", "cells", "-o", "pipe.npz", "--force"), "pipe.npz"),
        (("data", "export", "cells", "-o", "link.npz", "--force"), "link.npz"),
        (("data", "synth", "breastmnist", "--limit", "4", "-o", "/", "--force"), "/"),
        (("data", "export", "cells", "-o", ".", "--force"), "."),
        (("data", "explore", "cells", "--html", "link.npz", "--force"), "link.npz"),
    ],
    ids=" ".join,
)
def test_a_refused_output_is_one_sentence_and_nothing_changes(
    words: tuple[str, ...], victim: str, tmp_path: Path
) -> None:
    (tmp_path / "README.md").touch()
    (tmp_path / "table.csv").write_text("file,label\na.png,1\n")
    for name in ("page.html", "new.card.json"):
        (tmp_path / name).write_text("mine")
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "link.npz").symlink_to("page.html")
    before = (tmp_path / victim).lstat()
    done = medtui(*words, "--json", cwd=tmp_path)
    error = json_lines(done.stdout)[-1]["error"]
    assert (done.returncode, error["kind"]) == (2, "outputs"), done.stdout
    assert victim in error["message"]
    after = (tmp_path / victim).lstat()
    assert (after.st_ino, after.st_size, stat.S_IFMT(after.st_mode)) == (
        before.st_ino, before.st_size, stat.S_IFMT(before.st_mode),
    )  # fmt: skip
