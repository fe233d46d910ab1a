"""Data sets, weights, and what uses the disk, as text: functions of values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.text import Text

from engine.contract.data.card import total
from engine.contract.data.datasets import SIZES
from engine.contract.files.paths import expanded
from engine.contract.wire.text import format_bytes
from medtui.actions import Action
from medtui.console.widgets.bars import bar
from medtui.machine.caches import DecodedCopy
from medtui.machine.storage import ModelWeights, RunSize, Storage
from medtui.text import clean, shortened

MARKS = {"unverified": ("?", "yellow"), "official": ("✓", "green"), "damaged": ("✗", "bold red")}
WORDS = {"unverified": "not verified yet", "official": "MD5 ok", "damaged": "not the official file"}
SHORT = {"unverified": ", unverified", "official": "", "damaged": ", damaged"}  # where there is little room
TABLE = 58  # columns from which every set stands in a table
NAME, CELL, USE, COUNT, BYTES = 15, 11, 20, 4, 10  # columns
LEAST_NAME = 12  # columns of a run's name
ENTRIES = 12  # of a list at most, where there is room
READING = "reading …"


def short_path(path: Path, width: int) -> str:
    """With `~` for the home; its end where it is too long."""
    text, home = clean(str(path), 500), str(expanded("~"))
    text = f"~{text[len(home) :]}" if text.startswith(f"{home}/") else text
    return text if len(text) <= width else f"…{text[len(text) - width + 1 :]}"


# ---- data sets and weights -------------------------------------------------------------------------------------------


def data_text(storage: Storage, width: int, actions: Mapping[str, Action]) -> Text:
    """Which sets and weights are here, how large, verified or not, and where."""
    if storage.files is None:
        return Text(READING, "dim")
    text = Text(no_wrap=True, overflow="ellipsis")
    if width >= TABLE:
        _append_table(text, storage)
    _append_files(text, storage, width, in_table=width >= TABLE)
    sets = {file.facts.name for file in storage.files}
    here = {one.file.facts.name for one in storage.data}
    fetch = actions["machine.fetch"].key
    text.append(f"{len(here)} of {len(sets)} official sets, {fetch} fetches\n", "dim")
    _append_generated(text, storage)
    _append_own(text, storage, width)
    for folder, reason in (storage.folders or {}).items():
        text.append(f"{short_path(folder, 40)} is skipped: {clean(reason, 200)}\n", "yellow")
    text.append("weights\n", "bold")
    for weights in storage.weights or ():
        _append_weights(text, weights, width)
    text.rstrip()
    return text


def _append_table(text: Text, storage: Storage) -> None:
    """A row per set, a column per size: what is here, and how large at most what is not."""
    files, here = storage.files or (), {(one.file.facts.name, one.file.size): one.bytes for one in storage.data}
    titles = "".join(f"{f'{size} px':<{CELL}}" for size in SIZES)
    text.append(f"{'':<{NAME}}{titles}".rstrip() + "\n", "bold")
    for name in dict.fromkeys(file.facts.name for file in files):
        text.append(f"{name:<{NAME}}")
        for file in (file for file in files if file.facts.name == name):
            found = here.get((name, file.size))
            mark, style = MARKS.get(file.state, ("≤", "dim"))
            size = format_bytes(file.facts.largest(file.size) if found is None else found)
            text.append(f"{f'{mark} {size}':<{CELL}}", style)
        text.append("\n")
    text.append("✓ MD5 ok  ? not verified yet  ✗ not the official file\n≤ at most this large when fetched\n", "dim")


def _append_files(text: Text, storage: Storage, width: int, *, in_table: bool) -> None:
    """A line for each file that is here; next to a table, where it is."""
    for one in storage.data:
        file = one.file
        mark, style = MARKS[file.state]
        words = f"{file.facts.name} {file.size} px, {format_bytes(one.bytes)}, {WORDS[file.state]}"
        if width < TABLE:
            words = f"{file.facts.name} {file.size}, {format_bytes(one.bytes)}{SHORT[file.state]}"
        text.append(f"{mark} ", style)
        text.append(words)
        left = width - len(words) - 4
        if file.path is not None and left > 8:
            text.append(f"  {short_path(file.path if in_table else file.path.parent, left)}", "dim")
        text.append("\n")


def _append_generated(text: Text, storage: Storage) -> None:
    for facts in storage.generated:
        copies = [copy for copy in storage.copies or () if copy.key.startswith(f"{facts.name}-v")]
        size = format_bytes(sum(copy.bytes for copy in copies))
        text.append("✓ ", "green")
        text.append(f"{facts.name} 28 px, {f'generated, {size}' if copies else 'made when first used'}\n")


def _append_own(text: Text, storage: Storage, width: int) -> None:
    for card in storage.cards:
        words = f"  {total(card.images):,} images, {card.size} px"
        text.append("✓ ", "green")
        text.append(f"{short_path(Path(card.path), max(12, width - 4 - len(words)))}{words}\n")


def _append_weights(text: Text, weights: ModelWeights, width: int) -> None:
    model = weights.model
    text.append(f"{model.name:<19}")
    if model.weights is None:
        text.append("none published\n", "dim")
    elif weights.bytes is None:
        why = f": {clean(weights.trouble, 100)}" if weights.trouble else ""
        text.append(f"missing, {format_bytes(model.weights.bytes)}{why}\n", "yellow")
    else:
        words = f"{model.weights.trained_on}, {format_bytes(weights.bytes)}  "
        text.append("✓ ", "green")
        text.append(words)
        text.append(f"{short_path(model.weights.path, max(12, width - 20 - len(words)))}\n", "dim")


# ---- disk ------------------------------------------------------------------------------------------------------------


def disk_text(storage: Storage, width: int, rows: int, actions: Mapping[str, Action]) -> Text:
    """What uses the disk, what of it may go and by which key; then the largest runs, and each decoded copy."""
    if storage.files is None:
        return Text(READING, "dim")
    uses = _uses(storage, actions)
    largest = max((size for _, _, size in uses), default=0)
    text = Text(no_wrap=True, overflow="ellipsis")
    for title, count, size in uses:
        _append_use(text, title, count, size, largest, width)
    if not storage.done:
        text.append(f"{READING}\n", "dim")
    left = rows - len(uses) - (not storage.done)
    copies = sorted(storage.copies or (), key=lambda copy: -copy.bytes)
    runs = sorted(storage.runs or (), key=lambda run: -run.bytes)
    for_copies = min(len(copies), max(0, left - 2) // 3, ENTRIES) if runs else min(len(copies), max(0, left - 1))
    _append_runs(text, runs[: max(0, left - for_copies - 2)], width)
    _append_copies(text, copies[:for_copies], width)
    text.rstrip()
    return text


def _uses(storage: Storage, actions: Mapping[str, Action]) -> list[tuple[str, int | None, int]]:
    """Title, how many, and bytes; what a key deletes is named by it."""
    runs, archived, copies = storage.runs or (), storage.archived or (), storage.copies or ()
    prunable, unneeded = storage.prunable, storage.unneeded if storage.done else []
    own = [copy for copy in copies if copy.is_own]
    decoded = [copy for copy in copies if not copy.is_own]
    published = {one.model.weights.file_name: one.bytes for one in storage.weights or () if one.model.weights}
    may_go = [
        (f"  {actions['machine.prune'].key} prunes", len(prunable), sum(run.prunable for run in prunable)),
        (f"  {actions['machine.clear'].key} clears", len(unneeded), sum(one.bytes for one in unneeded)),
    ]
    found: list[tuple[str, int | None, int]] = []
    if storage.runs is not None:
        found.append(("runs", len(runs), sum(run.bytes for run in runs)))
        found.append(("  checkpoints", None, sum(run.checkpoints for run in runs)))
        found += may_go[:1] if prunable else []
    if storage.archived is not None:
        found.append(("archived runs", len(archived), sum(run.bytes for run in archived)))
    if storage.copies is not None:
        found.append(("decoded data sets", len(decoded), sum(copy.bytes for copy in decoded)))
        found.append(("converted own images", len(own), sum(copy.bytes for copy in own) + storage.parts))
        found += may_go[1:] if unneeded else []
    found.append(("data set files", len(storage.data), sum(one.bytes for one in storage.data)))
    here = [size for size in published.values() if size is not None]
    return [*found, ("weights", len(here), sum(here))]


def _append_use(text: Text, title: str, count: int | None, size: int, largest: int, width: int) -> None:
    key = title.startswith("  ") and count is not None
    text.append(f"{title:<{USE}}", "yellow" if key else "" if title.startswith(" ") else "bold")
    text.append(f"{'' if count is None else count:>{COUNT}}{format_bytes(size):>{BYTES}} ", "yellow" if key else "")
    left = width - USE - COUNT - BYTES - 1
    if left >= 6:
        text.append_text(bar(size, largest, left))
    text.append("\n")


def _append_runs(text: Text, runs: Sequence[RunSize], width: int) -> None:
    if not runs:
        return
    text.append("largest runs\n", "bold")
    facts = [f"{format_bytes(run.bytes):>{BYTES}}  {_state(run, width)}" for run in runs]
    left = max(LEAST_NAME, width - max(map(len, facts)) - 1)  # the same for all: sizes stand below each other
    for run, words in zip(runs, facts, strict=True):
        text.append(f"{_end_of(clean(run.name, 200), left):<{left}} ")
        text.append(f"{words}\n", "yellow" if run.prunable else "")


def _state(run: RunSize, width: int) -> str:
    freed = f", {format_bytes(run.prunable)} prunable" if run.prunable and width >= TABLE else ""
    return f"{clean(run.state, 24)}{freed}"


def _end_of(name: str, width: int) -> str:
    """Of a name that is too long the end, which tells runs apart."""
    return name if len(name) <= width else f"…{name[1 - width :]}"


def _append_copies(text: Text, copies: Sequence[DecodedCopy], width: int) -> None:
    if not copies:
        return
    text.append("decoded copies\n", "bold")
    name = max(12, min(24, width - 24))
    for copy in copies:
        why = _describe_need(copy, width - name - BYTES - 3)
        title = f"{shortened(clean(copy.title, 60), name):<{name}}"
        text.append(f"{title} {format_bytes(copy.bytes):>{BYTES}}  {why}\n", "dim" if copy.used_by else "")


def _describe_need(copy: DecodedCopy, room: int) -> str:
    """By what; no name where too little of it would be read."""
    if not copy.used_by:
        return "not needed"
    more = f" and {len(copy.used_by) - 1} more" if len(copy.used_by) > 1 else ""
    name = clean(copy.used_by[0], 100)
    left = room - len(f"needed by {more}")
    return f"needed by {shortened(name, left)}{more}" if left >= min(len(name), LEAST_NAME) else "needed"


def count_of_states(runs: Sequence[RunSize]) -> str:
    """`12: 9 completed, 2 crashed, 1 training`."""
    counts = Counter(clean(run.state, 30) for run in runs)
    return f"{len(runs)}: " + ", ".join(f"{count} {state}" for state, count in counts.most_common()) if runs else "none"
