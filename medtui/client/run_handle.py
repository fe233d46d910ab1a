"""A front end's handle on a run: to see it, to command it, to let go of it."""

from __future__ import annotations

from typing import Protocol

from engine.contract.machine.process_identity import ProcessIdentity
from engine.contract.store.run_directory import RunDirectory
from medtui.client.view import Request, RunView


class RunHandle(Protocol):
    """Of an engine of our own (`own_engine.py`), of any run (`attached.py`), or of one that has no run yet."""

    @property
    def view(self) -> RunView: ...

    @property
    def engine(self) -> ProcessIdentity | None: ...

    @property
    def run_directory(self) -> RunDirectory | None: ...

    def command(self, name: str, by: str) -> Request | None: ...

    def close(self) -> None: ...
