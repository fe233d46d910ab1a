"""Each screen in its main states and sizes, as text that a reviewer can read: `golden/*.txt`.

`MEDTUI_UPDATE_GOLDEN=1 pytest tests/console/test_golden.py` writes them anew; then read the difference.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from screen_helpers import PATIENCE, screen_text, shows, wait_for
from stand_ins import START, Scripted, Story, make_run
from textual.pilot import Pilot

from engine.contract.store.lock import Holder, LockState
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import RunFailed
from engine.contract.wire.protocol import ErrorInfo, Progress
from medtui.client.run_management import set_tags
from medtui.console.app import ConsoleApp
from medtui.console.machine.screen import Checks, HardwarePolled, Machine, WorkspacePolled
from medtui.console.machine.text import WorkspaceState
from medtui.console.results.run_table import RunTable
from medtui.console.widgets.fetch_panel import FetchPanel
from medtui.machine.checks import Check
from medtui.machine.hardware import Gpu, Hardware
from medtui.machine.orphans import OrphanedEngine
from medtui.sentences import Job
from medtui.settings import Settings

GOLDEN = Path(__file__).parent / "golden"
SIZES = ((60, 18), (80, 24), (120, 40))
MINE = """# a recipe of ours
dataset:
  name: breastmnist   # my note
training:
  lr: {lr}            # slow
