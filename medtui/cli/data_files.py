"""`medtui data info|import|export|synth`: what is known of a data set, and its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtui.cli.completion import official_data_sets
from medtui.cli.data_source import KeptSizeOption, SourceArgument, section_at_own_size, section_of
from medtui.cli.options import DataOption, JsonOption, OfflineOption, PutDataOption, WorkspaceOption, path_named

if TYPE_CHECKING:
    from engine.contract.data.archive_card import ArchiveCard
    from engine.contract.data.card import DataCard
    from engine.contract.data.datasets import DatasetFacts
    from medtui.client.data_sets import DataFile
    from medtui.client.inputs import Inputs

OWN = ("folder", "csv", "npz")  # keys of sources that hold a user's own images
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", parser=path_named, help="The .npz file to write.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the output file if it exists.")]


def info(
    source: SourceArgument = None,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Show what is known about a data set without reading it."""
    from engine.contract.recipe.sources import DatasetSection, data_source
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import DataError, UsageError
    from medtui.cli.run import data_folders
    from medtui.client.data_sets import inventory, search_paths
    from medtui.output import print_json
    from medtui.sentences import Exploring

    ws, folders = find_workspace(workspace), data_folders(data)
    section = section_of(source or [], None)
    if section is None:
        raise UsageError(Exploring.NO_SOURCE)
    found = data_source(DatasetSection.model_validate(section))
    paths = search_paths(ws, folders)
    cards = _cards(section, paths.here)
    facts, state = cards.complete(found.known_facts(paths), section), found.status(paths)
    files = [file for file in inventory(ws, folders) if file.facts.name == facts.name and facts.archives]
    if json:
        print_json(_info_values(facts, state.description, files) | cards.unread(section) | cards.values)
    else:
        _print_lines([*_info_lines(facts, files, cards.unread(section)), state.description, *cards.lines])
    if not state.ok and any(section.get(kind) for kind in OWN):  # an official set may be fetched, these must be there
        raise typer.Exit(DataError.exit_code)


class _Cards:
    """What was written when own images were last read, or next to an archive."""

    def __init__(self, card: DataCard | None, archive: ArchiveCard | None) -> None:
        self._card, self._archive = card, archive

    def complete(self, facts: DatasetFacts, section: dict[str, Any]) -> DatasetFacts:
        """With what the card next to an archive says, where the section does not know it."""
        from dataclasses import replace

        if (made := self._archive) is None:
            return facts
        known = replace(facts, licence=made.licence, synthetic=facts.synthetic or made.synthetic)
        if self._card is not None or facts.splits:
            return known
        names = facts.class_names or made.class_names
        task = facts.task if section.get("task") else made.task
        return replace(known, task=task, channels=made.channels, class_names=names, splits=made.images)

    def unread(self, section: dict[str, Any]) -> dict[str, Any]:
        """What is not known of own images that nobody has read yet, as null."""
        is_own = any(section.get(kind) for kind in OWN)
        if not is_own or self._card is not None or self._archive is not None:
            return {}
        return ({} if section.get("task") else {"task": None}) | {"channels": None}

    @property
    def values(self) -> dict[str, Any]:
        cards = {"data_card": self._card, "archive_card": self._archive}
        return {name: card.model_dump(mode="json") for name, card in cards.items() if card is not None}

    @property
    def lines(self) -> Iterator[str]:
        from engine.contract.wire.text import counted, counted_duplicates

        if (card := self._card) is not None:
            found = card.duplicates
            alike = counted_duplicates(found.exact, found.near)
            yield f"{card.how_split}; {counted(card.unusable, 'unusable file')}, {alike}"
        if (made := self._archive) is not None:
            synthetic = "Synthetic. " if made.synthetic else ""
            yield f"{synthetic}Made from {made.made_from}, {made.size} px, licence {made.licence}, MD5 {made.md5}"


