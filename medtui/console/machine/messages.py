"""What the workers of Machine post."""

from __future__ import annotations

from textual.message import Message

from medtui.client.smoke import Step
from medtui.console.machine.text import WorkspaceState
from medtui.machine.checks import Check
from medtui.machine.hardware import Hardware
from medtui.machine.storage import Storage


class PaneResized(Message):
    """A pane has another size than the one its text was made for."""


class HardwarePolled(Message):
    def __init__(self, hardware: Hardware) -> None:
        super().__init__()
        self.hardware = hardware


class WorkspacePolled(Message):
    def __init__(self, state: WorkspaceState) -> None:
        super().__init__()
        self.state = state


class StorageRead(Message):
    """What is known of the disk so far."""

    def __init__(self, storage: Storage, seconds: float = 0.0) -> None:
        """`seconds`: that reading it has taken so far."""
        super().__init__()
        self.storage, self.seconds = storage, seconds


class Diagnosed(Message):
    """What the engine reports about itself."""

    def __init__(self, facts: dict[str, str] | None) -> None:
        super().__init__()
        self.facts = facts


class Checks(Message):
    def __init__(self, checks: list[Check]) -> None:
        super().__init__()
        self.checks = checks


class Report(Message):
    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words


class Smoked(Message):
    """Progress of the smoke test."""

    def __init__(self, steps: tuple[Step, ...], words: str = "", *, failed: bool = False) -> None:
        super().__init__()
        self.steps, self.words, self.failed = steps, words, failed

    @property
    def over(self) -> bool:
        return bool(self.words)
