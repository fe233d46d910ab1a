"""Each screen in its main states and sizes, as text that a reviewer can read: `golden/*.txt`.

`MEDTUI_UPDATE_GOLDEN=1 pytest tests/console/test_golden.py` writes them anew; then read the difference.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from screen_helpers import PATIENCE, screen_text, shows, wait_for
from stand_ins import START, Scripted, Story, intact_checkpoint, make_run
from suite_fixture import held, make_pilot, make_queue, make_study, run_name
from textual.pilot import Pilot

from engine.contract.data.card import DataCard, DuplicateCounts, Unusable
from engine.contract.data.exploration import (
    ClassFacts,
    ConstantFound,
    DamagedFound,
    DuplicateSet,
    DuplicatesFound,
    Exploration,
    GroupsFound,
    ImageId,
    SplitFacts,
)
from engine.contract.files.folders import Folder
from engine.contract.models.catalogue import MODELS
from engine.contract.recipe.sources import official_sets
from engine.contract.store.lock import Holder, LockState
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import RunFailed
from engine.contract.wire.protocol import ErrorInfo, Progress
from medtui.client.data_sets import DataFile
from medtui.client.explore import Explored
from medtui.client.labels import set_tags
from medtui.client.predict import PredictedImage, Predictions
from medtui.console.app import ConsoleApp
from medtui.console.machine.explore import ExplorationScreen
from medtui.console.machine.messages import Checks, HardwarePolled, StorageRead, WorkspacePolled
from medtui.console.machine.screen import Machine
from medtui.console.machine.text import WorkspaceState
from medtui.console.recipes.before_run import BeforeRun
from medtui.console.recipes.recipe_list import RecipesPane
from medtui.console.results.predict import TAKEN, Found, PredictionsScreen, image_lines
from medtui.console.results.run_table import RunTable
from medtui.console.widgets.engine_dialog import Done
from medtui.console.widgets.fetch_panel import FetchPanel
from medtui.console.widgets.pictures import Captioned
from medtui.console.widgets.stored_pictures import stored_pictures
from medtui.machine.caches import DecodedCopy
from medtui.machine.checks import Check
from medtui.machine.gpu import NO_DRIVER, Gpu, GpuProcess, Gpus
from medtui.machine.hardware import Hardware
from medtui.machine.orphans import OrphanedEngine
from medtui.machine.storage import DataOnDisk, ModelWeights, RunSize, Storage
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
    await wait_for(pilot, lambda: app.base_screen.query_one(BeforeRun).preflight)  # type: ignore[union-attr]


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


async def recipes_choose(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _mine(pilot, app, "1e-3")
    await pilot.press("e", "enter")
    await shows(pilot, "official, not here (≤ 628 kB)")


async def _mine(pilot: Pilot[int], app: ConsoleApp, lr: str) -> None:
    (app.workspace.root / "mine.yaml").write_text(MINE.format(lr=lr))
    await wait_for(pilot, lambda: app.base_screen and app.base_screen.entries and app.base_screen.current)  # type: ignore[union-attr]
    app.base_screen.query_one(RecipesPane).look()
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


async def kill_switch_done(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    script, story = await _started(pilot, app, scripts)
    script.emit(*story.running(8))
    await shows(pilot, "epoch 9/10")
    await pilot.press("K")
    await shows(pilot, "y abort")
    await pilot.press("y")
    await wait_for(pilot, lambda: app.view.requests)
    story.time = app.view.requests[-1].at
    intact_checkpoint(RunDirectory(story.run_dir))
    script.emit(story.accepted(script.sent[-1].id, "abort"), story.checkpoint(8), *story.ended("aborted", 7))
    script.end()
    await shows(pilot, "▲ aborted: done")


async def palette_found(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    make_run(app.workspace, RUN)
    await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready and app.base_screen.current)
    await pilot.press("ctrl+p", *"breast")
    await shows(pilot, "recipe: breastmnist", f"run: {RUN}")


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


def _stored(values: dict[str, object]) -> str:
    """Three images, as the engine stores them: a grey ramp that becomes steeper."""
    images = np.stack([np.add.outer(np.arange(28), np.arange(28)) * step for step in (1, 2, 4)]).astype(np.uint8)
    encoded = base64.b64encode(images.tobytes()).decode()
    return json.dumps({"shape": list(images.shape), "images": encoded, **values})


async def results_pictures(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    """Sample predictions, and images of the first training batch, in characters."""
    run = make_run(app.workspace, RUN)
    truth, said = ["benign", "malignant", "benign"], ["benign", "benign", "malignant"]
    samples = _stored({"truth": truth, "said": said, "scores": [0.93, 0.61, 0.55]})
    (run.metrics.path / "samples.json").write_text(samples)
    batch = {"labels": truth, "partners": said, "weight": 0.85, "batch_size": 128, "steps": "flips left-right"}
    (run.metrics.path / "batch.json").write_text(_stored(batch))
    await pilot.press("4")
    await wait_for(pilot, lambda: app.base_screen.ready and app.base_screen.detail)
    await pilot.press("enter")
    view = app.base_screen.query_one("#detail-scroll")
    await wait_for(pilot, lambda: view.query_one("#detail-batch").size.height > 10)
    view.scroll_to_widget(view.query_one("#detail-samples"), animate=False, top=True)


async def predictions(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    """Images of one's own, one of them unlike the training images, one with its label."""
    run = make_run(app.workspace, RUN)
    screen = PredictionsScreen(run, "scans/*.png")
    screen._make = lambda: None  # type: ignore[method-assign, assignment]
    await app.push_screen(screen)
    await wait_for(pilot, lambda: screen.query("#predictions-words"))
    summary = {"predicted": 3, "unreadable": {"scans/b.png": "empty"}, "ignored": 2, "unlike": 1, "temperature": 1.2,
               "metrics": None}  # fmt: skip
    rows = [
        PredictedImage("scans/a.png", "benign", 0.93, False, None, (("benign", 0.93), ("malignant", 0.07))),
        PredictedImage("scans/c.png", "malignant", 0.61, True, None, (("benign", 0.39), ("malignant", 0.61))),
        PredictedImage("scans/d.png", "malignant", 0.55, False, "benign", (("benign", 0.45), ("malignant", 0.55))),
    ]
    width = app.size.width - TAKEN
    pictures = stored_pictures(json.loads(_stored({})))
    items = tuple(Captioned(picture, image_lines(row, width)) for picture, row in zip(pictures, rows, strict=True))
    found = Found(Predictions(Folder(run.root), "predictions.csv", summary), items, ())
    screen.post_message(Done(found, contextlib.ExitStack()))
    await shows(pilot, "3 images predicted")


