"""What is imported where: the console side stays light."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "matplotlib", "pandas", "sklearn", "numpy", "scipy", "safetensors", "openpyxl")


def modules_after(code: str, cwd: Path) -> set[str]:
    """The modules that are loaded when `code` has run."""
    program = f"{code}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_the_console_side_imports_nothing_heavy(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    names = [".".join(path.relative_to(root).with_suffix("").parts) for path in sorted((root / "medtui").rglob("*.py"))]
    names += [
        ".".join(path.relative_to(root).with_suffix("").parts) for path in (root / "engine/contract").rglob("*.py")
    ]
    apart = ("console", "track.tools")  # Textual; extras, each in a process of its own
    names = [name.removesuffix(".__init__") for name in names if not any(part in name for part in apart)]
    assert len(names) > 20
    loaded = modules_after("import " + ", ".join(names), tmp_path)
    assert not {module.split(".")[0] for module in loaded} & set(HEAVY)


@pytest.mark.slow
def test_medtui_run_imports_no_textual_and_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "{dataset: {name: cells, limit: 32}, model: {name: mini_cnn}, training: {epochs: 1, batch_size: 16},"
        " evaluation: {test: false}}"
    )
    code = (
        "import sys; sys.argv = ['medtui', 'run', 'recipe.yaml', '--json']\n"
        "from medtui.cli.app import app; assert app(standalone_mode=False) == 0"
    )
    loaded = {module.split(".")[0] for module in modules_after(code, tmp_path)}
    assert not loaded & {*HEAVY, "textual"}


def families(loaded: set[str]) -> set[str]:
    """The modules of commands among these: what `medtui.cli` has, but for what reads the command line itself."""
    own = {"app", "commands", "completion", "global_options", "options", "unknown"}
    names = {name.removeprefix("medtui.cli.") for name in loaded if name.startswith("medtui.cli.")}
    assert own <= names
    return names - own


def test_help_lists_every_command_and_imports_none(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['medtui', '--help']\nfrom medtui.cli.app import app; app(standalone_mode=False)"
    assert not families(modules_after(code, tmp_path))


def test_a_command_imports_no_module_of_another(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['medtui', 'score', '-h']\nfrom medtui.cli.app import app\n"
    code += "app(standalone_mode=False)"
    assert families(modules_after(code, tmp_path)) == {"score"}


def test_a_refused_recipe_imports_neither_the_protocol_nor_psutil(tmp_path: Path) -> None:
    """It is refused by its schema: what only a run needs would make the answer wait."""
    (tmp_path / "recipe.yaml").write_text("{training: {epoch: 3}}")
    code = (
        "import sys; sys.argv = ['medtui', 'run', 'recipe.yaml']\nfrom medtui.cli.app import app\n"
        "from engine.contract.wire.errors import RecipeError\n"
        "try:\n    app(standalone_mode=False)\nexcept RecipeError:\n    pass\nelse:\n    assert False"
    )
    loaded = modules_after(code, tmp_path)
    assert "engine.contract.recipe.reader" in loaded
    assert not loaded & {"psutil", "engine.contract.wire.protocol", "engine.contract.wire.jobs", "medtui.client.state"}


def test_help_imports_neither_pydantic_nor_rich_nor_textual(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['medtui', '--help']\nfrom medtui.cli.app import app; app(standalone_mode=False)"
    loaded = {module.split(".")[0] for module in modules_after(code, tmp_path)}
    assert not loaded & {*HEAVY, "textual", "pydantic"}
