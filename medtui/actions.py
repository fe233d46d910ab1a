"""Every action of the console: bindings, footer, help, palette and the user's keys are all derived from here.

Each action has an id, by which the user's settings may give it another key. Dangerous keys are upper case. Never bound:
ctrl+i, m, h, [, b, a, z, which terminals and multiplexers use for something else.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace

EVERYWHERE = "everywhere"
SCREEN_NAMES = ("recipes", "machine", "live", "results")
FORBIDDEN = frozenset(f"ctrl+{key}" for key in ("i", "m", "h", "left_square_bracket", "b", "a", "z"))


@dataclass(frozen=True)
class Action:
    """One thing a person can do."""

    id: str
    keys: str  # Textual's key names, separated by commas
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


_SCOPES = {*SCREEN_NAMES, "list", "form", "table", "compare", "kill_switch", "dialog", "help"}
INSIDE = {
    "recipes": ("list", "form"),
    "machine": ("table",),
    "live": (),
    "results": ("table",),
}  # scopes within a screen

ACTIONS: tuple[Action, ...] = (
    _a("go.recipes", "1", "Recipes", "Choose, edit and run recipes.", "show_screen('recipes')", footer=True),
    _a(
        "go.machine",
        "2",
        "Machine",
        "Hardware, lock, orphaned engines, checks, data.",
        "show_screen('machine')",
        footer=True,
    ),
    _a("go.live", "3", "Live", "Curves and per-class results of the run.", "show_screen('live')", footer=True),
    _a("go.results", "4", "Results", "The runs of this workspace.", "show_screen('results')", footer=True),
    _a("run.pause", "p", "pause", "Pause or resume immediately.", "pause", footer=True, changes=True),
    _a(
        "run.stop",
        "S",
        "stop",
        "Stop: evaluate the best weights, write the results.",
        "kill_switch('stop')",
        footer=True,
        changes=True,
    ),
    _a(
        "run.abort",
        "K",
        "abort",
        "Abort: save a checkpoint and exit.",
        "kill_switch('abort')",
        footer=True,
        changes=True,
    ),
    _a(
        "run.kill_switch",
        "f9",
        "kill switch",
        "Open the kill switch; works in every field.",
        "kill_switch('stop')",
        changes=True,
        priority=True,
    ),
    _a("run.checkpoint", "C", "checkpoint", "Save a checkpoint now.", "checkpoint", changes=True),
    _a("run.attach", "a", "attach", "Attach to the run that holds the workspace, or the last one.", "attach"),
    _a(
        "view.palette",
        "ctrl+p",
        "commands",
        "List the commands available now.",
        "command_palette",
        footer=True,
        priority=True,
    ),
    _a("view.theme", "ctrl+t", "theme", "Switch between dark and light.", "theme"),
    _a("view.next_pane", "right_square_bracket", "next pane", "Next pane of this screen.", "screen.pane(1)"),
    _a("view.previous_pane", "left_square_bracket", "previous pane", "Previous pane.", "screen.pane(-1)"),
    _a(
        "view.leave",
        "q,ctrl+q",
        "quit",
        "Quit the console; a run continues unless you stop it.",
        "leave",
        footer=True,
    ),
    _a("view.help", "question_mark", "help", "Show this help.", "help", footer=True),
    _a("view.back", "escape", "back", "Leave a field or a filter. Never changes anything.", "screen.back"),
    _a("recipes.run", "r", "run", "Train with this recipe.", "run", footer=True, changes=True),
    _a("recipes.save", "ctrl+s", "save", "Save the recipe.", "save", footer=True, changes=True, priority=True),
    _a("recipes.revert", "ctrl+r", "revert", "Discard unsaved edits; asks first.", "revert", changes=True),
    _a("recipes.filter", "slash", "filter", "Filter the recipes.", "filter"),
    _a("recipes.yaml", "y", "text", "Edit the recipe as text.", "focus_yaml"),
    _a("recipes.form", "e", "form", "Edit the recipe in the form.", "focus_form"),
    _a(
        "machine.end_orphan",
        "X",
        "end orphan",
        "End the selected orphaned engine; asks first.",
        "end_orphan",
        footer=True,
        changes=True,
    ),
    _a("machine.smoke", "s", "smoke test", "Run a tiny training end to end.", "smoke", footer=True, changes=True),
    _a("machine.fetch", "f", "fetch data", "Download an official data set file.", "fetch", footer=True, changes=True),
    _a("machine.cancel", "c", "cancel", "Cancel the fetch; no partial file is kept.", "cancel_fetch", changes=True),
    _a("machine.refresh", "r", "refresh", "Run the diagnostics again.", "refresh_checks", footer=True),
    _a("live.run", "r", "run", "Train with the recipe selected in Recipes.", "run", changes=True),
    _a("live.log_scale", "y", "log scale", "Show losses on a logarithmic scale.", "log_scale", footer=True),
    _a("live.smoothing", "s", "smoothing", "Show the smoothed training loss.", "smoothing", footer=True),
    _a("live.axis", "x", "axis", "Change the x axis: step, epoch or time.", "axis", footer=True),
    _a("live.enlarge", "enter", "enlarge", "Show one pane full screen.", "enlarge"),
    _a("live.cursor", "v", "values", "Read values with a cursor; ← → move it.", "cursor", footer=True),
    _a("live.cursor_left", "left,h", "left", "Move the cursor, or the zoomed part, left.", "move(-1)"),
    _a("live.cursor_right", "right,l", "right", "Move the cursor, or the zoomed part, right.", "move(1)"),
    _a("live.plots", "g", "plots", "Show the next plots, where not all have room.", "plots", footer=True),
    _a("live.zoom_in", "plus", "zoom in", "Show less of the x axis; the mouse wheel does the same.", "zoom(1)"),
    _a("live.zoom_out", "minus", "zoom out", "Show more of the x axis.", "zoom(-1)"),
    _a("live.confusion", "c", "confusion", "Show the confusion matrix, once available.", "confusion"),
    _a("live.filter", "slash", "filter log", "Show only matching log lines.", "filter"),
    _a("live.down", "j,down", "down", "Scroll the classes down.", "scroll_rows(1)"),
    _a("live.up", "k,up", "up", "Scroll the classes up.", "scroll_rows(-1)"),
    _a("results.filter", "slash", "filter", "Filter the runs by words and by fields.", "filter", footer=True),
    _a("results.sort", "s", "sort", "Sort by the next column.", "sort", footer=True),
    _a("results.reverse", "R", "reverse", "Reverse sort order.", "reverse"),
    _a("results.mark", "space", "mark", "Mark a run for comparison.", "mark", footer=True),
    _a("results.compare", "c", "compare", "Compare the marked runs.", "compare", footer=True),
    _a("results.section", "d", "detail", "Scroll to the next part of the details.", "section(1)", footer=True),
    _a("results.open", "enter", "open", "Show one run full screen; back returns to the list.", "open", footer=True),
    _a("results.open_recipe", "o", "recipe", "Open the run's recipe in Recipes.", "open_recipe", footer=True),
    _a("results.resume", "u", "resume", "Resume an interrupted run.", "resume_run", footer=True, changes=True),
    _a("results.evaluate", "e", "evaluate", "Evaluate the test split again.", "evaluate", footer=True, changes=True),
    _a("results.tag", "t", "tag", "Tag the run.", "tag", footer=True, changes=True),
    _a("results.note", "n", "note", "Add a note to the run.", "note", footer=True, changes=True),
    _a("results.archive", "A", "archive", "Move the run to outputs/archive; asks first.", "archive", changes=True),
    _a("results.delete", "D", "delete", "Delete the run permanently; asks for confirmation.", "delete", changes=True),
    _a("results.watch", "w", "watch", "Show the run in Live.", "watch"),
    _a("results.refresh", "f5", "refresh", "Reload the runs.", "refresh_runs"),
    _a("compare.csv", "x", "CSV", "Export the comparison as CSV, to a new file.", "csv", footer=True, changes=True),
    _a(
        "compare.markdown",
        "m",
        "Markdown",
        "Export the comparison as Markdown, to a new file.",
        "markdown",
        footer=True,
        changes=True,
    ),
    _a("compare.help", "question_mark", "help", "Show the keys, and how differences are judged.", "help", footer=True),
    _a("compare.close", "escape,q", "back", "Back to the list of runs.", "close", footer=True),
    _a("list.down", "j", "down", "Next entry.", "cursor_down"),
    _a("list.up", "k", "up", "Previous entry.", "cursor_up"),
    _a("list.right", "right,l", "form", "Go to the form.", "screen.focus_form"),
    _a("form.down", "down,j", "down", "Next field.", "step(1)"),
    _a("form.up", "up,k", "up", "Previous field.", "step(-1)"),
    _a("form.edit", "enter", "edit", "Edit the field; enter accepts, esc reverts.", "edit"),
    _a("form.more", "plus", "more", "Next larger value of a number.", "nudge(1)", changes=True),
    _a("form.less", "minus", "less", "Next smaller value of a number.", "nudge(-1)", changes=True),
    _a("form.left", "left,h", "list", "Go to the list.", "screen.focus_list"),
    _a("table.down", "j", "down", "Next row.", "cursor_down"),
    _a("table.up", "k", "up", "Previous row.", "cursor_up"),
    _a("kill_switch.confirm", "y", "confirm", "Confirm.", "confirm", changes=True),
    _a("kill_switch.close", "escape,q", "close", "Close without doing anything.", "close"),
    _a("kill_switch.down", "down,j,tab", "down", "Next choice.", "choose(1)"),
    _a("kill_switch.up", "up,k,shift+tab", "up", "Previous choice.", "choose(-1)"),
    _a("dialog.close", "escape", "close", "Close without doing anything.", "close"),
    _a("dialog.next", "right,down,l,j", "next", "Next answer.", "app.focus_next"),
    _a("dialog.previous", "left,up,h,k", "previous", "Previous answer.", "app.focus_previous"),
    _a("help.close", "escape,q,question_mark", "close", "Close.", "close"),
)

BY_ID = {action.id: action for action in ACTIONS}


def of_scope(scope: str) -> list[Action]:
    return [action for action in ACTIONS if action.scope == scope]


def with_keys(key_overrides: dict[str, str]) -> dict[str, Action]:
    """The actions by their ids, with these keys for some of them."""
    return {id_: replace(action, keys=key_overrides.get(id_, action.keys)) for id_, action in BY_ID.items()}


# What settings files of older versions call them. ("kill_switch.…" was "ladder.…".)
_RENAMED = {
    "machine.end_ghost": "machine.end_orphan",
    "run.ladder": "run.kill_switch",
    **{f"ladder.{word}": f"kill_switch.{word}" for word in ("confirm", "close", "down", "up")},
}


def remapped(key_overrides: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """The user's keys by action: the accepted ones by Textual's names, and the refused ones with reasons."""
    accepted: dict[str, str] = {}
    refused = []
    for id_, keys_text in {_RENAMED.get(id_, id_): keys for id_, keys in key_overrides.items()}.items():
        named = {key: key_id(key) for key in _split(keys_text)}
        keys = [found for found in named.values() if found is not None]
        if id_ not in BY_ID:
            refused.append(f"keys: there is no action {id_!r}; the help page lists them")
        elif unknown := [key for key, found in named.items() if found is None]:
            refused.append(
                f"keys: {', '.join(unknown)} for {id_} is not a key; use one like x, X, f4, ctrl+l or pageup"
            )
        elif bad := sorted(FORBIDDEN & set(keys)):
            refused.append(f"keys: {', '.join(bad)} cannot be bound: reserved by terminals")
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
    """A key by Textual's name: `?` is `question_mark`, `^s` of the footer `ctrl+s`. None for anything else."""
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