"""
RUN = "20261122_breastmnist_resnet18-adapted_1a2b3c"
State = Callable[[Pilot[int], ConsoleApp, list[Scripted]], Awaitable[None]]

pytestmark = pytest.mark.asyncio


async def recipes(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _mine(pilot, app, "1e-3")
    await _preflighted(pilot, app)


async def _preflighted(pilot: Pilot[int], app: ConsoleApp) -> None:
    await wait_for(pilot, lambda: app.base_screen.preflight)  # type: ignore[union-attr]


async def recipes_edited(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _mine(pilot, app, "1e-3")
    form = app.base_screen.query_one("#form")
    form.go_to("training", "lr")
    app.base_screen.set_focus(form)
    await pilot.press("enter", *"0.5", "enter")
    await wait_for(pilot, lambda: app.base_screen.checked.recipe and app.base_screen.checked.recipe.training.lr == 0.5)
    await pilot.pause(0.6)
    await _preflighted(pilot, app)


async def recipes_wrong(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _mine(pilot, app, "fast")
    form = app.base_screen.query_one("#form")
    form.go_to("training", "lr")
    app.base_screen.show_only(1)
    app.base_screen.set_focus(form)
    await pilot.pause()


async def _mine(pilot: Pilot[int], app: ConsoleApp, lr: str) -> None:
    (app.workspace.root / "mine.yaml").write_text(MINE.format(lr=lr))
    await wait_for(pilot, lambda: app.base_screen and app.base_screen.entries and app.base_screen.current)  # type: ignore[union-attr]
    app.base_screen._list()
    await wait_for(pilot, lambda: any(entry.name == "mine.yaml" for entry in app.base_screen.entries))
    options = app.base_screen.query_one("#recipe-list")
    entry = next(entry for entry in app.base_screen.entries if entry.name == "mine.yaml")
    options.highlighted = options.get_option_index(entry.key)
    await wait_for(
        pilot,
        lambda: app.base_screen.current.entry == entry and app.base_screen.checked.text == app.base_screen.current.text,
    )


async def _started(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> tuple[Scripted, Story]:
    await wait_for(pilot, lambda: getattr(app.base_screen, "checked", None) and app.base_screen.checked.recipe)
    await pilot.press("r")
    await wait_for(pilot, lambda: scripts and scripts[-1].sent)
    return scripts[-1], Story(app.workspace.outputs / RUN)


async def live_empty(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await pilot.press("3")
    await shows(pilot, "Nothing is training.")


async def live_running(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.emit(*story.running(8), story.log("new best, checkpoint saved"))
    await shows(pilot, "epoch 9/10")
    await wait_for(pilot, lambda: app.view.state.messages)


async def live_paused(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.emit(*story.running(8))
    await shows(pilot, "epoch 9/10")
    script.emit(story.accepted("1", "pause"), story.phase("paused"), story.checkpoint(8))
    await shows(pilot, "‖ paused")


async def live_finished(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.emit(*story.running(10), *story.ended())
    script.end()
    await shows(pilot, "✓ completed")
    await wait_for(pilot, lambda: app.view.after.checkpoint)


async def live_failed(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    error = ErrorInfo(kind="failed", message="The loss is NaN in epoch 4.", hint="Lower training.lr.")
    script.emit(*story.running(3), *story.ended("failed", 5, error))
    script.end()
    await shows(pilot, "✗ failed")
    await wait_for(pilot, lambda: app.view.after.checkpoint)


async def live_crashed(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.emit(*story.running(3))
    await wait_for(pilot, lambda: len(app.view.state.epochs) == 3)
    script.die()
    await shows(pilot, "✗ crashed")
    await wait_for(pilot, lambda: app.view.after.checkpoint)


async def escalation(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.emit(*story.running(8))
    await shows(pilot, "epoch 9/10")
    await pilot.press("S")
    await shows(pilot, "y stop")
    await pilot.press("y")
    await wait_for(pilot, lambda: app.view.requests)
    story.time = app.view.requests[-1].at
    script.emit(story.accepted(script.sent[-1].id, "stop"), story.checkpoint(8))
    await shows(pilot, "✓ checkpoint saved")


async def kill_switch_opened(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.emit(*story.running(8))
    await shows(pilot, "epoch 9/10")
    await pilot.press("K")
    await shows(pilot, "y abort")


async def leave(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.emit(*story.running(8))
    await shows(pilot, "epoch 9/10")
    await pilot.press("q")
    await shows(pilot, "A run is training.")


async def results_empty(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await pilot.press("4")
    await shows(pilot, "No runs here yet.")


async def results_finished(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    """A subset run crashed last, a tagged run failed before it, and the one that is shown is completed."""
    outcomes: tuple[tuple[str | None, int | None], ...] = (("completed", None), ("failed", None), (None, 64))
    for day, (outcome, limit) in enumerate(outcomes):
        name = f"2026112{day}_breastmnist_resnet18-adapted_1a2b3{day}"
        started = f"2026-11-2{day}T{21 - day}:26:40+00:00"
        run = make_run(app.workspace, name, outcome, epochs=8, started=started, limit=limit)
        if outcome == "failed":
            set_tags(run, ["paper"])
    await pilot.press("4")
    screen = app.get_base_screen("results")
    await wait_for(pilot, lambda: screen.detail)
    await _down_to(pilot, app, "completed")


async def _down_to(pilot: Pilot[int], app: ConsoleApp, state: str) -> None:
    screen = app.get_base_screen("results")
    wanted = next(run_row.run for run_row in screen.run_rows if run_row.state == state)
    table = screen.query_one(RunTable)
    while table.chosen != wanted:
        await pilot.press("down" if table.chosen > wanted else "up")
    await wait_for(pilot, lambda: screen.detail and screen.detail.run_row.state == state)
    await pilot.pause(0.2)


async def results_failed(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await results_finished(pilot, app, scripts)
    await _down_to(pilot, app, "failed")
    await pilot.press("enter")


async def results_crashed(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await results_finished(pilot, app, scripts)
    await _down_to(pilot, app, "crashed")
    await pilot.press("enter")


async def results_compared(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await results_finished(pilot, app, scripts)
    await pilot.press("up", "up", "space", "space", "space", "c")
    await shows(pilot, "3 runs compared")
    await wait_for(pilot, lambda: app.screen.query_one("#compare-differences").content_size.height)


async def _asked(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted], state: str, key: str) -> None:
    await results_finished(pilot, app, scripts)
    await _down_to(pilot, app, state)
    await pilot.press(key)
    await wait_for(pilot, lambda: app.screen is not app.base_screen)


async def results_tag(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _asked(pilot, app, scripts, "failed", "t")


async def results_archive(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _asked(pilot, app, scripts, "completed", "A")


async def results_delete(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _asked(pilot, app, scripts, "completed", "D")


async def results_evaluate(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _asked(pilot, app, scripts, "completed", "e")


async def results_resume(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _asked(pilot, app, scripts, "crashed", "u")


async def _machine(pilot: Pilot[int], app: ConsoleApp) -> Machine:
    """The screen before its first refresh."""
    screen = app.get_base_screen("machine")
    assert isinstance(screen, Machine)
    screen.diagnose = lambda workspace, cancelled: None
    screen.action_refresh_checks = lambda: None  # type: ignore[method-assign]
    screen._check_again = lambda: None  # type: ignore[method-assign]  # as another size of the terminal does
    screen._poll_workspace = lambda: None  # type: ignore[method-assign]
    screen._poll_hardware = lambda: None  # type: ignore[method-assign]
    await pilot.press("2")
    await wait_for(pilot, lambda: screen.ready)
    return screen


async def machine_empty(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _machine(pilot, app)
    await shows(pilot, "checking …")


async def machine_free(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    """Four cores and a GPU, observed for half a minute; nothing trains, no problems."""
    screen = await _machine(pilot, app)
    for second in range(30):
        gpu = Gpu("NVIDIA A100-SXM4-80GB", 20 + 2 * second, 6_100_000_000, 85_900_000_000, 45)
        cores = (12.0 + second, 87.0, 3.0, 100.0)
        hardware = Hardware(cores, 6_100_000_000, 25_300_000_000, 77_900_000_000, 270_600_000_000, (gpu,))
        screen.on_hardware_polled(HardwarePolled(hardware))
    screen.on_workspace_polled(WorkspacePolled(WorkspaceState("/home/me/work", LockState(held=False), None, (), None)))
    screen.on_checks(Checks([
        Check("python", "Python", "pass", "3.11.7"),
        Check("engine", "engine", "pass", "torch 2.14.1 on cuda:0, 8 threads"),
    ]))  # fmt: skip


async def machine(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    """A run trains, another engine was left behind, a check fails."""
    screen = await _machine(pilot, app)
    hardware = Hardware((12.0, 87.0), 6_100_000_000, 25_300_000_000, 77_900_000_000, 270_600_000_000, ())
    screen.on_hardware_polled(HardwarePolled(hardware))
    holder = Holder(4711, START, "b", "gpu-box", RUN, START)
    state = WorkspaceState(
        "/home/me/work", LockState(True, holder), True, (OrphanedEngine(4242, 0.0, 800_000_000),), None
    )
    screen.on_workspace_polled(WorkspacePolled(state))
    screen.query_one("#orphans").update_cell("4242", "age", "3 h 05 min")
    screen.on_checks(Checks([
        Check("python", "Python", "pass", "3.11.7"),
        Check("engine", "engine", "pass", "torch 2.14.1 on cpu, 2 threads"),
        Check("weights", "ImageNet weights", "warn", "not in /home/me/.cache", "Put resnet18-f37072fd.pth there."),
        Check("disk", "disk", "fail", "0.4 GB free", "Free some space: a run needs about 0.5 GB."),
    ]))  # fmt: skip
    await pilot.pause(0.1)


async def fetch_asked(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _mine(pilot, app, "1e-3")
    await machine(pilot, app, scripts)
    os.environ["MEDTUI_OFFLINE"] = ""  # no engine fetches here; the fixture below puts it back
    await pilot.press("f")
    await shows(pilot, "At most 0.6 MB.")


async def fetching(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await fetch_asked(pilot, app, scripts)
    panel = app.get_base_screen("machine").query_one(FetchPanel)

    def fetch(
        name: str, size: int, *_: object, cancelled: Callable[[], bool], on_event: Callable[..., None], **__: object
    ):
        story = Story(Path("run"))
        on_event(
            story.log("Fetching breastmnist.npz (at most 0.6 MB) from https://zenodo.org/ into /home/me/.medmnist.")
        )
        words = "fetching breastmnist.npz"
        on_event(Progress(time=START, phase="preparing", activity=words, done=400_000, total=559_580, unit="bytes"))
        while not cancelled():
            time.sleep(0.05)
        raise RunFailed(Job.CANCELLED)

    panel.fetch = fetch  # type: ignore[method-assign]
    await pilot.press("enter")
    await shows(pilot, "0.4 MB of 0.6 MB")


STATES: dict[str, State] = {
    name: state
    for name, state in globals().items()
    if name in (
        "recipes", "recipes_edited", "recipes_wrong", "live_empty", "live_running", "live_paused", "live_finished",
        "live_failed", "live_crashed", "escalation", "kill_switch_opened", "leave", "results_empty", "results_finished",
        "results_failed", "results_crashed", "results_compared", "machine_empty", "machine_free", "machine",
        "fetch_asked", "fetching",
    )
}  # fmt: skip
SMALL = ((40, 12), (60, 18))
SIZES_OF = {"escalation": ((40, 12), *SIZES), "kill_switch_opened": SMALL, "leave": SMALL}  # the other states: SIZES


@pytest.fixture(autouse=True)
def offline_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDTUI_OFFLINE", "1")


DIALOGS = {state.__name__: state for state in (
    results_tag, results_archive, results_delete, results_evaluate, results_resume,
)}  # fmt: skip


async def compare(pilot: Pilot[int], app: ConsoleApp, workspace: Workspace, name: str) -> None:
    """The screen becomes the golden frame, and is that still a moment later: a busy machine lays out late."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("MEDTUI_UPDATE_GOLDEN"):
        await pilot.pause(0.5)
        path.write_text(steady(screen_text(app), workspace), encoding="utf-8")
    assert path.exists(), f"{path} is missing; see the top of this file"
    expected, deadline = path.read_text(encoding="utf-8"), time.monotonic() + PATIENCE
    await pilot.pause(0.2)
    while (text := steady(screen_text(app), workspace)) != expected and time.monotonic() < deadline:
        await pilot.pause(0.1)
    await pilot.pause(0.1)
    assert text == expected == steady(screen_text(app), workspace)


