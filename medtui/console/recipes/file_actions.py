"""Recipes: save, revert, rename, delete. Each asks first where something would be lost, and reports what was done."""

from __future__ import annotations

from collections.abc import Container
from itertools import chain, count
from pathlib import Path

from engine.contract.files.paths import absolute, expanded, is_there
from engine.contract.recipe.shipped import shipped_recipes
from engine.contract.wire.errors import UsageError
from medtui.console.recipes.document import Document
from medtui.console.recipes.open_recipes import OpenRecipes
from medtui.console.recipes.store import changed_on_disk, stamp_of
from medtui.console.shell.app_context import AppContext
from medtui.console.shell.dialogs import AskText, Question
from medtui.sentences import RecipeActions
from medtui.text import clean


async def save(context: AppContext, recipes: OpenRecipes, document: Document) -> str | None:
    """A recipe of the workspace as itself, another as a file of the workspace. Raises UsageError."""
    path = document.entry.path
    if document.entry.kind != "workspace":
        return await _save_as(context, recipes, document, "Shipped recipes and those of runs are read-only. ")
    before = stamp_of(path)
    if (fresh := changed_on_disk(document)) is not None:
        answers = [
            ("stay", "keep editing"),
            ("theirs", "load the file, keep mine apart"),
            ("mine", "overwrite the file"),
        ]
        answer = await context.push_screen_wait(Question(f"{path.name} has changed on disk.", answers))
        if answer in ("theirs", "mine") and stamp_of(path) != before:  # while the question was open
            raise UsageError(RecipeActions.CHANGED, name=path.name)
        if answer == "theirs":
            copy = path.with_name(_free_name(path.parent, f"{path.stem}_edits", recipes.documents))
            recipes.keep_copy(document, copy)
            recipes.take_from_disk(document, fresh)
            return f"{path.name} was loaded. Your edits are in the unsaved recipe {copy.name}."
        if answer != "mine":
            return None
    return _written(context, recipes, document, path)


async def save_as(context: AppContext, recipes: OpenRecipes, document: Document) -> str | None:
    """Any recipe, as another file. Raises UsageError."""
    return await _save_as(context, recipes, document, "")


async def _save_as(context: AppContext, recipes: OpenRecipes, document: Document, why: str) -> str | None:
    folder = context.workspace.root
    stem = document.entry.name if document.entry.kind == "run" else document.entry.path.stem
    path = await _ask_name(context, f"{why}Save your edits as, in {folder}:", folder, _free_name(folder, stem))
    if path is None or not await _may_take(context, recipes, document, path):
        return None
    return _written(context, recipes, document, path)


def _written(context: AppContext, recipes: OpenRecipes, document: Document, path: Path) -> str:
    try:
        recipes.save(document, path)
    except OSError as error:
        raise UsageError(
            RecipeActions.UNWRITABLE, path=clean(str(path), 200), reason=error.strerror or error
        ) from error
    return f"Saved {_named_in(context, path)}."


def _named_in(context: AppContext, path: Path) -> str:
    """A file by its name in the workspace, elsewhere by its whole path: the list does not show it."""
    return path.name if path.parent in (context.workspace.root, context.workspace.root / "recipes") else str(path)


async def revert(context: AppContext, recipes: OpenRecipes, document: Document) -> str | None:
    """Discard the edits, for what the file holds now. Raises OSError."""
    if not document.dirty:
        return None
    if await _sure(
        context, f"Discard the unsaved edits of {clean(document.entry.name, 40)}?", "discard them", "keep them"
    ):
        fresh = changed_on_disk(document)
        recipes.take_from_disk(document, fresh if fresh is not None else document.saved)
    return None


async def rename(context: AppContext, recipes: OpenRecipes, document: Document) -> str | None:
    """Give its file another name, in the same folder or where the answer says. Raises OSError, UsageError."""
    path = _own_file(context, document)
    if not is_there(path):
        raise UsageError(RecipeActions.GONE, name=path.name, key=context.actions["recipes.save"].key)
    new = await _ask_name(context, f"Rename {clean(path.name, 100)} to:", path.parent, path.name)
    if new is None or new == path or not await _may_take(context, recipes, document, new):
        return None
    recipes.rename_file(document, new)
    return f"Renamed {path.name} to {_named_in(context, new)}."


async def delete(context: AppContext, recipes: OpenRecipes, document: Document) -> str | None:
    """Delete its file, and its unsaved edits. Raises OSError, UsageError."""
    path = _own_file(context, document)
    name, before = clean(path.name, 100), stamp_of(path)
    if before is None:
        words, yes = f"{name} is gone from the disk. Discard what is left of it here?", "discard it"
    else:
        changed = (
            f"{name} has changed on disk since it was read here. " if changed_on_disk(document) is not None else ""
        )
        edits = " Its unsaved edits are lost, too." if document.dirty else ""
        words, yes = f"{changed}Delete {name} permanently?{edits}", "delete it"
    if not await _sure(context, words, yes):
        return None
    if stamp_of(path) != before:  # while the question was open
        raise UsageError(RecipeActions.CHANGED, name=path.name)
    recipes.delete(document)
    return f"Deleted {path.name}."


def _own_file(context: AppContext, document: Document) -> Path:
    """Raises UsageError for a recipe that is shipped, or a run's."""
    if document.entry.kind != "workspace":
        key = context.actions["recipes.save_as"].key
        raise UsageError(RecipeActions.READ_ONLY, name=document.entry.title, key=key)
    return document.entry.path


async def _ask_name(context: AppContext, words: str, folder: Path, name: str) -> Path | None:
    """A path in this folder, unless the answer has another; a recipe's name ends in .yaml."""
    answer = await context.push_screen_wait(AskText(words, name, select=True))
    if not answer or not answer.strip():
        return None
    if answer.rpartition("/")[2].strip(". ") == "" or answer.rpartition("/")[2].startswith("."):
        raise UsageError(RecipeActions.NO_NAME, found=answer)
    path = folder / expanded(answer)
    if ".." in path.parts:
        parent = absolute(path.parent)  # which folder `..` is, links may decide
        path = (folder if parent == absolute(folder) else parent) / path.name
    return path if path.suffix.lower() in (".yaml", ".yml") else path.with_name(f"{path.name}.yaml")


def _free_name(folder: Path, stem: str, taken: Container[str] = ()) -> str:
    """`taken`: paths that no file has yet, but an unsaved recipe."""
    names = (f"{stem}{number}.yaml" for number in chain([""], (f"_{number}" for number in count(2))))
    return next(name for name in names if not is_there(folder / name) and str(folder / name) not in taken)


async def _may_take(context: AppContext, recipes: OpenRecipes, document: Document, path: Path) -> bool:
    """May it get this name, even if a file has it? Raises UsageError where it never may."""
    if path.is_relative_to(context.workspace.outputs) or path in shipped_recipes().values():
        raise UsageError(RecipeActions.READ_ONLY_PLACE, path=path)
    other = recipes.documents.get(str(path))
    if other is not None and other is not document and other.dirty:
        raise UsageError(RecipeActions.UNSAVED, name=path.name)
    if not is_there(path):
        return True
    before = stamp_of(path)
    if not await _sure(context, f"{clean(path.name, 100)} already exists.", "overwrite it"):
        return False
    if stamp_of(path) != before:
        raise UsageError(RecipeActions.CHANGED, name=path.name)
    return True


async def _sure(context: AppContext, words: str, yes: str, no: str = "keep it") -> bool:
    return await context.push_screen_wait(Question(words, [("no", no), ("yes", yes)])) == "yes"
