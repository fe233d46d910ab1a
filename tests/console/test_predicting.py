"""Images of one's own in Results: what `medtui predict` says of them, beside their pictures."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from driving import json_lines, medtui, tiny, yaml_of
from PIL import Image
from screen_helpers import screen_text, shows, wait_for
from textual.pilot import Pilot
from textual.widgets import Input

from engine.contract.store.workspace import Workspace
from medtui.console.app import ConsoleApp
from medtui.console.results.ask_images import completed, words_of
from medtui.console.results.predict import PredictionsScreen
from medtui.console.widgets.pictures import Pictures

SIZE = (120, 60)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a finished run, and some of its test images as files."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "recipe.yaml").write_text(yaml_of(tiny()))
    done = medtui("run", "recipe.yaml", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    run = Path(json_lines(done.stdout)[-1]["run_dir"])
    stored = json.loads((run / "metrics" / "samples.json").read_text())
    images = np.frombuffer(base64.b64decode(stored["images"]), np.uint8).reshape(stored["shape"])
    (folder / "pictures").mkdir()
    for number, pixels in enumerate(images[:3]):
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
    (folder / "pictures" / "broken.png").write_text("no image")
    return folder


async def asked(pilot: Pilot[int], app: ConsoleApp, words: str) -> None:
    """Ask for images, from the list of runs."""
    await pilot.press("4")
    await wait_for(pilot, lambda: app.screen_name == "results" and app.base_screen.ready and app.base_screen.detail)
    await pilot.press("i")
    await shows(pilot, "Predict images with the model of")
    app.screen.query_one(Input).value = words
    await pilot.press("enter")
    await wait_for(pilot, lambda: isinstance(app.screen, PredictionsScreen))


@pytest.mark.asyncio
async def test_they_are_shown_with_what_predict_says_and_saved_only_when_asked(
    console: Callable[..., ConsoleApp], finished: Path, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = medtui("predict", "last", "pictures", cwd=finished)
    rows = list(csv.DictReader(io.StringIO(expected.stdout)))
    assert len(rows) == 3
    monkeypatch.chdir(finished)
    before = sorted(finished.iterdir())
    app = console()
    app.workspace = Workspace(finished)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await asked(pilot, app, "pictures")
        await shows(pilot, "3 images predicted, 1 could not be read.", "pictures/broken.png: not an image")
        seen = screen_text(app)
        for row in rows:
            lines = seen[seen.index(row["path"]) :].splitlines()
            assert f"{row['prediction']}  confidence {float(row['confidence']):.2f}" in lines[1]
            most = max((float(value), name) for name, value in row.items() if name.startswith("probability "))
            marked = row["unlike"] == "1"
            assert ("unlike the training images" in lines[2]) == marked
            first = lines[2 + marked]
            assert most[1].removeprefix("probability ")[:20] in first and f"{most[0]:.2f}" in first
        items = app.screen.query_one(Pictures).sheet.items
        for row, item in zip(rows, items, strict=True):
            pixels = np.asarray(Image.open(finished / row["path"]).convert("RGB"))
            assert item.picture.data == pixels.tobytes(), "as the model sees it: its size is the file's"
        assert sorted(finished.iterdir()) == before, "nothing is written"
        target = tmp_path / "mine.csv"
        await pilot.press("s")
        await shows(pilot, "Save the predictions")
        app.screen.query_one(Input).value = str(target)
        await pilot.press("enter")
        await shows(pilot, "Written to")
        assert target.read_text() == expected.stdout
        await pilot.press("escape")
        await wait_for(pilot, lambda: app.screen is app.base_screen)
        await wait_for(pilot, lambda: not list(temporary.glob("medtui-*")))


@pytest.mark.slow
@pytest.mark.asyncio
async def test_what_predict_refuses_is_refused_in_its_words_and_others_can_be_asked_for(
    console: Callable[..., ConsoleApp], finished: Path, temporary: Path
) -> None:
    refused = medtui("predict", "last", "nowhere.png", cwd=finished)
    assert refused.returncode == 4
    app = console()
    app.workspace = Workspace(finished)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await asked(pilot, app, "nowhere.png")
        await shows(pilot, "nowhere.png does not exist.")
        sentence = " ".join(refused.stderr.split()).removeprefix("medtui: ")
        assert " ".join(screen_text(app).split("│")[1].split()) in sentence
        await pilot.press("i")
        await shows(pilot, "Predict images with the model of")
        assert app.screen.query_one(Input).value == "nowhere.png"
        await pilot.press("escape")
        await wait_for(pilot, lambda: app.screen is app.base_screen)


@pytest.mark.asyncio
async def test_esc_ends_a_prediction_that_runs(
    console: Callable[..., ConsoleApp], finished: Path, temporary: Path
) -> None:
    app = console()
    app.workspace = Workspace(finished)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await asked(pilot, app, str(finished / "pictures"))
        await wait_for(pilot, lambda: list(temporary.glob("medtui-*")))
        await pilot.press("escape")
        await wait_for(pilot, lambda: app.screen is app.base_screen)
        await wait_for(pilot, lambda: not list(temporary.glob("medtui-*")))


def test_paths_are_completed_and_words_are_read_as_a_shell_does(tmp_path: Path) -> None:
    (tmp_path / "two words").mkdir()
    (tmp_path / "two words" / "a.png").touch()
    assert completed(f"{tmp_path}/two") == f"{tmp_path}/two words/"
    assert completed(f"{tmp_path}/two words/a") == f"{tmp_path}/two words/a.png"
    assert completed(f"{tmp_path}/three") is None and completed("") is None
    assert completed(f"{tmp_path}/nowhere/x") is None
    assert words_of(f"{tmp_path}/two words") == [f"{tmp_path}/two words"]
    assert words_of("a.png 'b c.png' *.tif") == ["a.png", "b c.png", "*.tif"]
    assert words_of("it's.png") == ["it's.png"]
