"""What is typed: it wins over the recipe, is checked, is recorded; every word means what a user expects of it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from driving import MEDTUI, json_lines, medtui, tiny, yaml_of

from engine.contract.recipe.aliases import ALIASES
from engine.contract.recipe.identity import recipe_hash
from engine.contract.recipe.recipe import Recipe
from medtui.cli.app import app
from medtui.cli.errors import ended


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(yaml_of(tiny()))
    return tmp_path


class Typed:
    """What `medtui run` would start, and its output; up to the start of an engine, in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.starts: list[Any] = []
        self._monkeypatch, self._capsys = monkeypatch, capsys
        monkeypatch.chdir(folder)
        monkeypatch.setattr("medtui.plain.headless.run_headless", self._start)
        monkeypatch.setattr("medtui.plain.headless.end_orphans", lambda *_: None)

    def _start(self, start: Any, *_: Any, **__: Any) -> int:
        self.starts.append(start)
        return 0

    def __call__(self, *words: str) -> tuple[int, Recipe, str]:
        """Exit code, recipe, and standard error."""
        self._monkeypatch.setattr(sys, "argv", ["medtui", *words])
        code = ended(lambda: app(prog_name="medtui", standalone_mode=False))
        recipe = Recipe.model_validate(self.starts[-1].recipe) if self.starts else Recipe()
        return code, recipe, self._capsys.readouterr().err


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workspace: Path) -> Typed:
    return Typed(monkeypatch, capsys, workspace)


# ---- what is typed wins -------------------------------------------------------------------------------------------

FLAGS: dict[str, tuple[str, dict[str, Any]]] = {  # flag: a value that no recipe here has, the fields it gives
    "--dataset": ("retinamnist", {"dataset.name": "retinamnist"}),
    "--epochs": ("3", {"training.epochs": 3}),
    "--batch-size": ("32", {"training.batch_size": 32}),
    "--lr": ("0.5", {"training.lr": 0.5}),
    "--seed": ("7", {"training.seed": 7}),
    "--mixup-alpha": ("0.25", {"training.mixup_alpha": 0.25}),
    "--patience": ("4", {"training.patience": 4}),
    "--momentum": ("0.25", {"training.momentum": 0.25}),
    "--weight-decay": ("0.25", {"training.weight_decay": 0.25}),
    "--hflip": ("0.25", {"augmentation.hflip": 0.25}),
    "--rotation-angle": ("33", {"augmentation.rotation": 33.0}),
    "--jitter-val": ("0.125", {"augmentation.brightness": 0.125, "augmentation.contrast": 0.125}),
    "--model-name": ("mini cnn", {"model.name": "mini_cnn"}),
    "--allow-process-kill": ("False", {"runtime.allow_process_kill": False}),
    "--no-tta": ("", {"evaluation.tta": False}),
    "--reproducible": ("", {"runtime.reproducible": True}),
}


def values_of(recipe: Recipe, fields: dict[str, Any]) -> dict[str, Any]:
    dumped = recipe.model_dump()
    return {path: dumped[path.split(".")[0]][path.split(".")[1]] for path in fields}


@pytest.mark.parametrize("recipe", ["breastmnist", ""], ids=["with a recipe", "without one"])
@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_overrides_the_recipe_silently(flag: str, recipe: str, typed: Typed) -> None:
    value, fields = FLAGS[flag]
    code, got, said = typed("run", *filter(None, [recipe, flag, value]))
    assert (code, said) == (0, "")
    assert values_of(got, fields) == fields


def test_two_seeds_on_the_command_line_are_two_runs(typed: Typed) -> None:
    _, one, _ = typed("run", "breastmnist", "--seed", "1")
    _, two, _ = typed("run", "breastmnist", "--seed", "2")
    assert recipe_hash(one) != recipe_hash(two)


