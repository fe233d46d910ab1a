"""Suites: a grid whose cells say how far each run is, the queue beside it, and which run keys mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from screen_helpers import screen_text, shows, wait_for
from stand_ins import make_run
from suite_fixture import held, make_alive, make_pilot, make_queue, make_study, run_name

from engine.contract.recipe.reader import build_recipe
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from medtui.actions import with_keys
from medtui.cluster.schedulers import SCHEDULERS
from medtui.console.shell.dialogs import Question
from medtui.console.suites import suite_actions
from medtui.console.suites.reader import SuiteLine
from medtui.console.suites.tables import QueueTable, SuiteGrid, SuiteList
from medtui.console.suites.text import cell_text, line_text, selected_text
from medtui.plain.suite_status import print_status
from medtui.suites.detached import Started
from medtui.suites.grid import distinct_first
from medtui.suites.requests import add_to_queue
from medtui.suites.settling import Queue
from medtui.suites.status import status_of
from medtui.suites.store import Store, queue_of

pytestmark = pytest.mark.asyncio
SIZE = (120, 40)


async def opened(pilot, app) -> None:
    """The screen, with what it has read."""
    await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready)
    await pilot.press("5")
    await wait_for(pilot, lambda: app.screen_name == "suites" and app.base_screen.state is not None)
    await wait_for(pilot, lambda: app.base_screen.state.shown is None or app.base_screen.query_one(SuiteGrid).row_count)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what the console had a runner start for; none is started."""
    found: list[str] = []

    def start_runner(store: Store) -> Started:
        found.append(store.name)
        return Started(store.owner, 4711, store.folder / "runner.log")

    monkeypatch.setattr(suite_actions, "start_runner", start_runner)
    return found


class SlurmStandIn:
    """Two jobs wait."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    def queue(self, names: Iterable[str]) -> Queue:
        waiting = {job: "PENDING" for job in ("17_0", "17_1") if job not in self.cancelled}
        return Queue(waiting, dict.fromkeys(names, "17"))

    def cancel(self, jobs: Sequence[str], *, waiting: bool) -> None:
        self.cancelled += jobs


@pytest.fixture
def scheduler(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> SlurmStandIn:
    """That the study's last two runs were submitted to: one with a run directory, one without."""
    made = SlurmStandIn()
    monkeypatch.setitem(SCHEDULERS, "slurm", lambda: made)  # type: ignore[arg-type]
    ids = [item.id for item in make_study(workspace)[6:]]
    journal = Store(workspace, "study").journal()
    journal.write({"event": "submitting", "ids": ids, "name": "study-a1", "scheduler": "slurm"})
    jobs = {id_: (f"17_{number}", "log") for number, id_ in enumerate(ids)}
    journal.write({"event": "submitted", "jobs": jobs})
    return made


# ---- what it shows --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("no_color", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_every_state_has_a_glyph_of_its_own_also_without_colours(
    console, workspace: Workspace, monkeypatch, no_color: bool
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    make_study(workspace)
    app = console()
    with held(workspace, run_name(2), run_name(5)):
        async with app.run_test(size=SIZE) as pilot:
            await opened(pilot, app)
            await shows(pilot, "✓ 0.9000", "● 8/10", "✗ failed", "■ 0.9400", "‖ 8/10", "↻ 8/10", "· waiting")
            await shows(pilot, "0.9050 ± 0.0071 (2)", "8 runs: ", "2 completed", "breastmnist", "its runner is working")


async def test_the_list_says_how_many_runs_of_a_suite_are_completed() -> None:
    """As the dry run does: one that failed, or was stopped or aborted, is to be done again."""
    ended = SuiteLine("study", {"completed": 2, "failed": 1, "stopped": 1, "aborted": 3, "killed": 1}, works=False)
    assert line_text(ended, 40).plain == "✗ study  2/8, 1 failed"
    assert line_text(SuiteLine("cc", {"aborted": 2, "pending": 1}, works=False), 40).plain == "○ cc  0/3"


