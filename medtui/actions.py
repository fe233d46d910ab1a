"""Every action of the console, once: bindings, footer, help, palette and the user's keys all come from here.

Each action has an id, by which the user's settings may give it another key. Dangerous keys are upper case. Never bound:
ctrl+i, m, h, [, b, a, z, which terminals and multiplexers use for something else.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace

EVERYWHERE = "everywhere"
ROOMS = ("recipes", "machine", "live", "results")
FORBIDDEN = frozenset(f"ctrl+{key}" for key in ("i", "m", "h", "left_square_bracket", "b", "a", "z"))


@dataclass(frozen=True)
class Action:
    """One thing a person can do."""

    id: str
    keys: str  # Textual's key names, several by commas
    title: str  # a word or two, for the footer
    help: str
    action: str  # the method of the app or the screen, and its arguments
    scope: str = EVERYWHERE
    footer: bool = False
    changes: bool = False  # refused with --readonly
    priority: bool = False  # works in every field too
    shown_key: str = ""

    @property
    def key(self) -> str:
        """Its first key, as a person reads it."""
        return self.shown_key or key_name(self.keys.split(",")[0])


_NAMES = {
    "question_mark": "?",
    "slash": "/",
    "plus": "+",
    "minus": "-",
    "full_stop": ".",
    "comma": ",",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "escape": "esc",
    "up": "↑",
    "down": "↓",
    "less_than_sign": "<",
    "greater_than_sign": ">",
}


def key_name(key: str) -> str:
    key = key.strip()
    if key.startswith("ctrl+"):
        return "^" + _NAMES.get(key[5:], key[5:])
    if len(key) > 1 and key[0] == "f" and key[1:].isdigit():
        return key.upper()
    return _NAMES.get(key, key)


def _a(id_: str, keys: str, title: str, help_: str, action: str = "", **more: object) -> Action:
    scope, _, name = id_.partition(".")
    return Action(id_, keys, title, help_, action or name, scope if scope in _SCOPES else EVERYWHERE, **more)  # type: ignore[arg-type]


_SCOPES = {*ROOMS, "list", "form", "table", "ladder", "dialog", "help"}
INSIDE = {"recipes": ("list", "form"), "machine": ("table",), "live": (), "results": ("table",)}  # scopes within a room

ACTIONS: tuple[Action, ...] = (
    _a("go.recipes", "1", "Recipes", "The recipes: choose, edit, run.", "room('recipes')", footer=True),
    _a("go.machine", "2", "Machine", "Hardware, lock, ghosts, diagnostics, data.", "room('machine')", footer=True),
    _a("go.live", "3", "Live", "Curves and per-class results of the run.", "room('live')", footer=True),
    _a("go.results", "4", "Results", "What was trained here.", "room('results')", footer=True),
    _a("run.pause", "p", "pause", "Pause or resume, at once.", "pause", footer=True, changes=True),
    _a(
        "run.stop",
        "S",
        "stop",
        "Stop: evaluate the best weights, write all.",
        "ladder('stop')",
        footer=True,
        changes=True,
    ),
    _a("run.abort", "K", "abort", "Abort: save a checkpoint and end.", "ladder('abort')", footer=True, changes=True),
    _a(
        "run.ladder",
        "f9",
        "kill-switch",
        "The kill-switch, in every field too.",
        "ladder('stop')",
        changes=True,
        priority=True,
    ),
    _a("run.checkpoint", "C", "checkpoint", "Save a checkpoint now.", "checkpoint", changes=True),
    _a("run.attach", "a", "attach", "Watch the run that holds the workspace, else the last one.", "attach"),
    _a(
        "view.palette",
        "ctrl+p",
        "commands",
        "Everything that can be done now.",
        "command_palette",
        footer=True,
        priority=True,
    ),
    _a("view.theme", "ctrl+t", "theme", "Dark or light.", "theme"),
    _a("view.next_pane", "right_square_bracket", "next pane", "The next pane of this screen.", "screen.pane(1)"),
    _a("view.previous_pane", "left_square_bracket", "pane before", "The pane before.", "screen.pane(-1)"),
    _a(
        "view.leave",
        "q,ctrl+q",
        "leave",
        "Leave the console; a run goes on unless you say otherwise.",
        "leave",
        footer=True,
    ),
    _a("view.help", "question_mark", "help", "This page.", "help", footer=True),
    _a("view.back", "escape", "back", "Leave one layer: a field, a filter. Never acts.", "screen.back"),
    _a("recipes.run", "r", "run", "Train what the form says.", "run", footer=True, changes=True),
    _a("recipes.save", "ctrl+s", "save", "Save the recipe.", "save", footer=True, changes=True, priority=True),
    _a("recipes.revert", "ctrl+r", "revert", "Throw unsaved edits away; asks first.", "revert", changes=True),
    _a("recipes.filter", "slash", "filter", "Find a recipe.", "filter"),
    _a("recipes.yaml", "y", "text", "Edit the recipe as text.", "focus_yaml"),
    _a("recipes.form", "e", "form", "Edit the recipe in the form.", "focus_form"),
    _a(
        "machine.end_ghost",
        "X",
        "end ghost",
        "End the chosen leftover engine; asks first.",
        "end_ghost",
        footer=True,
        changes=True,
    ),
    _a("machine.smoke", "s", "smoke test", "A micro-run of the whole chain.", "smoke", footer=True, changes=True),
    _a("machine.fetch", "f", "fetch data", "Fetch an official data set file.", "fetch", footer=True, changes=True),
    _a("machine.cancel", "c", "cancel", "Cancel the fetch; nothing of it is kept.", "cancel_fetch", changes=True),
    _a("machine.refresh", "r", "look again", "Run the diagnostics again.", "refresh_checks", footer=True),
    _a("live.run", "r", "run", "Train what Recipes shows.", "run", changes=True),
    _a("live.log_scale", "y", "log scale", "Losses on a logarithmic scale.", "log_scale", footer=True),
    _a("live.smoothing", "s", "smoothing", "Smoothed training loss.", "smoothing", footer=True),
    _a("live.axis", "x", "axis", "The x axis: step, epoch or time.", "axis", footer=True),
    _a("live.enlarge", "enter", "enlarge", "One plot over the whole screen.", "enlarge"),
    _a("live.cursor", "v", "values", "A cursor along the curves; ← → move it.", "cursor", footer=True),
    _a("live.cursor_left", "left,h", "left", "The cursor one step left.", "move(-1)"),
    _a("live.cursor_right", "right,l", "right", "The cursor one step right.", "move(1)"),
    _a("live.confusion", "c", "confusion", "The confusion matrix, once there is one.", "confusion"),
    _a("live.filter", "slash", "filter log", "Only the log lines with this in them.", "filter"),
    _a("live.down", "j,down", "down", "Scroll the classes down.", "scroll_rows(1)"),
    _a("live.up", "k,up", "up", "Scroll the classes up.", "scroll_rows(-1)"),
    _a("results.filter", "slash", "filter", "Find runs.", "filter", footer=True),
    _a("results.sort", "s", "sort", "Sort by the next column.", "sort", footer=True),
    _a("results.reverse", "R", "reverse", "Turn the order round.", "reverse"),
    _a("results.mark", "space", "mark", "Mark a run to compare.", "mark", footer=True),
    _a("results.compare", "c", "compare", "Compare the marked runs.", "compare", footer=True),
    _a("results.section", "d", "detail", "The next part of the detail.", "section(1)", footer=True),
    _a("results.open_recipe", "o", "recipe", "Open the run's recipe in Recipes.", "open_recipe", footer=True),
    _a("results.resume", "u", "resume", "Go on with an interrupted run.", "resume_run", footer=True, changes=True),
    _a("results.evaluate", "e", "evaluate", "Evaluate the test split again.", "evaluate", footer=True, changes=True),
    _a("results.tag", "t", "tag", "Tag the run.", "tag", footer=True, changes=True),
    _a("results.note", "n", "note", "Note something down about the run.", "note", footer=True, changes=True),
    _a("results.archive", "A", "archive", "Move the run to outputs/archive; asks first.", "archive", changes=True),
    _a("results.delete", "D", "delete", "Delete the run for ever; the word has to be typed.", "delete", changes=True),
    _a("results.watch", "w", "watch", "Show the run in Live.", "watch"),
    _a("results.refresh", "f5", "look again", "Read the runs again.", "refresh_runs"),
    _a("list.down", "j", "down", "The next one.", "cursor_down"),
    _a("list.up", "k", "up", "The one before.", "cursor_up"),
    _a("list.right", "right,l", "form", "To the form.", "screen.focus_form"),
    _a("form.down", "down,j", "down", "The next field.", "step(1)"),
    _a("form.up", "up,k", "up", "The field before.", "step(-1)"),
    _a("form.edit", "enter", "edit", "Edit the field; enter keeps, esc takes back.", "edit"),
    _a("form.more", "plus", "more", "The next larger value of a number.", "nudge(1)", changes=True),
    _a("form.less", "minus", "less", "The next smaller value of a number.", "nudge(-1)", changes=True),
    _a("form.left", "left,h", "list", "To the list.", "screen.focus_list"),
    _a("table.down", "j", "down", "The next row.", "cursor_down"),
    _a("table.up", "k", "up", "The row before.", "cursor_up"),
    _a("ladder.confirm", "y", "confirm", "Do what is chosen.", "confirm", changes=True),
    _a("ladder.close", "escape,q", "close", "Close; nothing is done.", "close"),
    _a("ladder.down", "down,j,tab", "down", "The next rung.", "choose(1)"),
    _a("ladder.up", "up,k,shift+tab", "up", "The rung before.", "choose(-1)"),
    _a("dialog.close", "escape", "close", "Close; nothing is done.", "close"),
    _a("dialog.next", "right,down,l,j", "next", "The next answer.", "app.focus_next"),
    _a("dialog.previous", "left,up,h,k", "before", "The answer before.", "app.focus_previous"),
    _a("help.close", "escape,q,question_mark", "close", "Close.", "close"),
)

BY_ID = {action.id: action for action in ACTIONS}


def of_scope(scope: str) -> list[Action]:
    return [action for action in ACTIONS if action.scope == scope]


def with_keys(wanted: dict[str, str]) -> dict[str, Action]:
    """The actions by their ids, with these keys for some of them."""
    return {id_: replace(action, keys=wanted.get(id_, action.keys)) for id_, action in BY_ID.items()}


def remapped(wanted: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """The user's keys by action: those that can be had, in Textual's names, and what was refused and why."""
    accepted: dict[str, str] = {}
    refused = []
    for id_, words in wanted.items():
        named = {key: key_id(key) for key in _split(words)}
        keys = [found for found in named.values() if found is not None]
        if id_ not in BY_ID:
            refused.append(f"keys: there is no action {id_!r}; ? shows their names")
        elif unknown := [key for key, found in named.items() if found is None]:
            refused.append(f"keys: {', '.join(unknown)} for {id_} is no key; write one like x, X, f4, ctrl+l or pageup")
        elif bad := sorted(FORBIDDEN & set(keys)):
            refused.append(f"keys: {', '.join(bad)} cannot be bound: terminals use it")
        elif keys:
            accepted[id_] = ",".join(keys)
    while clash := _clash(accepted):  # of all of them together: two actions may have changed their keys
        id_, other = clash
        refused.append(f"keys: {accepted.pop(id_)} for {id_} is taken by {other}")
    return accepted, refused


def _clash(accepted: dict[str, str]) -> tuple[str, str] | None:
    """The first of the user's actions whose key means something else at the same time, and what."""
    actions = with_keys(accepted)
    for id_ in accepted:
        one = actions[id_]
        for other in actions.values():
            together = EVERYWHERE in (other.scope, one.scope) or other.scope == one.scope
            if other.id != id_ and together and set(_split(other.keys)) & set(_split(one.keys)):
                return id_, other.id
    return None


