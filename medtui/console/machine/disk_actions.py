"""Machine: prune checkpoints, clear decoded data. Each shows what goes, asks, and reports what was done."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from engine.contract.wire.errors import MedtuiError
from engine.contract.wire.text import format_bytes
from medtui.client.pruning import Prunable, prunable_runs, prune_all
from medtui.console.shell.app_context import AppContext
from medtui.console.shell.dialogs import Answer, Question
from medtui.machine.cache_removal import Stored, remove_each
from medtui.machine.caches import DecodedCopy
from medtui.machine.storage import Storage

LISTED = 8  # of what goes


async def prune(context: AppContext) -> str:
    """As `medtui runs prune` does. Raises MedtuiError."""
    plans, _ = await asyncio.to_thread(prunable_runs, context.workspace)
    going = [plan for plan in plans if plan.files]
    kept = sum(bool(plan.kept) for plan in plans)
    if not going:
        resumable = f" {kept} can be resumed and keep{'s' * (kept == 1)} them." if kept else ""
        return f"No checkpoints to prune: no run here has any that it does not need.{resumable}"
    size = format_bytes(sum(plan.bytes for plan in going))
    words = f"Delete {size} of checkpoints of {_count(len(going), 'run')} permanently?"
    words += " Best weights, tables and reports stay, and so do the checkpoints of runs that can be resumed."
    if await _asked(context, words, [_line(plan) for plan in going]) != "yes":
        return ""
    freed, troubles = await asyncio.to_thread(prune_all, going, context.workspace)
    return _report(f"Freed {format_bytes(freed)}.", troubles)


async def clear_cache(context: AppContext, storage: Storage) -> str:
    """As `medtui data prune` does."""
    going, completed = storage.unneeded, storage.for_completed
    left = f" {_count(len(completed), 'copy', 'copies')}, {format_bytes(sum(copy.bytes for copy in completed))}, "
    left += "only of completed runs: `medtui data prune --completed` deletes these too."
    if not going:
        return f"The cache holds nothing that no run uses.{left if completed else ''}"
    words = f"Delete {_what(going)}, {format_bytes(sum(one.bytes for one in going))}? A run decodes its data again when"
    words += " it finds none. Runs of other workspaces, and engines of other machines, are not seen from here."
    lines = [f"{one.title}  {format_bytes(one.bytes)}" for one in going]
    if await _asked(context, words, lines, "it" if len(going) == 1 else "them") != "yes":
        return ""
    removed, troubles = await asyncio.to_thread(remove_each, going, context.workspace)
    return _report(f"Freed {format_bytes(sum(one.bytes for one in removed))}.", troubles)


def _what(going: Sequence[Stored]) -> str:
    """`2 decoded copies and 1 unfinished file`."""
    copies = sum(isinstance(one, DecodedCopy) for one in going)
    counts = [(copies, "decoded copy", "decoded copies"), (len(going) - copies, "unfinished file", "unfinished files")]
    return " and ".join(_count(number, one, several) for number, one, several in counts if number)


async def _asked(context: AppContext, words: str, lines: list[str], them: str = "them") -> str | None:
    more = [f"… and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    answers: list[Answer] = [("no", f"keep {them}"), ("yes", f"delete {them}")]
    return await context.push_screen_wait(Question(words, answers, lines[:LISTED] + more))


def _line(plan: Prunable) -> str:
    names = ("unfinished files" if file.name[0] == "." else file.name.removesuffix(file.suffix) for file in plan.files)
    return f"{plan.run.name}  {format_bytes(plan.bytes)} in {', '.join(dict.fromkeys(names))}"


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def _report(words: str, troubles: Sequence[MedtuiError]) -> str:
    if not troubles:
        return words
    more = f" ({len(troubles) - 1} more like it)" if len(troubles) > 1 else ""
    return f"{words} {troubles[0]}{more}"