async def test_the_auc_next_to_the_epochs_says_that_it_is_the_best(workspace: Workspace, capsys) -> None:
    """Its newest epoch has another one: 0.9000 after eight epochs, of which the sixth is the best."""
    item = make_study(workspace)[2]
    store = Store(workspace, "study")
    status = status_of(store.journal().work.items[item.id], workspace)
    assert cell_text(status).plain == "● 8/10 0.920" and cell_text(status, named=True).plain == "● 8/10 best val 0.920"
    assert "epoch 8/10 · best validation AUC 0.9200" in selected_text(status, with_keys({})).plain
    print_status(store, store.journal().work)
    assert "8/10  best val 0.9200" in capsys.readouterr().out


async def test_a_mean_says_of_which_split_it_is(console, workspace: Workspace) -> None:
    """The grid has the test split's, the curves the validation split's."""
    make_study(workspace)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await shows(pilot, "mean test AUC", "A mini_cnn (2 runs)  mean validation AUC, by epoch")


async def test_a_mean_has_the_digits_of_the_table_where_there_is_room(console, workspace: Workspace) -> None:
    make_study(workspace)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await shows(pilot, "0.9050 ± 0.0071 (2)")
        await pilot.resize_terminal(80, 24)
        await shows(pilot, "0.905 ± 0.007 (2)")


@pytest.mark.slow
async def test_an_empty_workspace_says_what_a_suite_is_and_which_key_begins(console) -> None:
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await shows(
            pilot, "No suites in this workspace yet", "n chooses a suite file", "The queue is empty", "w there adds one"
        )
        await pilot.press("r", "t", "X", "D", "u", "enter")
        await pilot.pause(0.2)
        assert not isinstance(app.screen, Question)


@pytest.mark.slow
async def test_an_unreadable_journal_is_told_and_ends_nothing(console, workspace: Workspace) -> None:
    (workspace.outputs / "suites").mkdir(parents=True)
    (workspace.outputs / "suites" / "odd").mkdir()
    (workspace.outputs / "suites" / "odd" / "journal.jsonl").write_bytes(b"\xff\x00{}\n[1]\n" + b"{" * 5000)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready)
        await pilot.press("5")
        await shows(pilot, "odd · no runs", "its plan cannot be read")


@pytest.mark.slow
async def test_another_suite_is_shown_when_the_list_is_on_it(console, workspace: Workspace) -> None:
    make_study(workspace)
    make_pilot(workspace)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await shows(pilot, "pilot · 1 run: 1 completed", "complete: `medtui suite table pilot`")
        app.base_screen.query_one(SuiteList).focus()
        await pilot.press("j")
        await shows(pilot, "study · 8 runs", "✗ failed")
        await pilot.press("enter")
        await wait_for(pilot, lambda: app.base_screen.query_one(SuiteGrid).has_focus)


@pytest.mark.slow
async def test_what_changes_is_shown_and_the_cursor_stays_on_its_run(console, workspace: Workspace) -> None:
    items = make_study(workspace)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("j", "l", "l", "l")
        await shows(pilot, "seed 4  · waiting")
        ended = {"event": "ended", "id": items[7].id, "outcome": "failed", "run": None, "detail": "No space left."}
        Store(workspace, "study").journal().write(ended)
        await pilot.press("f5")
        await shows(pilot, "seed 4  ✗ failed", "No space left.", "t retries it")
        assert app.base_screen.selected.item.id == items[7].id


@pytest.mark.slow
@pytest.mark.parametrize("size", [(60, 18), (80, 24), (120, 40)], ids=str)
async def test_the_mouse_selects_and_opens_as_keys_do(console, workspace: Workspace, size) -> None:
    make_study(workspace)
    app = console()
    async with app.run_test(size=size) as pilot:
        await opened(pilot, app)
        grid = app.base_screen.query_one(SuiteGrid)
        lines = screen_text(app).splitlines()
        at = next((row, line.index("✓ 0.91")) for row, line in enumerate(lines) if "✓ 0.91" in line)
        await pilot.click(offset=(at[1], at[0]))
        await wait_for(pilot, lambda: tuple(grid.cursor_coordinate) == (0, 2))
        await pilot.click(offset=(at[1], at[0]))
        await wait_for(pilot, lambda: app.screen_name == "results")


# ---- one run --------------------------------------------------------------------------------------------------------


