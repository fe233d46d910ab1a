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
from looking import screen_text, shows, wait_for
from stand_ins import START, Scripted, Story, make_run
from textual.pilot import Pilot

from engine.contract.errors import RunFailed
from engine.contract.lock import Holder
from engine.contract.protocol import ErrorInfo, Progress
from engine.contract.workspace import Workspace
from medtui.client.keeping import set_tags
from medtui.console.app import ConsoleApp
from medtui.console.machine_text import WorkspaceState
from medtui.console.screens.machine import Checks, Looked, LookedAtWorkspace, Machine
from medtui.console.widgets.fetch_panel import FetchPanel
from medtui.console.widgets.run_table import RunTable
from medtui.machine.checks import Check
from medtui.machine.ghosts import Ghost
from medtui.machine.hardware import Gpu, Hardware
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
    await wait_for(pilot, lambda: app.room.preflight)  # type: ignore[union-attr]


async def recipes_edited(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _mine(pilot, app, "1e-3")
    form = app.room.query_one("#form")
    form.go_to("training", "lr")
    app.room.set_focus(form)
    await pilot.press("enter", *"0.5", "enter")
    await wait_for(pilot, lambda: app.room.checked.recipe and app.room.checked.recipe.training.lr == 0.5)
    await pilot.pause(0.6)
    await _preflighted(pilot, app)


async def recipes_wrong(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _mine(pilot, app, "fast")
    form = app.room.query_one("#form")
    form.go_to("training", "lr")
    app.room.show_only(1)
    app.room.set_focus(form)
    await pilot.pause()


async def _mine(pilot: Pilot[int], app: ConsoleApp, lr: str) -> None:
    (app.workspace.root / "mine.yaml").write_text(MINE.format(lr=lr))
    await wait_for(pilot, lambda: app.room and app.room.entries and app.room.current)  # type: ignore[union-attr]
    app.room._list()
    await wait_for(pilot, lambda: any(entry.name == "mine.yaml" for entry in app.room.entries))
    options = app.room.query_one("#recipe-list")
    entry = next(entry for entry in app.room.entries if entry.name == "mine.yaml")
    options.highlighted = options.get_option_index(entry.key)
    await wait_for(pilot, lambda: app.room.current.entry == entry and app.room.checked.text == app.room.current.text)


async def _started(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> tuple[Scripted, Story]:
    await wait_for(pilot, lambda: getattr(app.room, "checked", None) and app.room.checked.recipe)
    await pilot.press("r")
    await wait_for(pilot, lambda: scripts and scripts[-1].sent)
    return scripts[-1], Story(app.workspace.outputs / RUN)


async def live_empty(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await pilot.press("3")
    await shows(pilot, "Nothing is training.")


async def live_running(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.say(*story.running(8), story.log("new best, checkpoint saved"))
    await shows(pilot, "epoch 9/10")
    await wait_for(pilot, lambda: app.view.state.messages)


async def live_paused(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.say(*story.running(8))
    await shows(pilot, "epoch 9/10")
    script.say(story.accepted("1", "pause"), story.phase("paused"), story.checkpoint(8))
    await shows(pilot, "‖ paused")


async def live_finished(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.say(*story.running(10), *story.ended())
    script.end()
    await shows(pilot, "✓ completed")
    await wait_for(pilot, lambda: app.view.after.checkpoint)


async def live_failed(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    error = ErrorInfo(kind="failed", message="The loss is NaN in epoch 4.", hint="Lower training.lr.")
    script.say(*story.running(3), *story.ended("failed", 5, error))
    script.end()
    await shows(pilot, "✗ failed")
    await wait_for(pilot, lambda: app.view.after.checkpoint)


async def live_crashed(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.say(*story.running(3))
    await wait_for(pilot, lambda: len(app.view.state.epochs) == 3)
    script.die()
    await shows(pilot, "✗ crashed")
    await wait_for(pilot, lambda: app.view.after.checkpoint)


async def ladder(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.say(*story.running(8))
    await shows(pilot, "epoch 9/10")
    await pilot.press("S")
    await shows(pilot, "y stop")
    await pilot.press("y")
    await wait_for(pilot, lambda: app.view.requests)
    story.time = app.view.requests[-1].at
    script.say(story.accepted(script.sent[-1].id, "stop"), story.checkpoint(8))
    await shows(pilot, "✓ checkpoint saved")


async def ladder_opened(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.say(*story.running(8))
    await shows(pilot, "epoch 9/10")
    await pilot.press("K")
    await shows(pilot, "y abort")


async def leave(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.say(*story.running(8))
    await shows(pilot, "epoch 9/10")
    await pilot.press("q")
    await shows(pilot, "A run is training.")


async def results_empty(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await pilot.press("4")
    await shows(pilot, "There is no run here yet.")


async def results_finished(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    """A rehearsal crashed last, a tagged run failed before it, and the one that is shown is completed."""
    outcomes: tuple[tuple[str | None, int | None], ...] = (("completed", None), ("failed", None), (None, 64))
    for day, (outcome, limit) in enumerate(outcomes):
        name = f"2026112{day}_breastmnist_resnet18-adapted_1a2b3{day}"
        started = f"2026-11-2{day}T{21 - day}:26:40+00:00"
        run = make_run(app.workspace, name, outcome, epochs=8, started=started, limit=limit)
        if outcome == "failed":
            set_tags(run, ["paper"])
    await pilot.press("4")
    room = app.get_room("results")
    await wait_for(pilot, lambda: room.detail)
    await _down_to(pilot, app, "completed")


async def _down_to(pilot: Pilot[int], app: ConsoleApp, state: str) -> None:
    room = app.get_room("results")
    wanted = next(head.run for head in room.heads if head.state == state)
    table = room.query_one(RunTable)
    while table.chosen != wanted:
        await pilot.press("down" if table.chosen > wanted else "up")
    await wait_for(pilot, lambda: room.detail and room.detail.head.state == state)
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
    await wait_for(pilot, lambda: app.screen.query_one("#compare-text").content_size.height)


async def _asked(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted], state: str, key: str) -> None:
    await results_finished(pilot, app, scripts)
    await _down_to(pilot, app, state)
    await pilot.press(key)
    await wait_for(pilot, lambda: app.screen is not app.room)


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
    """The screen, with nothing looked at yet."""
    room = app.get_room("machine")
    assert isinstance(room, Machine)
    room.diagnose = lambda workspace, given_up: None
    room.action_refresh_checks = lambda: None  # type: ignore[method-assign]
    room._look_at_workspace = lambda: None  # type: ignore[method-assign]
    room._look = lambda: None  # type: ignore[method-assign]
    await pilot.press("2")
    await wait_for(pilot, lambda: room.ready)
    return room


async def machine_empty(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _machine(pilot, app)
    await shows(pilot, "looking …")


async def machine_free(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    """Four cores and a GPU, half a minute looked at; nobody trains, all is well."""
    room = await _machine(pilot, app)
    for second in range(30):
        gpu = Gpu("NVIDIA A100-SXM4-80GB", 20 + 2 * second, 6_100_000_000, 85_900_000_000, 45)
        cores = (12.0 + second, 87.0, 3.0, 100.0)
        hardware = Hardware(cores, 6_100_000_000, 25_300_000_000, 77_900_000_000, 270_600_000_000, (gpu,))
        room.on_looked(Looked(hardware))
    room.on_looked_at_workspace(LookedAtWorkspace(WorkspaceState("/home/me/work", False, None, None, (), None)))
    room.on_checks(Checks([
        Check("python", "Python", "pass", "3.11.7"),
        Check("engine", "engine", "pass", "torch 2.14.1 on cuda:0, 8 threads"),
    ]))  # fmt: skip


async def machine(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    """A run trains, another engine was left behind, a check fails."""
    room = await _machine(pilot, app)
    hardware = Hardware((12.0, 87.0), 6_100_000_000, 25_300_000_000, 77_900_000_000, 270_600_000_000, ())
    room.on_looked(Looked(hardware))
    holder = Holder(4711, START, "b", "gpu-box", RUN, START)
    state = WorkspaceState("/home/me/work", True, holder, True, (Ghost(4242, 0.0, 800_000_000),), None)
    room.on_looked_at_workspace(LookedAtWorkspace(state))
    room.query_one("#ghosts").update_cell("4242", "age", "3 h 05 min")
    room.on_checks(Checks([
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
    panel = app.get_room("machine").query_one(FetchPanel)

    def fetch(name: str, size: int, *_: object, given_up: Callable[[], bool], tell: Callable[..., None], **__: object):
        story = Story(Path("run"))
        tell(story.log("Fetching breastmnist.npz (at most 0.6 MB) from https://zenodo.org/ into /home/me/.medmnist."))
        words = "fetching breastmnist.npz"
        tell(Progress(time=START, phase="preparing", activity=words, done=400_000, total=559_580, unit="bytes"))
        while not given_up():
            time.sleep(0.05)
        raise RunFailed("The job was given up.")

    panel.fetch = fetch  # type: ignore[method-assign]
    await pilot.press("enter")
    await shows(pilot, "0.4 MB of 0.6 MB")


STATES: dict[str, State] = {
    name: state
    for name, state in globals().items()
    if name in (
        "recipes", "recipes_edited", "recipes_wrong", "live_empty", "live_running", "live_paused", "live_finished",
        "live_failed", "live_crashed", "ladder", "ladder_opened", "leave", "results_empty", "results_finished",
        "results_failed", "results_crashed", "results_compared", "machine_empty", "machine_free", "machine",
        "fetch_asked", "fetching",
    )
}  # fmt: skip
SMALL = ((40, 12), (60, 18))
SIZES_OF = {"ladder": ((40, 12), *SIZES), "ladder_opened": SMALL, "leave": SMALL}  # the other states: SIZES
FRAMES = [(state, size) for state in STATES for size in SIZES_OF.get(state, SIZES)]


@pytest.fixture(autouse=True)
def offline_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDTUI_OFFLINE", "1")


DIALOGS = {state.__name__: state for state in (
    results_tag, results_archive, results_delete, results_evaluate, results_resume,
)}  # fmt: skip


def compare(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("MEDTUI_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path} is missing; see the top of this file"
    assert text == path.read_text(encoding="utf-8")


def steady(text: str, workspace: Workspace) -> str:
    """Without what differs from run to run: clocks of rungs and log lines, paths, the console's pid."""
    text = re.sub(r"console \d+", "console 1", text)
    return re.sub(r"\d\d:\d\d:\d\d", "hh:mm:ss", text)


@pytest.mark.parametrize(("state", "size"), FRAMES, ids=[f"{state}-{w}x{h}" for state, (w, h) in FRAMES])
async def test_a_screen_looks_as_its_golden_frame(console, scripts, workspace, state: str, size) -> None:
    app = console()
    async with app.run_test(size=max(size, SIZES[0])) as pilot:
        await STATES[state](pilot, app, scripts)
        if size < SIZES[0]:  # too small to wait for anything on a screen
            await pilot.resize_terminal(*size)
        await pilot.pause(0.5)
        compare(f"{state}_{size[0]}x{size[1]}", steady(screen_text(app), workspace))


@pytest.mark.parametrize("state", DIALOGS)
async def test_a_dialog_looks_as_its_golden_frame_where_there_is_least_room(console, scripts, workspace, state) -> None:
    app = console()
    async with app.run_test(size=SIZES[0]) as pilot:
        await DIALOGS[state](pilot, app, scripts)
        await pilot.pause(0.5)
        compare(f"{state}_60x18", steady(screen_text(app), workspace))


async def test_the_light_theme_says_the_same_in_other_colours(console, scripts, workspace) -> None:
    app = console(settings=Settings(theme="light", bell=False, notify=False))
    async with app.run_test(size=(120, 40)) as pilot:
        await live_running(pilot, app, scripts)
        await pilot.pause(0.5)
        assert not app.current_theme.dark
        compare("live_running_120x40", steady(screen_text(app), workspace))


async def test_no_color_says_the_same_without_colours(console, scripts, workspace, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = console()
    assert app.no_color
    async with app.run_test(size=(120, 40)) as pilot:
        await live_running(pilot, app, scripts)
        await pilot.pause(0.5)
        compare("live_running_120x40", steady(screen_text(app), workspace))
        strips = app.screen._compositor.render_strips(app.size)
        background = app.screen.background_colors[0]
        segments = [s for strip in strips for s in strip.apply_filter(app._filters[-1], background) if s.style]
        colours = {segment.style.color.triplet for segment in segments if segment.style.color}
        assert all(c is None or c.red == c.green == c.blue for c in colours)
