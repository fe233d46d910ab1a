"""The kit's fixtures, and `--faults`: the tests marked `exhaustive` run only with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit import Nursery, compiled_shim


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    nursery = Nursery(compiled_shim(tmp_path_factory.mktemp("shim")))
    yield nursery
    nursery.close()