async def test_enter_opens_a_run_that_trains_in_live_and_another_in_results(console, workspace: Workspace) -> None:
    make_study(workspace)
    app = console()
    with held(workspace, run_name(2), run_name(5)):
        async with app.run_test(size=SIZE) as pilot:
            await opened(pilot, app)
            await pilot.press("enter")
            await wait_for(pilot, lambda: app.screen_name == "results" and app.base_screen._selected == run_name(0))
            await pilot.press("5", "l", "l", "enter")
            await wait_for(pilot, lambda: app.screen_name == "live" and app.view.run == run_name(2))
            await shows(pilot, "run 1 of 2")
            await pilot.press("n")
            await wait_for(pilot, lambda: app.view.run == run_name(5))
            await shows(pilot, "run 2 of 2", "‖ paused")
            await pilot.press("n")
            await wait_for(pilot, lambda: app.view.run == run_name(2))


async def test_pause_and_stop_mean_the_selected_run(console, workspace: Workspace) -> None:
    make_study(workspace)
    app = console()
    with held(workspace, run_name(2), run_name(5)):
        async with app.run_test(size=SIZE) as pilot:
            await wait_for(pilot, lambda: app.screen_name == "suites" and app.view and app.view.run == run_name(2))
            await opened(pilot, app)
            await pilot.press("j", "l")  # the paused one: what pauses a run resumes it
            await wait_for(pilot, lambda: app.view.run == run_name(5) and app.view.phase == "paused")
            await pilot.press("p")
            control = workspace.outputs / run_name(5) / "control.jsonl"
            await wait_for(pilot, control.exists)
            assert '"resume"' in control.read_text()
            assert not (workspace.outputs / run_name(2) / "control.jsonl").exists()
            await pilot.press("S")
            await shows(pilot, "kill switch", "seed 2")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("p", "completed: nothing to pause"),
        ("C", "completed: nothing to save"),
        ("jlllS", "waiting: nothing to stop"),
        ("hK", "There is no run here: nothing to abort"),
        ("ht", "There is no run here: nothing to retry"),
        ("]S", "waiting: nothing to stop"),
    ],
)
async def test_a_key_to_a_run_says_that_the_selected_one_has_nothing_to_end(
    console, workspace: Workspace, keys: str, words: str
) -> None:
    """While others train, one of which the top line shows."""
    make_study(workspace)
    make_queue(workspace)
    app = console()
    with held(workspace, run_name(2), run_name(5)):
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            await wait_for(pilot, lambda: app.view is not None and app.view.phase == "training")
            await opened(pilot, app)
            await pilot.press(*("right_square_bracket" if key == "]" else key for key in keys))
            await shows(pilot, words)
            assert len(app.screen_stack) == 2
            assert not app.can(app.actions["run.stop"]) and not app.can(app.actions["suites.retry"])
            await pilot.press("f9")  # always opens, and names the run
            await shows(pilot, "kill switch", "seed 3")
    assert not list(workspace.outputs.glob("*/control.jsonl"))