def steady(text: str, workspace: Workspace) -> str:
    """Without what differs from run to run: clocks of steps and log lines, paths, the console's pid."""
    text = re.sub(r"console \d+", "console 1", text)
    return re.sub(r"\d\d:\d\d:\d\d", "hh:mm:ss", text)


# A dialog over a plot that still moves: what is seen beside it depends on when its terminal was resized.
EACH_ALONE = ("escalation", "kill_switch_opened", "leave")
GROUPS = [(state, SIZES_OF.get(state, SIZES)) for state in STATES if state not in EACH_ALONE]
GROUPS += [(state, (size,)) for state in EACH_ALONE for size in SIZES_OF[state]]


@pytest.mark.parametrize(("state", "sizes"), GROUPS, ids=[f"{state}-{sizes[0][0]}" for state, sizes in GROUPS])
async def test_a_screen_matches_its_golden_frames(console, scripts, workspace, state: str, sizes) -> None:
    """One console per state, its terminal enlarged from size to size; last, too small to wait for anything there."""
    app = console()
    async with app.run_test(size=max(sizes[0], SIZES[0])) as pilot:
        await STATES[state](pilot, app, scripts)
        for size in sizes:
            await pilot.resize_terminal(*size)
            await compare(pilot, app, workspace, f"{state}_{size[0]}x{size[1]}")