def test_command_line_values_are_recorded_in_recipe_hash_and_manifest(workspace: Path) -> None:
    done = medtui("run", "tiny.yaml", "--epochs", "1", "training.seed=5", "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr
    started = next(event for event in json_lines(done.stdout) if event["event"] == "run.started")
    run = Path(started["run_dir"])
    recorded = yaml.safe_load((run / "recipe.yaml").read_text())
    assert (recorded["training"]["epochs"], recorded["training"]["seed"], started["epochs"]) == (1, 5, 1)
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["recipe_hash"] == recipe_hash(Recipe.model_validate(recorded)) == started["recipe_hash"]
    assert (manifest["seed"], manifest["command_line"][-4:]) == (5, ["--epochs", "1", "training.seed=5", "--json"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "breastmnist", "--model-name", "resnet101"), "medtui: --model-name: model.name must be a known model"),
        (("run", "breastmnist", "--epochs", "0"), "medtui: --epochs: training.epochs must be a whole number from 1"),
        (("run", "breastmnist", "--batch-size", "547"), "medtui: --batch-size: training.batch_size must be at most"),
        (("run", "breastmnist", "--dataset", "nosuch"), "medtui: --dataset: dataset.name must be a known data set"),
        (("run", "breastmnist", "training.seed=-1"), "medtui: training.seed=-1: training.seed must be a whole number"),
        (("run", "--config", "tiny.yaml", "--set", "training.lr=0"), "medtui: training.lr=0: training.lr must be a"),
        (("run", "foo=1"), "medtui: Expected section.field=value, found 'foo=1'. For example training.lr=0.01."),
        (("run", "runtime.device=mps"), "medtui: runtime.device is mps, but training needs float64"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_line_value_is_checked_and_its_flag_named(words: tuple[str, ...], said: str, typed: Typed) -> None:
    code, _, complaint = typed(*words)
    assert code == 2
    assert complaint.startswith(said)
    assert "breastmnist.yaml" not in complaint, "the recipe is good"


def test_the_recipes_that_there_are_are_listed_in_order(workspace: Path) -> None:
    for name in ("charlie", "alpha", "bravo", "delta"):
        (workspace / f"{name}.yaml").write_text("")
    unknown = medtui("run", "zzzzzzzz", cwd=workspace)
    assert unknown.returncode == 2
    places = [unknown.stderr.index(f"{name}.yaml") for name in ("alpha", "bravo", "charlie", "delta")]
    assert places == sorted(places)


def test_with_config_the_file_wins_and_each_losing_flag_is_named(typed: Typed) -> None:
    words = ("run", "--config", "tiny.yaml", "--epochs", "7", "--batch-size", "16", "--model-name", "resnet18")
    code, recipe, said = typed(*words)
    assert (code, recipe.training.epochs, recipe.model.name) == (0, 2, "mini_cnn")
    assert "training.epochs is 2 (from tiny.yaml), not 7 (from --epochs). With --config the file overrides" in said
    assert "model.name is mini_cnn (from tiny.yaml), not resnet18 (from --model-name)." in said
    assert "batch_size" not in said, "a flag that agrees is not named"


def test_with_config_a_flag_sets_what_the_file_leaves_out(typed: Typed) -> None:
    code, recipe, said = typed("run", "--config", "tiny.yaml", "--lr", "0.5")
    assert (code, recipe.training.lr, said) == (0, 0.5, "")


@pytest.mark.parametrize("recipe", [("tiny.yaml",), ("--config", "tiny.yaml"), ()], ids=["recipe", "config", "none"])
def test_set_overrides_everything_else(recipe: tuple[str, ...], typed: Typed) -> None:
    code, got, said = typed("run", *recipe, "--epochs", "7", "--set", "training.epochs=9")
    assert (code, got.training.epochs) == (0, 9)
    assert said == "medtui: training.epochs is 9 (from training.epochs=9), not 7 (from --epochs).\n"


def test_two_different_values_for_one_field_are_warned_about(typed: Typed) -> None:
    _, recipe, said = typed("run", "tiny.yaml", "training.seed=1", "training.lr=0.5", "training.seed=2", "--lr", "0.5")
    assert recipe.training.seed == 2
    assert said == "medtui: training.seed is 2 (from training.seed=2), not 1 (from training.seed=1).\n"


def test_a_variable_that_overrides_the_command_line_is_named(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_REPRODUCIBILITY_MODE", "true")
    _, recipe, said = typed("run", "tiny.yaml", "runtime.reproducible=false")
    assert recipe.runtime.reproducible
    told = "runtime.reproducible is true (from DOCKER_REPRODUCIBILITY_MODE), not false"
    assert f"{told} (from runtime.reproducible=false)." in said


# ---- fields as plain arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("tiny.yaml", "training.epochs=9"),
        ("training.epochs=9", "tiny.yaml"),
        ("training.epochs=9", "--json", "tiny.yaml"),
        ("training.epochs=9", "--config", "tiny.yaml"),
    ],
    ids=" ".join,
)
def test_a_field_needs_no_set_before_or_after_the_recipe(words: tuple[str, ...], typed: Typed) -> None:
    code, recipe, said = typed("run", *words)
    assert (code, recipe.training.epochs, recipe.model.name, said) == (0, 9, "mini_cnn", "")


def test_a_dash_in_a_field_is_an_underscore_as_in_flags(typed: Typed) -> None:
    _, recipe, _ = typed("run", "tiny.yaml", "training.batch-size=4", "--set", "training.weight-decay=0.5")
    assert (recipe.training.batch_size, recipe.training.weight_decay) == (4, 0.5)


def test_a_file_of_exactly_that_name_is_the_recipe_and_a_warning_says_so(typed: Typed, workspace: Path) -> None:
    (workspace / "training.epochs=9").write_text(yaml_of(tiny()))
    code, recipe, said = typed("run", "training.epochs=9")
    assert (code, recipe.training.epochs) == (0, 2)
    assert said.startswith("medtui: training.epochs=9 is an existing file, read as the recipe;")


def test_a_recipe_in_a_folder_with_an_equals_sign_is_a_recipe(typed: Typed, workspace: Path) -> None:
    (workspace / "lr=0.1").mkdir()
    (workspace / "lr=0.1" / "mine.yaml").write_text(yaml_of(tiny()))
    code, recipe, _ = typed("run", "lr=0.1/mine.yaml", "training.seed=3")
    assert (code, recipe.model.name, recipe.training.seed) == (0, "mini_cnn", 3)


def test_a_field_without_its_section_is_answered_with_it(typed: Typed) -> None:
    code, _, said = typed("run", "tiny.yaml", "epochs=3")
    assert (code, typed.starts) == (2, [])
    assert "Write training.epochs=3." in said


@pytest.mark.parametrize("words", [("",), ("--config", ""), ("training.seed=1", "")], ids=repr)
def test_an_empty_recipe_name_is_refused_not_treated_as_none(words: tuple[str, ...], typed: Typed) -> None:
    """As a shell hands it on when the variable is not set."""
    code, _, said = typed("run", *words)
    assert (code, typed.starts) == (2, [])
    assert "found an empty name" in said


@pytest.mark.parametrize("words", [("tiny.yaml", "quickstart"), ("quickstart", "--config", "tiny.yaml")], ids=" ".join)
def test_two_recipes_are_refused_not_picked_from(words: tuple[str, ...], typed: Typed) -> None:
    code, _, said = typed("run", *words)
    assert (code, typed.starts) == (2, [])
    assert "Expected one recipe, found 2: " in said


def test_train_is_an_alias_of_run(typed: Typed, workspace: Path) -> None:
    code, recipe, _ = typed("train", "tiny.yaml", "--epochs", "9")
    assert (code, recipe.training.epochs) == (0, 9)
    refused = medtui("train", "nosuch", "--json", cwd=workspace)
    assert json_lines(refused.stdout)[-1]["event"] == "run.finished", "scripts get the same last event"


# ---- options before a command -------------------------------------------------------------------------------------


@pytest.fixture
def workspaces(tmp_path: Path) -> Path:
    """Two workspaces with a run each, found by their names."""
    for name in ("one", "two"):
        run = tmp_path / name / "outputs" / f"20261122_cells_mini-cnn_{name}"
        run.mkdir(parents=True)
        (run / "manifest.json").write_text('{"run": "x", "started": "2026-11-22T23:30:00.000+00:00"}')
    return tmp_path


class CommandOutput:
    """A command in this process: its exit code, and what it printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["medtui", *words])
        code = ended(lambda: app(prog_name="medtui", standalone_mode=False))
        read = self._capsys.readouterr()
        return code, read.out, read.err


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workspaces: Path) -> CommandOutput:
    monkeypatch.chdir(workspaces)
    return CommandOutput(monkeypatch, capsys)


@pytest.mark.parametrize(
    "words",
    [
        ("--workspace", "one", "runs"),
        ("runs", "--workspace", "one"),
        ("--workspace", "one", "runs", "list"),
        ("runs", "list", "--workspace", "one"),
        ("runs", "--workspace", "one", "list"),
        ("--workspace=one", "runs"),
        ("--workspace", "two", "runs", "--workspace", "one"),
        ("--workspace", "nowhere", "runs", "--workspace", "two", "list", "--workspace", "one"),
    ],
    ids=" ".join,
)
def test_an_option_before_a_command_counts_and_one_after_it_wins(words: tuple[str, ...], said: CommandOutput) -> None:
    for json_words in (("--json", *words), (*words, "--json")):
        code, out, err = said(*json_words)
        assert (code, err) == (0, "")
        assert [run_row["run"] for run_row in json.loads(out)] == ["20261122_cells_mini-cnn_one"]


@pytest.mark.parametrize("command", [("show", "mini"), ("runs", "note", "mini"), ("runs", "tag", "mini")], ids=" ".join)
def test_the_workspace_is_accepted_before_every_command(command: tuple[str, ...], said: CommandOutput) -> None:
    code, out, _ = said("--workspace", "two", *command)
    assert code == 0
    assert "20261122_cells_mini-cnn_two" in out


@pytest.mark.parametrize("command", [("runs",), ("show", "mini"), ("recipe", "validate", "quickstart")], ids=" ".join)
def test_global_options_are_accepted_before_every_command_even_one_that_ignores_them(
    command: tuple[str, ...], said: CommandOutput
) -> None:
    """As in an alias that holds them."""
    code, _, err = said("--workspace", "one", "--data", "two", "--offline", *command)
    assert (code, err) == (0, "")


def test_options_before_a_run_reach_its_engine(typed: Typed, workspace: Path) -> None:
    (workspace / "files").mkdir()
    code, _, said = typed("--data", "files", "--offline", "--workspace", ".", "run", "tiny.yaml")
    assert (code, said) == (0, "")
    assert (typed.starts[-1].data, typed.starts[-1].offline) == ([str((workspace / "files").resolve())], True)
    typed("run", "tiny.yaml")
    assert (typed.starts[-1].data, typed.starts[-1].offline) == ([], False), "nothing is left of it"


@pytest.mark.parametrize(
    ("words", "lacking"),
    [
        (("--readonly", "runs"), "`medtui runs` has no option --readonly"),
        (("--readonly", "run", "tiny.yaml"), "`medtui run` has no option --readonly"),
        (("--json", "runs", "tag", "mini"), "`medtui runs tag` has no option --json"),
        (("runs", "--archived", "note", "mini"), "`medtui runs note` has no option --archived"),
        (("--json", "smoke"), "`medtui smoke` has no option --json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_option_that_a_command_lacks_is_refused(words: tuple[str, ...], lacking: str, said: CommandOutput) -> None:
    code, _, err = said(*words)
    assert code == 2
    assert lacking in err


def test_an_error_of_a_run_ends_with_its_event_also_with_options_before_it(workspace: Path) -> None:
    refused = medtui("--workspace", ".", "--json", "run", "nosuch", cwd=workspace)
    assert refused.returncode == 2
    assert json_lines(refused.stdout)[-1]["event"] == "run.finished"


# ---- unknown commands and options ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("list", "runs"),
        ("trian", "train"),
        ("evalute", "evaluate"),
        ("download", "data fetch"),
        ("init", "recipe init"),
        ("watch", "attach"),
        ("delete last", "runs delete"),
        ("data download", "fetch"),
        ("runs rm", "delete"),
        ("recipe create", "init"),
        ("run --learning-rate 1", "--lr"),
        ("run --learning_rate 1", "--lr"),
        ("run --epoch 3", "--epochs"),
        ("run --model resnet18", "--model-name"),
        ("train --num-epochs 3", "--epochs"),
        ("run --dropout 0.1", "model.dropout=VALUE"),
        ("run --device cpu", "runtime.device=VALUE"),
        ("show --jsn", "--json"),
    ],
)
def test_an_unknown_command_or_option_suggests_the_nearest_by_meaning_and_spelling(
    words: str, meant: str, said: CommandOutput
) -> None:
    code, out, err = said(*words.split())
    assert (code, out) == (2, "")
    assert f"did you mean {meant}?" in err
    assert len(err.splitlines()) == 1


def test_every_alias_of_a_command_or_option_leads_to_one_that_exists() -> None:
    commands: Any = typer.main.get_command(app)
    groups = {"command": commands} | {f"{name} command": commands.commands[name] for name in ("runs", "data", "recipe")}
    for what, group in groups.items():
        for word, targets in ALIASES[what].items():
            for target in targets:
                at = commands if target.startswith("medtui ") else group
                for name in target.removeprefix("medtui ").split():
                    if name.startswith("-"):
                        assert name in {option for one in at.params for option in one.opts} | {"--help"}, word
                    else:
                        at = at.commands[name]
    options = {option for command in walked(commands) for one in command.params for option in one.opts}
    assert {target for targets in ALIASES["option"].values() for target in targets} <= options


def walked(command: Any) -> list[Any]:
    return [command, *(inner for one in getattr(command, "commands", {}).values() for inner in walked(one))]


def test_an_unknown_run_names_a_few_runs_never_all(said: CommandOutput, workspaces: Path) -> None:
    for number in range(30):
        run = workspaces / "one" / "outputs" / f"20261122_cells_mini-cnn_{number:06}"
        run.mkdir()
        (run / "manifest.json").write_text(f'{{"run": "x", "started": "2026-11-22T23:40:{number:02}.000+00:00"}}')
    for word in ("nosuch", "20261122_cells_mini-cnn_00000x", "cels"):
        code, _, err = said("--workspace", "one", "show", word)
        assert code == 2
        assert 1 <= err.count("20261122_cells_mini-cnn_0") <= 4, err


# ---- completion ---------------------------------------------------------------------------------------------------


def completed(words: str, cwd: Path, shell: str = "bash") -> list[str]:
    """What a shell receives when Tab is pressed after these words, as its completion script asks."""
    asked = {
        "bash": {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": words},
        "fish": {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    environment = {**asked, "_MEDTUI_COMPLETE": f"complete_{shell}"}
    done = medtui(cwd=cwd, environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("medtui tra", ["train", "track"]),
        ("medtui --workspace one ev", ["evaluate"]),
        ("medtui run --epo", ["--epochs"]),
        ("medtui run q", ["quickstart"]),
        ("medtui run --dataset org", ["organamnist", "organcmnist", "organsmnist"]),
        ("medtui data fetch blood", ["bloodmnist"]),
        ("medtui show --workspace one 2026", ["20261122_cells_mini-cnn_one"]),
        ("medtui --workspace two runs tag 2026", ["20261122_cells_mini-cnn_two"]),
        ("medtui runs li", ["list"]),
    ],
)
def test_a_shell_completes_commands_options_and_names(words: str, offered: list[str], workspaces: Path) -> None:
    assert completed(words, workspaces) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_the_same_names(shell: str, workspaces: Path) -> None:
    assert "quickstart" in " ".join(completed("medtui run qui", workspaces, shell))


def test_a_run_name_that_a_shell_could_execute_is_not_offered(workspaces: Path) -> None:
    outputs = workspaces / "one" / "outputs"
    for name in ("$(touch owned)", "a b", "`x`", "-rf", "x;y", "n\nl"):
        (outputs / name).mkdir()
        (outputs / name / "manifest.json").write_text('{"run": "x", "started": "2026-11-22T23:50:00.000+00:00"}')
    assert completed("medtui show --workspace one ", workspaces) == ["last", "20261122_cells_mini-cnn_one"]


def test_bash_completes_with_what_show_completion_prints(workspaces: Path) -> None:
    """The script, sourced by a real bash whose `medtui` is this one."""
    (workspaces / "medtui").write_text(f'#!/bin/bash\nexec {shlex.join(MEDTUI)} "$@"\n')
    (workspaces / "medtui").chmod(0o755)
    program = (
        "source <(medtui --show-completion)\nCOMP_WORDS=(medtui run qui) COMP_CWORD=2\n"
        '_medtui_completion medtui\necho "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{workspaces}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", program], cwd=workspaces, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "quickstart\n", done.stderr


def test_install_completion_writes_for_the_shell_that_runs_it(workspaces: Path) -> None:
    command = f"{shlex.join(MEDTUI)} --install-completion; exit $?"  # a shell that only executes is none to see
    environment = {**os.environ, "HOME": str(workspaces)}
    done = subprocess.run(["bash", "-c", command], cwd=workspaces, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "source" in (workspaces / ".bashrc").read_text()
    assert list((workspaces / ".bash_completions").iterdir())


def test_completing_imports_nothing_heavy(workspaces: Path) -> None:
    program = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        "from medtui.cli import main; sys.argv = ['medtui']; main()"
    )
    asked = {"COMP_WORDS": "medtui show ", "COMP_CWORD": "2", "_MEDTUI_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=workspaces, env={**os.environ, **asked}, capture_output=True, check=True
    )
    loaded = {name.split(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}
    assert b"last" in done.stdout
    assert not loaded & {"torch", "torchvision", "numpy", "textual", "matplotlib", "pandas", "sklearn", "yaml"}


# ---- help ---------------------------------------------------------------------------------------------------------


def test_every_summary_fits_one_line_of_80_columns(said: CommandOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for group in ((), ("runs",), ("data",), ("recipe",)):
        _, out, _ = said(*group, "--help")
        assert "Commands:" in out
        assert "..." not in out.partition("Commands:")[2]
        assert max(map(len, out.splitlines())) <= 80


def test_every_option_of_every_command_has_help() -> None:
    for command in walked(typer.main.get_command(app)):
        for parameter in command.params:
            words = (parameter.help or "").partition("[default")[0].split()
            assert len(words) >= 2, f"{command.name} {parameter.name}: {parameter.help!r}"