async def test_what_is_interrupted_is_no_waiting_run_in_totals_list_and_title(
    console, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """And each AUC of the list says which it is."""
    make_study(workspace)
    store = Store(workspace, "study")
    counts = "1 waiting, 1 interrupted, 2 running, 2 completed, 1 stopped, 1 failed"
    with held(workspace, run_name(2), run_name(5)):
        print_status(store, store.journal().work)
        listed = capsys.readouterr().out
        app = console()
        async with app.run_test(size=SIZE) as pilot:
            await opened(pilot, app)
            await shows(pilot, f"8 runs: {counts}")
    assert f"8 runs: {counts}." in listed and "interrupted " in listed
    assert re.search(r"training +\d+/\d+ +best val 0\.\d{4} ", listed)
    assert re.search(r"completed .* test 0\.9000 ", listed)


@pytest.mark.slow
async def test_a_run_that_failed_is_retried_and_one_that_is_done_is_not(console, workspace: Workspace) -> None:
    items = make_study(workspace)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("t")
        await shows(pilot, "Only a run that failed")
        await pilot.press("l", "l", "l", "t")
        await shows(pilot, "To be retried", "r starts it")
    assert Store(workspace, "study").journal().work.items[items[3].id].state == "pending"


async def test_a_run_that_is_killed_here_is_not_resumed_by_its_runner(console, workspace: Workspace) -> None:
    """The kill switch notes it in the journal before the first signal, as `medtui kill` does."""
    items = make_study(workspace)
    killed = RunDirectory(workspace.outputs / run_name(2))
    app = console()
    with held(workspace, run_name(2), run_name(5)):
        async with app.run_test(size=SIZE) as pilot:
            await wait_for(pilot, lambda: app.view is not None and app.view.run == killed.name)
            app.engines._note_kill(killed)
    work = Store(workspace, "study").journal().work
    assert [item.id for item in work.items.values() if item.kill_asked] == [items[2].id]


# ---- starting and ending --------------------------------------------------------------------------------------------


async def test_a_suite_is_started_from_its_file_after_its_runs_are_told(
    console, workspace: Workspace, started: list[str]
) -> None:
    for name in ("a", "b"):
        (workspace.root / f"{name}.yaml").write_text("recipe: breastmnist\nseeds: 1-2\n")
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("n")
        await shows(pilot, "Start which suite?", "a.yaml", "b.yaml")
        await pilot.press("j", "enter")
        await shows(pilot, "Suite b: 2 runs", "Start it?", "time  unknown", "disk  ")
        assert started == []
        await pilot.press("y")
        await shows(pilot, "Runner 4711 is working on suite b", "runner.log")
        await shows(pilot, "b · 2 runs: 2 waiting")
    assert started == ["b"] and len(Store(workspace, "b").journal().work.items) == 2


@pytest.mark.slow
async def test_a_wrong_file_is_told_and_nothing_is_written(console, workspace: Workspace, started: list[str]) -> None:
    (workspace.root / "a.yaml").write_text("recipes: [breastmnist]\ntraining.lr: fast\n")
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("n")
        await shows(pilot, "a.yaml", "training.lr")
    assert started == [] and not (workspace.outputs / "suites").exists()


@pytest.mark.slow
async def test_a_suite_is_continued_and_one_that_works_is_stopped(
    console, workspace: Workspace, started: list[str]
) -> None:
    make_study(workspace)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("r")
        await shows(pilot, "Start suite study?", "runs  5", "when you quit this console")
        await pilot.press("n", "r")
        await shows(pilot, "Start suite study?")
        assert started == []
        await pilot.press("enter")
        await wait_for(pilot, lambda: started == ["study"])
        with held(workspace):
            await pilot.press("X")
            await shows(pilot, "Stop suite study", "let the live runs finish")
            await pilot.press("y")
            await shows(pilot, "suite study was asked to stop.")
    assert list(Store(workspace, "study").journal().work.asked.values()) == ["stop"]


async def test_jobs_of_a_cluster_are_told_apart_and_only_stopped(
    console, workspace: Workspace, scheduler: SlurmStandIn, started: list[str]
) -> None:
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app)
        await shows(pilot, "◇ submitted", "◇ 8/10", "2 submitted", "on slurm; X stops it", "◇ study  2/8")
        await pilot.press("r")
        await shows(pilot, "has 2 runs on slurm: 17.")
        await pilot.press("escape", "t")
        await shows(pilot, "has 2 runs on slurm: 17.")
        assert scheduler.cancelled == [] and started == []
        await pilot.press("X")
        await shows(pilot, "whose jobs slurm has?")
        await pilot.press("y")
        await shows(pilot, "2 runs cancelled before training")
        assert scheduler.cancelled == ["17_0", "17_1"]
        await pilot.press("r")
        await shows(pilot, "Start suite study?")  # no job is left
    assert started == []


@pytest.mark.slow
async def test_the_end_of_a_suite_is_told_on_every_screen(console, workspace: Workspace) -> None:
    items = make_study(workspace)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready)
        with held(workspace):
            await wait_for(pilot, lambda: app._worked == "study")
        await shows(pilot, "Suite study has no runner any more: 8 runs")
        with held(workspace):
            await wait_for(pilot, lambda: app._worked == "study")
            journal = Store(workspace, "study").journal()
            for number, item in enumerate(items):
                run = make_run(workspace, f"20261121_cells_mini-cnn_{number:06x}", epochs=1).name
                ended = {"event": "ended", "id": item.id, "outcome": "completed", "run": run, "detail": ""}
                journal.write(ended)
        await shows(pilot, "Suite study has ended: 8 runs: 8 completed.")