def _cards(section: dict[str, Any], here: Path) -> _Cards:
    from engine.contract.data.archive_card import read_archive_card
    from engine.contract.data.card import last_card
    from engine.contract.files.paths import expanded

    own = [(kind, section[kind]) for kind in OWN if section.get(kind)]
    archive = section.get("npz") or section.get("archive")
    card = last_card(own[0][0], here / expanded(own[0][1])) if own else None
    return _Cards(card, read_archive_card(here / expanded(archive)) if archive else None)


def _info_values(facts: DatasetFacts, state: str, files: list[DataFile]) -> dict[str, Any]:
    return {
        "name": facts.name,
        "title": facts.title,
        "description": facts.description,
        "task": facts.task,
        "channels": facts.channels,
        "class_names": list(facts.class_names),
        "images": facts.splits,
        "symmetry": facts.symmetry,
        "licence": facts.licence,
        "synthetic": facts.synthetic,
        "sizes": list(facts.sizes),
        "state": state,
        "files": {str(file.size): {"state": file.state, "path": str(file.path or "")} for file in files},
    }


def _info_lines(facts: DatasetFacts, files: list[DataFile], unread: dict[str, Any]) -> Iterator[str]:
    """`unread`: what is not known yet."""
    yield f"{facts.title} ({facts.name})"
    yield facts.description
    values = {"task": facts.task.replace("_", "-"), "channels": "grey" if facts.channels == 1 else "RGB"}
    known = ", ".join(value for name, value in values.items() if name not in unread)
    missing = f"{' and '.join(unread)} are known" if len(unread) > 1 else "channels are known"
    later = f"{missing}, and images counted, when they are read" if unread else "images are counted when they are read"
    counts = ", ".join(f"{n:,} {split}" for split, n in facts.splits.items())
    yield "; ".join(filter(None, (known, counts or later)))
    if facts.class_names:
        yield f"{facts.classes} classes: {'; '.join(facts.class_names)}"
    yield f"symmetry {facts.symmetry}; licence {facts.licence}; sizes {', '.join(map(str, facts.sizes))} px"
    for file in files:
        yield f"{file.size} px: {file.state}{f', {file.path}' if file.path else ''}"


def _print_lines(lines: list[str]) -> None:
    from medtui.output import print_line

    for line in lines:
        print_line(line)


def import_(
    path: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FOLDER", help="An official .npz file, or a folder, table or .npz of your own images."
        ),
    ],
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=VALUE", help="Fields of the dataset section, for your own images."),
    ] = None,
    size: KeptSizeOption = None,
    force: ForceOption = False,
    workspace: WorkspaceOption = None,
    data: PutDataOption = None,
    json: JsonOption = False,
) -> None:
    """Put a file or your own images where medtui looks for data.

    An official file is recognised by its MD5 and checked; your own images become one .npz with a data card. It goes to
    --data, else $MEDTUI_DATA, else ~/.medmnist.
    """
    from engine.contract.data.archives import fetch_folder
    from engine.contract.files.paths import absolute, expanded
    from engine.contract.recipe.own_images import short_name
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import UsageError
    from medtui.cli.job_progress import JobProgress
    from medtui.cli.run import data_folders
    from medtui.client.data_sets import export_data, import_official, is_official, search_paths
    from medtui.client.inputs import inputs_of
    from medtui.client.output_file import check_unread
    from medtui.output import print_json
    from medtui.sentences import Exploring

    if not path.strip():  # as a path it would be the current folder
        raise UsageError(Exploring.EMPTY_SOURCE)
    ws, folders, given = find_workspace(workspace), data_folders(data), expanded(path)
    with JobProgress(quiet=json, on_stderr=True) as progress:
        if not fields and is_official(given):
            import_official(absolute(given), ws, folders, replace=force, by="medtui data import", on_event=progress)
            target = fetch_folder(folders)
        else:
            section = section_at_own_size([path, *(fields or [])], size) or {}
            target = fetch_folder(folders) / f"{short_name(given.name.removesuffix(given.suffix))}.npz"
            check_unread(target, inputs_of(section, search_paths(ws, folders), [path]))
            export_data(section, target, ws, folders, replace=force, by="medtui data import", on_event=progress)
    if json:
        print_json({"path": str(target)})
    elif target.suffix == ".npz":
        _print_lines([f"Written to {target}, with its card.", f"`medtui run {quote(str(target))}` trains on it."])


