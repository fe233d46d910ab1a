"""`make pictures`: trains on BreastMNIST and takes the README's screenshots of the console meanwhile.

A real engine, a real run, Textual's own SVG export; a separate workspace, so no path of the machine is in a picture.
`python docs/make_pictures.py [FOLDER OF breastmnist.npz]`.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from engine.contract.store.workspace import Workspace
from medtui.console.app import ConsoleApp
from medtui.console.recipes.before_run import BeforeRun
from medtui.console.recipes.screen import Recipes
from medtui.console.results.screen import Results
from medtui.settings import Settings

PICTURES = Path(__file__).parent / "pictures"
SIZE = (120, 40)
PATIENCE = 600.0  # seconds
RECIPE = """# BreastMNIST, small network
dataset: {name: breastmnist}
model: {name: mini_cnn}
training:
  epochs: 30
  lr: 0.02            # highest
  patience: null
"""


async def until(pilot: Pilot[int], true: Callable[[], object]) -> None:
    """Wait until a condition is true. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("the run did not get that far")
        await pilot.pause(0.1)
    await pilot.pause(0.5)


def take(app: ConsoleApp, name: str) -> None:
    """One picture: no toasts, no fonts from the network."""
    svg = app.export_screenshot(title=f"medtui: {name}")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    for path in (str(app.workspace.root), str(Path.home())):
        if path in svg:
            raise RuntimeError(f"{name}: a path of this machine is in the picture: {path}")
    (PICTURES / f"{name}.svg").write_text(svg, encoding="utf-8")


async def main(data: list[str], folder: Path) -> None:
    workspace = Workspace(folder / "work")
    workspace.root.mkdir()
    (workspace.root / "small.yaml").write_text(RECIPE)
    app = ConsoleApp(workspace, data=data, settings=Settings(bell=False, notify=False))
    async with app.run_test(size=SIZE) as pilot:
        recipes = app.get_base_screen("recipes")
        assert isinstance(recipes, Recipes)
        await until(pilot, lambda: recipes.entries and recipes.current)
        recipes.open_path(workspace.root / "small.yaml")
        await pilot.press("e")
        await until(pilot, lambda: recipes.query_one(BeforeRun).preflight)
        take(app, "recipes")
        await pilot.press("escape", "r")
        await until(pilot, lambda: app.view is not None and len(app.view.state.epochs) >= 12)
        take(app, "live")
        await until(pilot, lambda: app.view is not None and app.view.outcome is not None)
        if app.view is None or app.view.outcome != "completed":
            raise RuntimeError(f"the run ended {app.view and app.view.status_label}")
        await pilot.press("4")
        results = app.get_base_screen("results")
        assert isinstance(results, Results)
        await until(pilot, lambda: results.detail is not None)
        await pilot.press("d")
        await pilot.pause(0.5)
        take(app, "results")


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    folders = [str(Path(folder).resolve()) for folder in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as place:
        os.environ |= {"MEDTUI_SETTINGS": f"{place}/settings.yaml", "MEDTUI_MARKS": "braille"}
        asyncio.run(main(folders, Path(place)))