# ---- the queue ------------------------------------------------------------------------------------------------------


async def test_recipes_are_added_while_a_run_trains_then_moved_and_removed(
    console, scripts, workspace: Workspace
) -> None:
    from test_live import watching

    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await watching(pilot, app, scripts)
        await pilot.press("1", "w")
        await shows(pilot, "Entry 1: ", "nothing waits before it", "5 shows the queue")
        await pilot.press("w")
        await shows(pilot, "Entry 2: ", "1 run before it")
        await opened(pilot, app)
        await wait_for(pilot, lambda: app.base_screen.query_one(QueueTable).has_focus)
        order = lambda: [item.id for item in queue_of(workspace).journal().work.of("pending")]  # noqa: E731
        await pilot.press("d")
        await wait_for(pilot, lambda: order() == ["2", "1"])
        await wait_for(pilot, lambda: app.base_screen.selected.item.id == "1")
        await pilot.press("u")
        await wait_for(pilot, lambda: order() == ["1", "2"])
        await pilot.press("D")
        await shows(pilot, "Remove entry 1 from the queue")
        await pilot.press("y")
        await wait_for(pilot, lambda: order() == ["2"])


async def test_entries_of_the_queue_say_what_differs_and_what_their_number_is(console, workspace: Workspace) -> None:
    from stand_ins import TESTED

    for epochs in (10, 3000):
        values = {"dataset": {"name": "breastmnist"}, "model": {"name": "mini_cnn"}, "training": {"epochs": epochs}}
        add_to_queue(workspace, build_recipe(values))
    journal = queue_of(workspace).journal()
    done, lives = make_run(workspace, run_name(1), test=TESTED), make_run(workspace, run_name(2), None)
    make_alive(lives)
    for at, run in enumerate((done, lives), 1):
        journal.write({"event": "claimed", "id": str(at), "slot": at, "runner": "r" * 16})
        journal.write({"event": "started", "id": str(at), "run": run.name})
    journal.write({"event": "ended", "id": "1", "outcome": "completed", "run": done.name, "detail": ""})
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await shows(pilot, "test AUC 0.", "best val 0.", "mini_cnn, defaults, epochs 10,", "mini_cnn, defaults, epo")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (60, 18)])
@pytest.mark.everyday("size0")
async def test_details_of_an_entry_of_the_queue_are_in_the_frame_that_is_titled_queue(
    console, workspace: Workspace, size: tuple[int, int]
) -> None:
    make_study(workspace)
    make_queue(workspace)
    app = console()
    async with app.run_test(size=size) as pilot:
        await opened(pilot, app)
        await shows(pilot, "mini_cnn, seed 1  ✓ completed")
        await pilot.press("]")
        await wait_for(pilot, lambda: app.base_screen._in_queue)
        await wait_for(pilot, lambda: app.base_screen.query_one("#queue-selected").region.height)
        assert "mini_cnn, seed 1  ✓ completed" not in screen_text(app)
        details, pane = (app.base_screen.query_one(one).region for one in ("#queue-selected", "#pane-queue"))
        assert pane.contains_region(details) and details.height
        assert app.base_screen.has_class("-roomy") == (size[0] >= 160)  # from its opening, not from a resize
        await pilot.press("[")
        await shows(pilot, "mini_cnn, seed 1  ✓ completed")


async def test_what_differs_among_entries_stands_first_where_not_all_fits() -> None:
    labels = ["breastmnist, mini_cnn, epochs 10, seed 1", "breastmnist, mini_cnn, epochs 3000, seed 1"]
    assert distinct_first(labels, 42) == labels
    assert [one[:11] for one in distinct_first(labels, 30)] == ["epochs 10, ", "epochs 3000"]