async def _machine(pilot: Pilot[int], app: ConsoleApp) -> Machine:
    """The screen before its first refresh."""
    screen = app.get_base_screen("machine")
    assert isinstance(screen, Machine)
    screen.diagnose = lambda workspace, cancelled: None
    screen.action_refresh = lambda: None  # type: ignore[method-assign]
    screen._check_again = lambda: None  # type: ignore[method-assign]  # as another size of the terminal does
    screen._poll_workspace = lambda: None  # type: ignore[method-assign]
    screen._poll_hardware = lambda: None  # type: ignore[method-assign]
    screen._read_disk = lambda: None  # type: ignore[method-assign]
    await pilot.press("2")
    await wait_for(pilot, lambda: screen.ready)
    return screen


def own_card() -> DataCard:
    counts = {"train": 930, "val": 120, "test": 184}
    return DataCard(
        kind="folder",
        path="/home/me/photos",
        fingerprint="bb",
        task="binary",
        class_names=("a", "b"),
        symmetry="all",
        channels=3,
        size=64,
        fit="crop",
        images=counts,
        per_class={split: {"a": count, "b": 0} for split, count in counts.items()},
        how_split="by class",
        groups=None,
        groups_across_splits=0,
        widths=(90, 100, 120),
        heights=(90, 100, 120),
        bits=8,
        notes={},
        unusable=0,
        unusable_files=(),
        ignored={},
        duplicates=DuplicateCounts(),
    )