@pytest.mark.parametrize("state", DIALOGS)
async def test_a_dialog_matches_its_golden_frame_at_the_smallest_size(console, scripts, workspace, state) -> None:
    app = console()
    async with app.run_test(size=SIZES[0]) as pilot:
        await DIALOGS[state](pilot, app, scripts)
        await compare(pilot, app, workspace, f"{state}_60x18")


async def test_the_light_theme_shows_the_same_text_in_other_colours(console, scripts, workspace) -> None:
    app = console(settings=Settings(theme="light", bell=False, notify=False))
    async with app.run_test(size=(120, 40)) as pilot:
        await live_running(pilot, app, scripts)
        assert not app.current_theme.dark
        await compare(pilot, app, workspace, "live_running_120x40")


async def test_no_color_shows_the_same_text_without_colours(console, scripts, workspace, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = console()
    assert app.no_color
    async with app.run_test(size=(120, 40)) as pilot:
        await live_running(pilot, app, scripts)
        await compare(pilot, app, workspace, "live_running_120x40")
        strips = app.screen._compositor.render_strips(app.size)
        background = app.screen.background_colors[0]
        segments = [s for strip in strips for s in strip.apply_filter(app._filters[-1], background) if s.style]
        colours = {segment.style.color.triplet for segment in segments if segment.style.color}
        assert all(c is None or c.red == c.green == c.blue for c in colours)