async def test_the_footer_says_the_keys_of_the_queue_where_the_cursor_is_in_it(console, workspace: Workspace) -> None:
    make_study(workspace)
    make_queue(workspace)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        assert "u earlier" not in screen_text(app).splitlines()[-1]
        await pilot.press("right_square_bracket")
        await shows(pilot, "u earlier", "d later", "D remove")


@pytest.mark.parametrize("size", [(60, 18), (120, 40)], ids=str)
async def test_where_there_is_only_a_queue_keys_mean_the_queue(console, workspace: Workspace, size, started) -> None:
    make_queue(workspace)
    app = console()
    async with app.run_test(size=size, notifications=True) as pilot:
        await opened(pilot, app)
        await wait_for(pilot, lambda: app.base_screen.query_one(QueueTable).has_focus)
        await pilot.press("r")
        await shows(pilot, "Start the queue?")
    assert started == []


async def test_a_key_of_the_queue_says_which_key_goes_there(console, workspace: Workspace) -> None:
    make_study(workspace)
    make_queue(workspace)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("u")
        await shows(pilot, "Select an entry of the queue first; ] goes there.")
        app.base_screen.query_one(SuiteList).focus()
        await pilot.press("d")
        await shows(pilot, "Select an entry of the queue first; [ goes there.")
        await pilot.press("left_square_bracket")
        await wait_for(pilot, lambda: app.base_screen.query_one(QueueTable).has_focus)


@pytest.mark.slow
async def test_the_queue_is_started_where_the_cursor_is_in_it(
    console, workspace: Workspace, started: list[str]
) -> None:
    make_study(workspace)
    make_queue(workspace)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app)
        app.base_screen.query_one(QueueTable).focus()
        await pilot.press("r")
        await shows(pilot, "Start the queue?", "runs  3", "one after the other")
        await pilot.press("y")
        await wait_for(pilot, lambda: started == [".queue"])


# ---- who may not, and hostile text ----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_read_only_console_changes_nothing(console, workspace: Workspace, started: list[str]) -> None:
    make_study(workspace)
    make_queue(workspace)
    before = {path: path.read_bytes() for path in (workspace.outputs / "suites").rglob("*.jsonl")}
    app = console(readonly=True)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("r", "n", "t", "X", "right_square_bracket", "u", "d", "D", "1", "w")
        await shows(pilot, "This console is read-only.")
        await pilot.pause(0.2)
    assert started == [] and len(before) == 2
    assert {path: path.read_bytes() for path in (workspace.outputs / "suites").rglob("*.jsonl")} == before


@pytest.mark.parametrize("key", ["p", "C", "S", "K", "f9"])
async def test_a_read_only_console_says_why_a_key_to_a_run_does_nothing(console, workspace: Workspace, key) -> None:
    """A key without any answer looks broken; the footer leaves these keys out."""
    make_study(workspace)
    app = console(readonly=True)
    with held(workspace, run_name(2)):
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            await wait_for(pilot, lambda: app.view is not None and app.view.phase == "training")
            await opened(pilot, app)
            await pilot.press(key)
            await shows(pilot, "This console is read-only.")
            assert "S stop" not in screen_text(app) and len(app.screen_stack) == 2
    assert not (workspace.outputs / run_name(2) / "control.jsonl").exists()


@pytest.mark.slow
async def test_hostile_labels_are_plain_text(console, workspace: Workspace) -> None:
    evil = "evil\x1b]52;c;AAAA\x07\x1b[31m[/] [b]x[/b]"
    item = {"id": "x", "label": evil, "recipe": {"training": {"seed": 1}}, "data": []}
    journal = Store(workspace, "odd").make()
    journal.write({"event": "planned", "items": [item]})
    journal.write({"event": "ended", "id": "x", "outcome": "failed", "run": None, "detail": evil})
    queue_of(workspace).make().write({"event": "added", "item": item})
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await shows(pilot, "✗ failed", "[b]x[/b]")
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", screen_text(app))


@pytest.mark.slow
async def test_the_screen_is_imported_when_it_is_first_shown(tmp_path: Path) -> None:
    """Not with the console: its first frame does not wait for it."""
    import subprocess
    import sys

    code = "import sys, medtui.console.app; print(*(n for n in sys.modules if n.startswith('medtui.suites')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