def on_disk() -> Storage:
    """Two files of data sets, images of the user's own; three runs, of which one can be pruned, and an archived one."""
    folder, here = Path("/home/me/.medmnist"), {"breastmnist": 559_580, "pathmnist_64": 1_400_000_000}
    files = []
    for facts in official_sets():
        for size, archive in facts.archives.items():
            present = archive.file_name.removesuffix(".npz") in here
            md5 = archive.md5 if size == 28 else None
            files.append(DataFile(facts, size, folder / archive.file_name if present else None, md5))
    cache = Folder(Path("/home/me/.cache/medtui"))
    copies = (
        DecodedCopy(cache.file("arrays/breastmnist-aa"), "aa", 650_000, needed_by=(f"{RUN}, training",)),
        DecodedCopy(cache.file("arrays/cells-v1"), None, 12_000_000),
        DecodedCopy(cache.file("arrays/own-64-crop-v1-bb"), "bb", 15_200_000),
    )
    runs = (
        RunSize("20261120_breastmnist_resnet18-adapted_9f8e7d", "completed", 190_000_000, 180_000_000, 90_000_000),
        RunSize("20261121_breastmnist_resnet18-adapted_6c5b4a", "crashed", 95_000_000, 92_000_000),
        RunSize(RUN, "training", 135_000_000, 134_500_000),
    )
    return Storage(
        files=tuple(files),
        data=tuple(DataOnDisk(file, here[file.archive.file_name[:-4]]) for file in files if file.path is not None),
        folders={},
        weights=tuple(ModelWeights(model, 46_830_571 if model.weights else None) for model in MODELS),
        copies=copies,
        cards=(own_card(),),
        runs=runs,
        archived=(RunSize("20261101_cells_mini-cnn_112233", "completed", 2_000_000, 1_000_000),),
        done=True,
    )


