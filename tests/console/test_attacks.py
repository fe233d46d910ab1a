"""What an attacker found: odd bytes, texts and files, two consoles, questions that outlive what they ask about."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import secrets
import signal
import stat
import subprocess
import sys
import time
from dataclasses import asdict, replace
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screen_helpers import screen_text, shows, wait_for
from stand_ins import Story, make_run
from test_live import watching
from test_pty import LEFT, PATIENCE, isolated, opened  # noqa: F401 - `isolated` is a fixture

from engine.contract.machine.process_identity import ProcessIdentity, start_of, this_process
from engine.contract.recipe.yaml_reader import read_yaml
from engine.contract.store.lock import Holder, LockState, WorkspaceLock
from engine.contract.store.status import read_status
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import RecipeError
from medtui.client.feed import absorb
from medtui.client.recipe_document import check, with_value
from medtui.client.view import RunView
from medtui.console.quit_questions import describe_left_run
from medtui.console.recipes.document import Document, Entry
from medtui.console.recipes.drafts import Drafts
from medtui.console.recipes.screen import Recipes
from medtui.console.recipes.store import save
from medtui.console.recipes.yaml_area import YamlArea
from medtui.console.shell.messages import StatusPolled
from medtui.console.shell.notifications import Pace, RunNotifier
from medtui.console.shell.status_text import describe_holder, describe_lock
from medtui.machine.gpu import Gpus

SIZE = (120, 40)
MINE = "# mine\ndataset:\n  name: breastmnist   # my note\ntraining:\n  lr: 1e-3            # slow\n"


# ---- the keyboard ----------------------------------------------------------------------------------------------------


def test_invalid_bytes_and_unknown_escape_sequences_do_not_end_the_console(
    workspace: Workspace,
    isolated: dict[str, str],  # noqa: F811
) -> None:
    with opened(workspace, isolated) as terminal:
        for odd in (b"\xff", b"\xe4 ", b"\x1b[1114112u", b"\x1b[99999999999999999999u", b"\x1b[48;30000;30000;0;0t"):
            terminal.write(odd)
            time.sleep(0.2)  # a read of its own
        mark = len(terminal.received)
        terminal.type("2")
        terminal.wait_for("diagnostics", after=mark, patience=PATIENCE)
        assert terminal.process.poll() is None


def test_other_signals_that_end_it_leave_the_terminal_as_it_was(workspace: Workspace, isolated: dict[str, str]) -> None:  # noqa: F811
    with opened(workspace, isolated) as terminal:
        mark = len(terminal.received)
        terminal.process.send_signal(signal.SIGUSR1)
        assert terminal.process.wait(PATIENCE) == 128 + signal.SIGUSR1
        terminal.wait_for("\x1b[?1049l", after=mark, patience=PATIENCE)
        time.sleep(0.2)
        last = bytes(terminal.received[mark:])
        assert terminal.state() == terminal.first_state
    assert [code for code in LEFT if code not in last] == [], last[-2000:]


@pytest.mark.asyncio
async def test_the_palette_opens_once_even_below_the_kill_switch(console, workspace, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await wait_for(pilot, lambda: getattr(app.base_screen, "checked", None) and app.base_screen.checked.recipe)
        await pilot.press("r")
        await wait_for(pilot, lambda: scripts and scripts[-1].sent)
        scripts[-1].emit(*Story(workspace.outputs / "20261122_breastmnist_resnet18-adapted_1a2b3c").running(2))
        await wait_for(pilot, lambda: app.view.phase == "training")
        await pilot.press("ctrl+p", "f9", "ctrl+p", "f9")
        await pilot.pause(0.3)
        names = [type(screen).__name__ for screen in app.screen_stack]
        assert (names.count("CommandPalette"), names.count("KillSwitch")) == (1, 1)


# ---- texts -----------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("dataset:\n training{}[]&*!|>-'\"#\t\r\ud800~.,?%@` lr01é"), max_size=60))
def test_no_text_makes_a_check_raise(text: str) -> None:
    checked = check(text, "any.yaml")
    assert checked.recipe is not None or checked.problems


def test_a_tab_before_a_comment_is_read_and_deep_nesting_is_refused() -> None:
    assert check("training:\n  epochs: 3\t# c\n").recipe is not None
    for text in ("x: " + "[" * 900, "x: " + "{a: " * 900):
        assert check(text).problems
        with pytest.raises(RecipeError):
            with_value(text, "training", "epochs", "7")


LAYOUTS = (
    "training: {epochs, lr: 1}",
    "training: ~",
    "training: null\n",
    "training: abc",
    "training: [1]",
    "training: { # c\n}",
    "---\ndataset: {name: cells}\n...",
    "  training:\n    epochs: 5\n",
    "training:\n  epochs:\n   - 3\n",
    "a: &x 1\ntraining: {epochs: *x}\n",
    "training: {epochs: 1}\ntraining: {epochs: 2}\n",
    "training:\n  epochs: |\n    3\n",
    "training:\n  epochs:   # c\n  lr: 1\n",
    "",
    "# nothing\n",
)


@pytest.mark.parametrize("text", LAYOUTS)
@pytest.mark.parametrize("field", [("training", "epochs"), ("dataset", "limit")], ids=".".join)
def test_a_form_edit_changes_one_value_and_nothing_else_or_is_refused(text: str, field: tuple[str, str]) -> None:
    section, name = field
    try:
        changed = with_value(text, section, name, "7")
    except RecipeError:
        return
    before = read_yaml(text).values if text.strip() and not text.startswith("#") else {}
    after = read_yaml(changed).values
    assert after.pop(section)[name] == 7
    assert after == {key: value for key, value in before.items() if key != section}
    assert all(comment in changed for comment in ("# c", "# nothing") if comment in text)


# ---- drafts and saving -----------------------------------------------------------------------------------------------


def document(path: Path, text: str) -> Document:
    return Document(Entry(path.name, path, "workspace"), text, MINE)


def test_a_console_that_changed_nothing_leaves_the_drafts_of_another_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    one, other, third = (Drafts(tmp_path / "drafts") for _ in range(3))
    one.keep(document(path, MINE + "# precious\n"))
    other.keep(document(path, MINE))  # opened there, not changed
    other.keep(document(path, MINE + "# another\n"))
    assert len(list((tmp_path / "drafts").iterdir())) == 2, "neither overwrites the other"
    other.keep(document(path, MINE))
    opened_again = document(path, MINE)
    assert third.restore(opened_again) and opened_again.text == MINE + "# precious\n"
    third.keep(opened_again)
    assert len(list((tmp_path / "drafts").iterdir())) == 1, "taken over"


def test_a_draft_of_a_live_console_is_not_taken_from_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        here = this_process()
        owner = asdict(ProcessIdentity(sleeper.pid, start_of(sleeper.pid), here.host, here.boot))
        (tmp_path / "drafts").mkdir()
        draft = {"path": str(path), "text": MINE + "# theirs\n", "saved": MINE, "owner": owner}
        (tmp_path / "drafts" / f"x.{secrets.token_hex(4)}.json").write_text(json.dumps(draft))
        assert not Drafts(tmp_path / "drafts").restore(document(path, MINE))
    finally:
        sleeper.communicate(b"\n")
    found = document(path, MINE)
    assert Drafts(tmp_path / "drafts").restore(found) and found.text.endswith("# theirs\n"), "it lives no more"


def test_a_recipe_whose_name_is_not_utf_8_has_a_draft_too(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.yaml"))
    path.write_text(MINE)
    Drafts(tmp_path / "drafts").keep(document(path, MINE + "# odd\n"))
    again = document(path, MINE)
    assert Drafts(tmp_path / "drafts").restore(again) and again.text.endswith("# odd\n")


@pytest.mark.asyncio
async def test_unsaved_edits_of_a_recipe_whose_file_was_deleted_are_in_the_list(console, workspace) -> None:
    path = workspace.root / "mine.yaml"
    path.write_text(MINE)
    drafts = Drafts(Path(os.environ["MEDTUI_SETTINGS"]).parent / "drafts")
    drafts.keep(document(path, MINE + "# precious\n"))
    path.unlink()
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shows(pilot, "mine.yaml")
        await pilot.press("slash", *"mine", "enter")
        await shows(pilot, "# precious", "The file is gone; saving creates it again.")
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: path.exists() and path.read_text() == MINE + "# precious\n")


@pytest.mark.asyncio
async def test_edits_that_cannot_be_kept_keep_the_console_open(console, workspace, isolated_settings: Path) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    isolated_settings.parent.mkdir(parents=True)
    (isolated_settings.parent / "drafts").write_text("a file in the place of the folder")
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await edited(pilot, app)
        await pilot.press("q", "y")
        await shows(pilot, "could not be saved as drafts")
        assert app.is_running
        await pilot.press("ctrl+s")  # and what can be saved is saved, and said to be
        await shows(pilot, "Saved mine.yaml.")
        assert "# MY EDIT" in (workspace.root / "mine.yaml").read_text()


async def edited(pilot, app) -> Recipes:
    screen = app.get_base_screen("recipes")
    await wait_for(pilot, lambda: screen.entries and screen.current)
    await pilot.press("slash", *"mine", "enter")
    await wait_for(pilot, lambda: screen.current.entry.name == "mine.yaml" and screen.checked.text == MINE)
    await pilot.press("y")
    screen.query_one(YamlArea).move_cursor((5, 0))
    await pilot.press(*"# MY EDIT")
    await wait_for(pilot, lambda: screen.current.dirty)
    await pilot.press("escape")
    return screen


@pytest.mark.asyncio
async def test_discard_and_then_stay_discards_nothing(console, workspace, scripts) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await edited(pilot, app)
        await pilot.press("r")
        await wait_for(pilot, lambda: scripts and scripts[-1].sent)
        scripts[-1].emit(*Story(workspace.outputs / "20261122_breastmnist_resnet18-adapted_1a2b3c").running(2))
        await wait_for(pilot, lambda: app.view.phase == "training")
        await pilot.press("q", "d")
        await shows(pilot, "A run is training.")
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert app.is_running
        assert screen.current.text == screen.query_one(YamlArea).text == MINE + "# MY EDIT"


@pytest.mark.asyncio
async def test_a_run_that_began_while_the_dialog_was_open_is_asked_about_again(console, workspace, scripts) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await wait_for(pilot, lambda: getattr(app.base_screen, "checked", None) and app.base_screen.checked.recipe)
        await pilot.press("r")
        await wait_for(pilot, lambda: scripts and scripts[-1].sent)
        await pilot.press("q")
        await shows(pilot, "y quit, end it")
        scripts[-1].emit(*Story(workspace.outputs / "20261122_breastmnist_resnet18-adapted_1a2b3c").running(2))
        await wait_for(pilot, lambda: app.view.state.epochs)
        await pilot.press("y")
        await shows(pilot, "A run is training.", "leave it running", "stop it")
        assert app.is_running


def test_saving_keeps_links_and_modes_and_refuses_what_is_write_protected(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_text(MINE)
    real.chmod(0o600)
    link = tmp_path / "link.yaml"
    link.symlink_to(real)
    save(document(link, MINE + "# new\n"), link)
    assert link.is_symlink() and real.read_text() == MINE + "# new\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600, "a private recipe stays private"
    real.chmod(0o444)
    with pytest.raises(PermissionError, match="write-protected"):
        save(document(real, MINE), real)
    assert real.read_text() == MINE + "# new\n"


# ---- files that are anybody's ---------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("manifest.json", '{"started": "9999-12-31T23:59:59-23:59"}'),
        ("manifest.json", '{"started": "0001-01-01T00:00:00+23:59"}'),
        ("metrics/samples.json", '{"shape": [1e999, 28, 28], "images": ""}'),
        (
            "metrics/samples.json",
            '{"shape": [1, 1, 1], "images": "AA==", "scores": [1%s], "truth": ["a"], "said": ["a"]}',
        ),
        ("metrics/confusion.csv", "true,a,b\na,1%s,-%s\nb,1,1\n"),
        ("metrics/confusion.csv", "true,a\n" + "a,1\n" * 300_000),
        ("metrics/confusion.csv", None),  # a pipe
        ("recipe.yaml", None),
    ],
    ids=["late", "early", "shape", "score", "counts", "rows", "pipe", "recipe"],
)
async def test_odd_files_of_a_run_neither_end_nor_block_results(console, workspace, file: str, content) -> None:
    name = "20261121_breastmnist_resnet18-adapted_1a2b3c"
    make_run(workspace, name)
    path = workspace.outputs / name / file
    path.unlink(missing_ok=True)
    if content is None:
        os.mkfifo(path)
    else:
        path.write_text(content.replace("%s", "0" * 400))
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("4")
        await wait_for(
            pilot, lambda: app.screen_name == "results" and app.base_screen.ready and app.base_screen.run_rows
        )
        began = time.monotonic()
        await wait_for(pilot, lambda: app.base_screen.detail or app._notifications)
        await pilot.press("o")
        await pilot.pause(0.3)
        await pilot.press("1", "4")
        await wait_for(pilot, lambda: app.screen_name == "results")
        assert time.monotonic() - began < PATIENCE


@pytest.mark.asyncio
async def test_a_failed_status_poll_is_reported_and_ends_nothing(console, workspace, monkeypatch) -> None:
    def odd(outputs: Path) -> None:
        raise OverflowError("a number nobody thought of")

    monkeypatch.setattr("medtui.console.results.screen.run_rows", odd)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready)
        await pilot.press("4")
        await shows(pilot, "OverflowError: a number nobody thought of")
        await pilot.press("1")
        await wait_for(pilot, lambda: app.screen_name == "recipes")


@pytest.mark.asyncio
@pytest.mark.slow
async def test_a_recipe_that_becomes_a_pipe_blocks_nothing(console, workspace) -> None:
    path = workspace.root / "mine.yaml"
    path.write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await edited(pilot, app)
        path.unlink()
        os.mkfifo(path)
        (workspace.outputs).mkdir(exist_ok=True)
        os.mkfifo(workspace.lock_file)
        screen._poll_disk()
        await asyncio.wait_for(asyncio.to_thread(app.engines.held_by_another), 10)
        await pilot.press("2")
        await wait_for(pilot, lambda: app.screen_name == "machine")


@pytest.mark.asyncio
async def test_dialogs_and_their_fields_show_no_raw_control_characters(console, workspace) -> None:
    name = "20261121_breastmnist_resnet18-adapted_1a2b3c"
    make_run(workspace, name)
    hostile = "\x1b]0;EVIL\x07"
    labels = workspace.outputs / name / "labels.json"
    labels.write_text(json.dumps({"tags": [hostile], "note": hostile}))
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("4")
        await wait_for(pilot, lambda: app.screen_name == "results" and app.base_screen.ready and app.base_screen.detail)
        for key in "nt":
            await pilot.press(key)
            await shows(pilot, "enter accepts", "·]0;EVIL·")
            assert "\x1b" not in screen_text(app)
            await pilot.press("enter")
            await pilot.pause(0.2)
    assert json.loads(labels.read_text())["note"] == hostile, "what was not typed over stays as it is"


# ---- a living run is never taken for granted -----------------------------------------------------------------------


@pytest.mark.asyncio
async def test_r_while_another_engine_holds_the_workspace_starts_nothing_and_leaves_what_is_watched(
    console, workspace, scripts
) -> None:
    run = make_run(workspace, "20261121_breastmnist_resnet18-adapted_1a2b3c")
    holder = (
        "import sys, pathlib; from engine.contract.store.lock import Holder, LockState, WorkspaceLock\n"
        "lock = WorkspaceLock(pathlib.Path(sys.argv[1])); lock.acquire(); lock.describe(sys.argv[2])\n"
        "print('held', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", holder, str(workspace.lock_file), run.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        app = console()
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            await wait_for(pilot, lambda: app.handle is not None and app.screen_name == "live")
            handle = app.handle
            await pilot.press("1")
            await wait_for(pilot, lambda: getattr(app.base_screen, "checked", None))
            await pilot.press("r")
            await shows(pilot, f"held by engine {other.pid}", "a attaches to its run")
            assert app.handle is handle and not scripts
            await pilot.press("a")
            await wait_for(pilot, lambda: app.screen_name == "live")
    finally:
        other.communicate("\n")
    WorkspaceLock(workspace.lock_file).acquire()


def test_the_shell_is_told_which_run_continues() -> None:
    view = RunView(run="20261121_x_y_1a2b3c", asked_to_start=True)
    assert "medtui attach last" in describe_left_run(view)
    paused = replace(view, state=replace(view.state, phase="paused"))
    assert "is paused and holds the workspace" in describe_left_run(paused)
    assert describe_left_run(None) == describe_left_run(replace(view, stops_when_left=True)) == ""


@pytest.mark.asyncio
async def test_a_run_that_another_console_resumed_is_followed_again_once(console, workspace, scripts) -> None:
    name = "20261122_breastmnist_resnet18-adapted_1a2b3c"
    make_run(workspace, name, "aborted")
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts)
        script.emit(*story.ended("aborted", 7))
        await wait_for(pilot, lambda: app.view.outcome == "aborted")

        def polled(engine: str | None) -> object:
            app.on_status_polled(StatusPolled("engine 7", "connecting", Gpus(), (name,), None, None, engine))
            return app.handle

        own = app.handle
        assert polled(None) is polled("e" * 16) is own, "its own engine, which holds the lock a moment longer"
        await pilot.press("question_mark")
        assert polled("f" * 16) is own, "a dialog is open"
        await pilot.press("escape")
        followed = polled("f" * 16)
        assert followed is not own and followed.view.run == name
        assert polled("f" * 16) is followed, "before the journal knows of it, too"


@pytest.mark.asyncio
async def test_a_run_that_was_resumed_and_ended_while_a_dialog_was_open_is_read_again(
    console, workspace, monkeypatch
) -> None:
    monkeypatch.setattr("medtui.console.app.POLL_STATUS_EVERY", 0.2)
    run = make_run(workspace, "20261122_breastmnist_resnet18-adapted_1a2b3c", "aborted")
    app = console(attach=run)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await wait_for(pilot, lambda: app.view is not None and app.view.outcome == "aborted")
        await pilot.press("question_mark")
        await wait_for(pilot, lambda: app.screen is not app.base_screen)
        story = Story(run.root)
        story.seq = app.view.state.seq
        again = [story.hello().model_copy(update={"engine": "f" * 16}), *story.running(10)[1:], *story.ended()]
        with run.journal.path.open("ab") as journal:
            journal.writelines(event.line() for event in again)
        ended = {"engine": "f" * 16, "outcome": "completed", "seq": story.seq}
        run.status.path.write_text(read_status(run).model_copy(update=ended).model_dump_json())
        await pilot.press("escape")
        await wait_for(pilot, lambda: app.view.outcome == "completed")


def test_the_lock_of_an_engine_that_has_no_run_yet_is_told_as_preparing() -> None:
    """It may resume the run that the top line shows as ended."""
    preparing = LockState(held=True, holder=Holder(7, 0.0, "", "here", None, 0.0, "e1"))
    assert describe_lock(preparing, False, None) == "engine 7, preparing"


@pytest.mark.asyncio
async def test_the_top_line_says_that_no_step_comes_and_claims_no_remaining_time(console, scripts, monkeypatch) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await watching(pilot, app, scripts)
        app._left = 250.0
        await shows(pilot, "4:10 left")
        monkeypatch.setattr(RunNotifier, "stalled", 75.0)
        await shows(pilot, "● training", "no step for 1 min 15 s")
        assert "left" not in screen_text(app).splitlines()[0]
        monkeypatch.setattr(RunNotifier, "stalled", None)
        await wait_for(pilot, lambda: "4:10 left" in (top := screen_text(app).splitlines()[0]) and "no step" not in top)


def test_a_run_that_crashed_has_no_remaining_time(tmp_path: Path) -> None:
    story, pace = Story(tmp_path / "run", steps=100), Pace()
    view = reduce(absorb, story.running(1), RunView(asked_to_start=True))
    for step in range(1, 60):
        view = absorb(view, story.progress(2, step).model_copy(update={"time": story.time + step}))
        left = pace.left(view)
    assert left is not None
    assert pace.left(replace(view, died="The engine died (signal 9).")) is None


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", ["y", "o"], ids=["load", "overwrite"])
async def test_a_file_that_changes_while_it_is_asked_about_is_left_alone(console, workspace, answer) -> None:
    path = workspace.root / "mine.yaml"
    path.write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await edited(pilot, app)
        path.write_text(MINE + "# theirs\n")
        await pilot.press("ctrl+s")
        await shows(pilot, "mine.yaml has changed on disk.", "overwrite the file")
        path.write_text(MINE + "# theirs, and more\n")
        await pilot.press(answer)
        await shows(pilot, "in the meantime, so it was left alone.")
        assert path.read_text().endswith("# theirs, and more\n") and screen.current.dirty


@pytest.mark.asyncio
async def test_a_copy_that_cannot_be_saved_is_named_itself_and_the_edits_stay(console, workspace, monkeypatch) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await edited(pilot, app)

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("medtui.console.recipes.open_recipes.save", full)
        await pilot.press("s")
        await shows(pilot, "Save your edits as")
        await pilot.press("ctrl+u", *"copy", "enter")
        said = f"Cannot save {workspace.root / 'copy.yaml'}: No space left on device."
        await wait_for(pilot, lambda: any(note.message.startswith(said) for note in app._notifications))
        assert screen.current.entry.name == "mine.yaml" and screen.current.dirty


@pytest.mark.asyncio
async def test_the_top_line_says_who_holds_the_workspace_as_soon_as_the_phase_changes(
    console, scripts, monkeypatch
) -> None:
    monkeypatch.setattr("medtui.console.app.POLL_STATUS_EVERY", 3600.0)
    polled = ["this console"]

    def read(app) -> StatusPolled:
        return StatusPolled(polled[0], "connecting", Gpus(), (), None, None, None)

    monkeypatch.setattr("medtui.console.app.ConsoleApp._read_status", read)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts)
        await shows(pilot, "lock: this console")
        polled[0] = "free"
        script.emit(story.phase("paused"))
        await shows(pilot, "‖ paused", "lock: free")


def test_a_runner_that_prepares_its_first_run_does_not_train_yet() -> None:
    runner = LockState(held=True, holder=Holder(7, 0.0, "", "here", None, 0.0, "r1", "suite grid"))
    assert describe_holder(runner, ()) == "preparing"
    assert describe_holder(runner, ("20261127_cells_mini-cnn_1a2b3c",)) == "training"