def _split(keys: str) -> list[str]:
    return [key.strip() for key in keys.split(",") if key.strip()]


# ---- names of keys --------------------------------------------------------------------------------------------------

MODIFIERS = {"ctrl", "shift", "alt", "super", "hyper", "meta"}
NAMED_KEYS = {
    *("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "insert", "delete", "backspace"),
    *("enter", "tab", "escape", "space", *(f"f{number}" for number in range(1, 25))),
}
_AS_SHOWN = {shown: name for name, shown in _NAMES.items() if len(shown) > 1 or not shown.isascii()}
_SHORTER = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}


def key_id(key: str) -> str | None:
    """A key as Textual names it: `?` is `question_mark`, `^s` of the footer `ctrl+s`. None for what is no key."""
    if len(key) > 1 and (key[0] == "^" or key[1:].isdigit()):
        key = f"ctrl+{key[1:]}" if key[0] == "^" else key.lower()
    key = _AS_SHOWN.get(key, key)
    if len(key) == 1:
        if key.isalnum() or not key.isprintable():
            return key if key.isalnum() else None
        name = unicodedata.name(key, "").lower().replace("-", "_").replace(" ", "_")
        return _SHORTER.get(name, name) or None
    *modifiers, base = key.split("+")
    known = (len(base) == 1 and base.isalnum()) or base in NAMED_KEYS or base in CHARACTERS
    return key if known and set(modifiers) <= MODIFIERS else None


CHARACTERS = {key_id(chr(code)) for code in range(33, 127)}  # their names
