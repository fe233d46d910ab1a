"""Every action of the console: bindings, footer, help, palette and the user's keys are all derived from here.

Each action has an id, by which the user's settings may give it another key. Dangerous keys are upper case. Never bound:
ctrl+i, m, h, [, b, a, z, which terminals and multiplexers use for something else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from medtui.keys import key_id, key_name

EVERYWHERE = "everywhere"
SCREEN_NAMES = ("recipes", "machine", "live", "results", "suites")
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


def _a(id_: str, keys: str, title: str, help_: str, action: str = "", **more: object) -> Action:
    scope, _, name = id_.partition(".")
    return Action(id_, keys, title, help_, action or name, scope if scope in _SCOPES else EVERYWHERE, **more)  # type: ignore[arg-type]


_SCOPES = {
    *SCREEN_NAMES,
    "list",
    "form",
    "table",
    "grid",
    "compare",
    "columns",
    "predictions",
    "exploration",
    "kill_switch",
    "dialog",
    "help",
}
INSIDE = {
    "recipes": ("list", "form"),
    "machine": ("table",),
    "live": (),
    "results": ("table",),
    "suites": ("grid", "table"),
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
    _a("go.suites", "5", "Suites", "Suites and the queue: many runs.", "show_screen('suites')", footer=True),
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
        "kill_switch('stop', False)",
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
    _a(
        "recipes.queue",
        "w",
        "queue",
        "Add the recipe to the queue, even while a run trains.",
        footer=True,
        changes=True,
    ),
    _a("recipes.save", "ctrl+s", "save", "Save the recipe.", "save", footer=True, changes=True, priority=True),
    _a("recipes.save_as", "s", "save as", "Save the recipe as another file.", "save_as", changes=True),
    _a("recipes.rename", "R", "rename", "Rename the recipe's file.", "rename", changes=True),
    _a("recipes.delete", "D", "delete", "Delete the recipe's file; asks first.", "delete", changes=True),
    _a("recipes.problem", "n", "next error", "Go to the next error, in the form or in the text.", "next_problem"),
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
    _a("machine.refresh", "r", "refresh", "Run the diagnostics again, and read the disk.", "refresh", footer=True),
    _a(
        "machine.explore",
        "e",
        "explore",
        "Show what is in a data set or your images, and what is wrong.",
        "explore",
        footer=True,
    ),
    _a(
        "machine.prune",
        "P",
        "prune",
        "Delete checkpoints that are no longer needed; shows them and asks first.",
        "prune",
        footer=True,
        changes=True,
    ),
    _a(
        "machine.clear",
        "D",
        "clear cache",
        "Delete decoded copies of data sets that no run uses, and unfinished downloads; asks first.",
        "clear_cache",
        footer=True,
        changes=True,
    ),
    _a(
        "machine.cancel",
        "c",
        "cancel fetch",
        "Cancel the fetch; what arrived of a large file is kept, and the next fetch continues it.",
        "cancel_fetch",
        footer=True,
        changes=True,
    ),
    _a("live.run", "r", "run", "Train with the recipe selected in Recipes.", "run", changes=True),
    _a("live.next_run", "n", "next run", "Follow the next of the runs that train now.", "next_run", footer=True),
    _a("live.log_scale", "y", "log scale", "Show losses on a logarithmic scale.", "log_scale", footer=True),
    _a("live.smoothing", "s", "smoothing", "Show the smoothed training loss.", "smoothing", footer=True),
    _a("live.axis", "x", "axis", "Change the x axis: step, epoch or time.", "axis", footer=True),
    _a("live.enlarge", "enter", "enlarge", "Show one pane full screen.", "enlarge"),
    _a("live.cursor", "v", "values", "Read values with a cursor; ← → move it.", "cursor", footer=True),
    _a("live.cursor_left", "left,h", "left", "Move the cursor, or the zoomed part, left.", "move(-1)"),
    _a("live.cursor_right", "right,l", "right", "Move the cursor, or the zoomed part, right.", "move(1)"),
    _a("live.plots", "g", "plots", "Show the next plots, if not all of them fit.", "plots", footer=True),
    _a(
        "live.overlay",
        "o",
        "marked runs",
        "Plot the runs marked in Results over this one, if on the same images.",
        "overlay",
    ),
    _a("live.zoom_in", "plus", "zoom in", "Show less of the x axis; the mouse wheel does the same.", "zoom(1)"),
    _a("live.zoom_out", "minus", "zoom out", "Show more of the x axis.", "zoom(-1)"),
    _a("live.confusion", "c", "confusion", "Show the confusion matrix, once available.", "confusion"),
    _a("live.batch", "b", "batch", "Show training images as the model sees them: augmented and mixed.", "batch"),
    _a("live.filter", "slash", "filter log", "Show only matching log lines.", "filter"),
    _a("live.down", "j,down", "down", "Scroll the classes down.", "scroll_rows(1)"),
    _a("live.up", "k,up", "up", "Scroll the classes up.", "scroll_rows(-1)"),
    _a("results.filter", "slash", "filter", "Filter the runs by words and by fields.", "filter", footer=True),
    _a("results.sort", "s", "sort", "Sort by the next column.", "sort", footer=True),
    _a("results.reverse", "R", "reverse", "Reverse sort order.", "reverse"),
    _a("results.columns", "v", "columns", "Choose the columns of the table.", "columns"),
    _a("results.mark", "space", "mark", "Mark a run for comparison.", "mark", footer=True),
    _a("results.compare", "c", "compare", "Compare the marked runs.", "compare", footer=True),
    _a("results.section", "d", "detail", "Scroll to the next part of the details.", "section(1)", footer=True),
    _a("results.open", "enter", "open", "Show one run full screen; back returns to the list.", "open", footer=True),
    _a("results.open_recipe", "o", "recipe", "Open the run's recipe in Recipes.", "open_recipe", footer=True),
    _a("results.resume", "u", "resume", "Resume an interrupted run.", "resume_run", footer=True, changes=True),
    _a("results.evaluate", "e", "evaluate", "Evaluate the test split again.", "evaluate", footer=True, changes=True),
    _a("results.predict", "i", "predict", "Predict images of your own with the run's model.", "predict", footer=True),
    _a("results.tag", "t", "tag", "Tag the run.", "tag", footer=True, changes=True),
    _a("results.note", "n", "note", "Add a note to the run.", "note", footer=True, changes=True),
    _a("results.archive", "A", "archive", "Move the run to outputs/archive; asks first.", "archive", changes=True),
    _a("results.delete", "D", "delete", "Delete the run permanently; asks for confirmation.", "delete", changes=True),
    _a("results.watch", "w", "watch", "Show the run in Live.", "watch"),
    _a("results.refresh", "f5", "refresh", "Reload the runs.", "refresh_runs"),
    _a("suites.open", "enter", "open", "Show the run: in Live while it trains, else in Results.", "open", footer=True),
    _a(
        "suites.run",
        "r",
        "start",
        "Start or continue the suite or the queue, where the cursor is; it continues without the console.",
        "run",
        footer=True,
        changes=True,
    ),
    _a("suites.new", "n", "new suite", "Choose a suite file and start it; asks first.", footer=True, changes=True),
    _a(
        "suites.retry",
        "t",
        "retry",
        "Retry the selected run, if it failed or was stopped, aborted or killed.",
        footer=True,
        changes=True,
    ),
    _a("suites.end", "X", "stop all", "Stop all runs of the suite or queue; asks first.", footer=True, changes=True),
    _a(
        "suites.earlier",
        "u",
        "earlier",
        "Move the waiting entry of the queue up.",
        "move_entry(-1)",
        footer=True,
        changes=True,
    ),
    _a(
        "suites.later",
        "d",
        "later",
        "Move the waiting entry of the queue down.",
        "move_entry(1)",
        footer=True,
        changes=True,
    ),
    _a(
        "suites.remove",
        "D",
        "remove",
        "Remove the waiting entry from the queue; asks first.",
        footer=True,
        changes=True,
    ),
    _a("suites.refresh", "f5", "refresh", "Read the suites and the queue again."),
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
    _a(
        "predictions.save",
        "s",
        "save",
        "Save the predictions as CSV, to a new file.",
        "save",
        footer=True,
        changes=True,
    ),
    _a("predictions.other", "i", "other images", "Predict other images.", "other", footer=True),
    _a("predictions.close", "escape,q", "back", "Back to the runs; ends a prediction.", "close", footer=True),
    _a("exploration.save", "s", "save page", "Write the page with pictures to a new file.", "save", footer=True),
    _a("exploration.other", "e", "other images", "Explore other images.", "other", footer=True),
    _a("exploration.close", "escape,q", "back", "Back to Machine; ends an exploration.", "close", footer=True),
    _a("columns.toggle", "space", "choose", "Show or hide the column.", "choose_column"),
    _a("columns.automatic", "a", "automatic", "Show the most useful columns, as many as fit.", "automatic"),
    _a("columns.close", "escape,q", "close", "Close without changing anything.", "close"),
    _a("columns.down", "j", "down", "Next column.", "step(1)"),
    _a("columns.up", "k", "up", "Previous column.", "step(-1)"),
    _a("list.down", "j", "down", "Next entry.", "cursor_down"),
    _a("list.up", "k", "up", "Previous entry.", "cursor_up"),
    _a("list.right", "right,l", "form", "Go to the form.", "screen.focus_form"),
    _a("form.down", "down,j", "down", "Next field.", "step(1)"),
    _a("form.up", "up,k", "up", "Previous field.", "step(-1)"),
    _a("form.edit", "enter", "edit", "Edit the field; enter accepts, esc reverts.", "edit"),
    _a("form.fold", "space", "fold", "Show or hide the rarely used fields of the section.", "fold"),
    _a("form.more", "plus", "more", "Next larger value of a number.", "nudge(1)", changes=True),
    _a("form.less", "minus", "less", "Next smaller value of a number.", "nudge(-1)", changes=True),
    _a("form.left", "left,h", "list", "Go to the list.", "screen.focus_list"),
    _a("table.down", "j", "down", "Next row.", "cursor_down"),
    _a("table.up", "k", "up", "Previous row.", "cursor_up"),
    _a("grid.down", "j", "down", "Next group.", "cursor_down"),
    _a("grid.up", "k", "up", "Previous group.", "cursor_up"),
    _a("grid.right", "l", "right", "Next seed.", "cursor_right"),
    _a("grid.left", "h", "left", "Previous seed.", "cursor_left"),
    _a("kill_switch.confirm", "y", "confirm", "Confirm.", "confirm", changes=True),
    _a("kill_switch.close", "escape,q", "close", "Close without doing anything.", "close"),
    _a("kill_switch.down", "down,j,tab", "down", "Next choice.", "choose(1)"),
    _a("kill_switch.up", "up,k,shift+tab", "up", "Previous choice.", "choose(-1)"),
    _a("dialog.close", "escape", "close", "Close without doing anything.", "close"),
    _a("dialog.yes", "y", "yes", "Yes: do it.", "answer('dialog.yes')"),
    _a("dialog.no", "n", "no", "No: everything stays as it is.", "answer('dialog.no')"),
    _a("dialog.other", "o", "other", "The other answer, where there is one.", "answer('dialog.other')"),
    _a("dialog.stop", "s", "stop", "Stop the run, where that is an answer.", "answer('dialog.stop')"),
    _a("dialog.discard", "d", "discard", "Discard edits, where that is an answer.", "answer('dialog.discard')"),
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