def export(
    source: SourceArgument = None,
    output: OutputOption = None,
    size: KeptSizeOption = None,
    force: ForceOption = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Write any source of images as one portable .npz.

    It has MedMNIST's layout; its data card is written next to it.
    """
    from engine.contract.files.paths import expanded
    from engine.contract.recipe.sources import DatasetSection, facts_of
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import UsageError
    from medtui.cli.job_progress import JobProgress
    from medtui.cli.run import data_folders
    from medtui.client.data_sets import export_data, search_paths
    from medtui.client.inputs import inputs_of
    from medtui.sentences import Exploring

    ws, section = find_workspace(workspace), section_at_own_size(source or [], size)
    if section is None:
        raise UsageError(Exploring.NO_SOURCE)
    name = facts_of(DatasetSection.model_validate(section)).name
    named = expanded(output) if output is not None else Path(f"{name}-export.npz")
    folders = data_folders(data)
    target = _archive_target(named, force=force, inputs=inputs_of(section, search_paths(ws, folders), source or []))
    with JobProgress(quiet=json, on_stderr=True) as progress:
        export_data(
            section,
            target,
            ws,
            folders,
            replace=force,
            offline=offline,
            by="medtui data export",
            on_event=progress,
        )
    _report_archive(target, as_json=json)


def synth(
    name: Annotated[
        str, typer.Argument(help="A MedMNIST data set, whose format is imitated.", autocompletion=official_data_sets)
    ],
    output: OutputOption = None,
    size: Annotated[int, typer.Option("--size", help="Image size in pixels: 28, 64, 128 or 224.")] = 28,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=2, help="At most this many images per split. [default: as many as the set has]"),
    ] = None,
    force: ForceOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Write a synthetic archive in a set's exact format.

    A model can learn its images; archive, card and every run on it are marked as synthetic.
    """
    from engine.contract.files.paths import expanded
    from engine.contract.recipe.shipped import shipped_recipes
    from engine.contract.recipe.sources import official_source
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.job_progress import JobProgress
    from medtui.client.data_sets import synthesise
    from medtui.output import print_line

    ws = find_workspace(workspace)
    label = official_source(name, size, "{name} --size {size}").facts.label(size)
    named = expanded(output) if output is not None else Path(f"{label}-synthetic.npz")
    target = _archive_target(named, force=force)
    with JobProgress(quiet=json, on_stderr=True) as progress:
        synthesise(name, size, limit, target, ws, replace=force, by="medtui data synth", on_event=progress)
    card = _report_archive(target, as_json=json)
    if card is not None and not json:
        fields = (
            f"dataset.name={name} dataset.size={size} dataset.archive={quote(str(target))} dataset.md5='\"{card.md5}\"'"
        )
        recipe = name if name in shipped_recipes() else "bloodmnist"
        small = f" training.batch_size={min(16, limit)}" if limit is not None and limit < 128 else ""
        print_line(f"medtui run {recipe} {fields} model.pretrained=false{small}")


def _archive_target(named: Path, *, force: bool, inputs: Inputs | None = None) -> Path:
    """Where an archive is to be written, with its card beside it. Raises OutputError."""
    from engine.contract.data.archive_card import card_of
    from engine.contract.files.paths import absolute
    from medtui.client.output_file import NOTHING, check_ending, check_output

    inputs = inputs or NOTHING
    check_output(named, force=force, inputs=inputs)  # first: what is a folder may have no name to make a card's from
    check_ending(named, (".npz",))
    check_output(named.with_name(card_of(named)), force=force, inputs=inputs)
    return absolute(named)


def _report_archive(target: Path, *, as_json: bool) -> ArchiveCard | None:
    from engine.contract.data.archive_card import card_of, read_archive_card
    from medtui.output import print_json

    card = read_archive_card(target)
    if as_json:
        print_json({"path": str(target), "card": card.model_dump(mode="json") if card is not None else None})
    else:
        _print_lines([f"Written to {target}, with its card {card_of(target)}."])
    return card