async def machine_empty(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _machine(pilot, app)
    await shows(pilot, "checking …")


async def machine_free(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    """Four cores and a GPU, observed for half a minute; nothing trains, no problems."""
    screen = await _machine(pilot, app)
    for second in range(30):
        engine = GpuProcess(4711, 5_100_000_000)
        gpu = Gpu("NVIDIA A100-SXM4-80GB", 20 + 2 * second, 6_100_000_000, 85_900_000_000, 45, 212.0, (engine,))
        cores = (12.0 + second, 87.0, 3.0, 100.0)
        hardware = Hardware(cores, 6_100_000_000, 25_300_000_000, 77_900_000_000, 270_600_000_000, Gpus((gpu,)))
        screen.on_hardware_polled(HardwarePolled(hardware))
    screen.on_workspace_polled(WorkspacePolled(WorkspaceState("/home/me/work", LockState(held=False), None, (), None)))
    screen.on_checks(Checks([
        Check("python", "Python", "pass", "3.11.7"),
        Check("engine", "engine", "pass", "torch 2.14.1 on cuda:0, 8 threads"),
    ]))  # fmt: skip
    screen.on_storage_read(StorageRead(Storage()))


async def machine(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    """A run trains, another engine was left behind, a check fails."""
    screen = await _machine(pilot, app)
    hardware = Hardware(
        (12.0, 87.0), 6_100_000_000, 25_300_000_000, 77_900_000_000, 270_600_000_000, Gpus(trouble=NO_DRIVER)
    )
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
    screen.on_storage_read(StorageRead(on_disk()))
    await pilot.pause(0.1)


async def exploration(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    """Images of one's own with something of everything: a rare class, duplicates, a damaged file, groups."""
    await _machine(pilot, app)
    screen = ExplorationScreen("scans", None)
    screen._make = lambda: None  # type: ignore[method-assign]
    app.push_screen(screen)
    await wait_for(pilot, lambda: app.screen is screen and screen.query("#exploration-words"))
    stack = contextlib.ExitStack()
    screen.on_done(Done(Explored(explored_images(), Folder(app.workspace.root)), stack))
    await pilot.pause(0.1)


def explored_images() -> Exploration:
    def one(split: str, number: int, name: str, label: str = "benign") -> ImageId:
        return ImageId(split=split, number=number, name=name, label=label)

    def of_class(name: str, train: int, rare: bool, level: float) -> ClassFacts:
        images = {"train": train, "val": train // 5, "test": train // 5}
        values: dict[str, Any] = {"mean": (level,) * 3, "deviation": (0.21,) * 3}
        return ClassFacts(
            name=name, images=images, fraction=train / 1230, rare=rare, widths=None, heights=None, **values
        )

    pairs = [(f"train/benign/{n:03}.png", f"test/benign/copy_{n:03}.png") for n in range(7)]
    sets = [
        DuplicateSet(exact=n < 2, across_splits=True, other_label=n == 3, count=2,
                     images=(one("train", n, pair[0]), one("test", n, pair[1])))
        for n, pair in enumerate(pairs)
    ]  # fmt: skip
    splits = {"train": 1230, "val": 246, "test": 246}
    return Exploration(
        source="/home/me/scans", name="scans", title="scans", task="multi_class", licence="not stated",
        synthetic=False, channels=3, size=64, how_split="as given", widths=(40, 320, 640), heights=(40, 240, 480),
        notes={"oblong": 1690},
        splits={
            name: SplitFacts(images=images, mean=(0.5,) * 3, deviation=(0.2,) * 3) for name, images in splits.items()
        },
        classes=(
            of_class("benign", 900, False, 0.52), of_class("malignant", 300, False, 0.47),
            of_class("not to be told, for lack of tissue", 30, True, 0.4),
        ),
        duplicates=DuplicatesFound(exact=2, near=5, sets=7, across_splits=7, other_label=1, listed=tuple(sets)),
        damaged=DamagedFound(
            count=1, listed=(Unusable(file="train/benign/900.png", reason="damaged: truncated"),), left_out={}
        ),
        constant=ConstantFound(count=0, listed=()),
        groups=GroupsFound(count=410, across_splits=3, listed=()),
        doubtful_labels=None,
        remarks=(
            "Rare in training: not to be told, for lack of tissue; the most frequent class is 30 times as frequent.",
            "7 sets of duplicates with images in more than one split: a leak.",
            "1 set of duplicates with different labels.",
            "1 file cannot be used.",
            "3 groups with images in more than one split: a leak.",
        ),
    )  # fmt: skip


async def fetch_asked(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await _mine(pilot, app, "1e-3")
    await machine(pilot, app, scripts)
    os.environ["MEDTUI_OFFLINE"] = ""  # no engine fetches here; the fixture below puts it back
    await pilot.press("f")
    await shows(pilot, "At most 628 kB.")


async def fetching(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await fetch_asked(pilot, app, scripts)
    panel = app.get_base_screen("machine").query_one(FetchPanel)

    def fetch(
        name: str, size: int, *_: object, cancelled: Callable[[], bool], on_event: Callable[..., None], **__: object
    ):
        story = Story(Path("run"))
        on_event(
            story.log("Fetching breastmnist.npz (at most 628 kB) from https://zenodo.org/ into /home/me/.medmnist.")
        )
        words = "fetching breastmnist.npz"
        on_event(Progress(time=START, phase="preparing", activity=words, done=400_000, total=559_580, unit="bytes"))
        while not cancelled():
            time.sleep(0.05)
        raise RunFailed(Job.CANCELLED)

    panel.fetch = fetch  # type: ignore[method-assign]
    await pilot.press("enter")
    await shows(pilot, "400 kB of 560 kB")


async def suites_empty(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready)
    await pilot.press("5")
    await shows(pilot, "No suites in this workspace yet")


async def suites(pilot: Pilot[int], app: ConsoleApp, scripts: list[Scripted]) -> None:
    """Two runs live; the cursor is on the one that failed."""
    make_study(app.workspace)
    make_pilot(app.workspace)
    make_queue(app.workspace)
    HELD.enter_context(held(app.workspace, run_name(2), run_name(5)))
    await wait_for(pilot, lambda: app.view is not None and app.view.run == run_name(2))
    await pilot.press("5", *"lll")
    await shows(pilot, "‖ 8/10", "The loss is NaN in epoch 4.")
    await wait_for(pilot, lambda: "run 1 of 2" in screen_text(app) or "1/2" in screen_text(app))


HELD = contextlib.ExitStack()  # locks of made-up runners, until the test ends
STATES: dict[str, State] = {
    name: state
    for name, state in globals().items()
    if name in (
        "recipes", "recipes_edited", "recipes_wrong", "recipes_choose", "live_empty", "live_running", "live_paused",
        "live_finished", "live_failed", "live_crashed", "escalation", "kill_switch_opened", "kill_switch_done",
        "palette_found", "leave", "results_empty", "results_finished", "results_failed",
        "results_crashed", "results_compared", "machine_empty", "machine_free", "machine",
        "results_pictures", "predictions", "exploration", "fetch_asked", "fetching",
        "suites", "suites_empty",
    )
}  # fmt: skip
SMALL = ((40, 12), (60, 18))
LARGE = (200, 60)
FULL = ("live_running", "machine", "results_finished", "results_compared")  # a run has something to show there
SIZES_OF = {  # the other states: SIZES
    "escalation": ((40, 12), *SIZES),
    "kill_switch_opened": SMALL,
    "kill_switch_done": SMALL,
    "leave": SMALL,
    "recipes_choose": SIZES[:2],
    "recipes_wrong": (*SIZES, LARGE),
    **dict.fromkeys((*FULL, "recipes", "suites"), (*SIZES, LARGE)),
}


@pytest.fixture(autouse=True)
def offline_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDTUI_OFFLINE", "1")


@pytest.fixture(autouse=True)
def nothing_held_afterwards() -> Iterator[None]:
    with HELD:
        yield


DIALOGS = {state.__name__: state for state in (
    results_tag, results_archive, results_delete, results_evaluate, results_resume,
)}  # fmt: skip


async def settled(pilot: Pilot[int], app: ConsoleApp, workspace: Workspace) -> str:
    """The frame that has stayed the same for a second, on a display that is not behind."""
    text, since = "", time.monotonic()
    while time.monotonic() - since < 1.0 or " behind, training unaffected" in text:
        await pilot.pause(0.05)
        if (now := steady(screen_text(app), workspace)) != text:
            text, since = now, time.monotonic()
    return text


async def compare(pilot: Pilot[int], app: ConsoleApp, workspace: Workspace, name: str) -> None:
    """The screen becomes the golden frame, and is that still a moment later: a busy machine lays out late."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("MEDTUI_UPDATE_GOLDEN"):
        path.write_text(await settled(pilot, app, workspace), encoding="utf-8")
    assert path.exists(), f"{path} is missing; see the top of this file"
    expected, deadline = path.read_text(encoding="utf-8"), time.monotonic() + PATIENCE
    await pilot.pause()
    while (text := steady(screen_text(app), workspace)) != expected and time.monotonic() < deadline:
        await pilot.pause(0.05)
    await pilot.pause(0.1)
    assert text == expected == steady(screen_text(app), workspace)


def steady(text: str, workspace: Workspace) -> str:
    """Without what differs from run to run: clocks of steps and log lines, paths, the console's pid."""
    text = re.sub(r"console \d+", "console 1", text)
    text = re.sub(
        r"(process gone|its lock free|checkpoint verified)( +)[\d.]{3} s", r"\1\2#.# s", text
    )  # as they were seen
    return re.sub(r"\d\d:\d\d:\d\d", "hh:mm:ss", text)


# A dialog over a plot that still moves: what is seen beside it depends on when its terminal was resized.
EACH_ALONE = ("escalation", "kill_switch_opened", "kill_switch_done", "leave")
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
            if state in FULL and size == LARGE:
                assert fraction_used(app) >= 2 / 3, "no screen leaves more than a third of a large terminal empty"


def fraction_used(app: ConsoleApp) -> float:
    """Of the screen's cells: those of the rows in which a widget shows something, and all that are not blank."""
    lines = screen_text(app).splitlines()
    cells = [[character != " " for character in f"{line:<{app.size.width}}"] for line in lines]
    for widget in app.screen.walk_children():
        place = widget.region
        if widget.children or not widget.display or not app.screen.region.contains_region(place):
            continue
        for row in range(place.y, min(place.bottom, len(cells))):
            if any(cells[row][place.x : place.right]):
                cells[row][place.x : place.right] = [True] * place.width
    return sum(map(sum, cells)) / (app.size.width * app.size.height)


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
