"""`medtui run` as scripts and people use it: exit codes, Ctrl-C, JSON, refusals, flags."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from driving import MEDTUI, PATIENCE, Engine, json_lines, medtui, tiny, yaml_of
from warm_starts import ENGINE

from medtui.sentences import CommandLine, EngineDeath

LONG = tiny(training={"epochs": 500, "batch_size": 8, "patience": None})


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(yaml_of(tiny()))
    (tmp_path / "long.yaml").write_text(yaml_of(LONG))
    return tmp_path


class Running:
    """`medtui run --json` in the background."""

    def __init__(self, workspace: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*MEDTUI, "run", *arguments, "--json"],
            cwd=workspace,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.events: list[dict[str, Any]] = []

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if wanted(self.events[-1]):
                return self.events[-1]
        raise AssertionError(f"it ended without: {[event['event'] for event in self.events]}")

    def end(self) -> tuple[int, dict[str, Any]]:
        assert self.process.stdout is not None
        self.events += [json.loads(line) for line in self.process.stdout]
        return self.process.wait(PATIENCE), self.events[-1]


def trained_an_epoch(event: dict[str, Any]) -> bool:
    return bool(event["event"] == "epoch.finished")


def test_json_prints_events_and_nothing_else_and_ends_with_run_finished(workspace: Path) -> None:
    done = medtui("run", "tiny.yaml", "--json", cwd=workspace)
    events = json_lines(done.stdout)
    assert done.returncode == 0
    assert [events[0]["event"], events[-1]["event"]] == ["hello", "run.finished"]
    assert {"outcome", "exit_code", "run_dir", "metrics"} <= set(events[-1])
    assert not [event for event in events[:-1] if event["event"] == "run.finished"]


def test_without_a_terminal_it_prints_plain_lines_with_results_and_paths(workspace: Path) -> None:
    done = medtui("run", "tiny.yaml", "-v", cwd=workspace)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "epoch 2/2" in done.stdout
    assert "synthetic data" in done.stdout
    assert "validation, worst first" in done.stdout
    for label in ("report", "figures", "run"):
        path = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith(f"{label} "))
        assert Path(path).exists()


def test_one_ctrl_c_stops_with_complete_artifacts(workspace: Path) -> None:
    running = Running(workspace, "long.yaml")
    running.wait_for(trained_an_epoch)
    running.process.send_signal(signal.SIGINT)
    code, finished = running.end()
    assert (code, finished["outcome"]) == (6, "stopped")
    assert (Path(finished["run_dir"]) / "reports" / "report.xlsx").is_file()


def test_two_ctrl_c_abort(workspace: Path) -> None:
    running = Running(workspace, "long.yaml")
    running.wait_for(trained_an_epoch)
    running.process.send_signal(signal.SIGINT)
    running.wait_for(lambda event: event["event"] == "command.accepted" and event["command"] == "stop")
    running.process.send_signal(signal.SIGINT)
    code, finished = running.end()
    assert (code, finished["outcome"]) == (7, "aborted")


def test_three_ctrl_c_kill_even_an_engine_that_does_not_answer(workspace: Path) -> None:
    running = Running(workspace, "long.yaml")
    engine = running.wait_for(lambda event: event["event"] == "hello")["pid"]
    running.wait_for(lambda event: event["event"] == "checkpoint.saved")
    os.kill(engine, signal.SIGSTOP)
    for _ in range(3):
        running.process.send_signal(signal.SIGINT)
        time.sleep(1.0)  # the signals are told apart by the client's own loop, which looks ten times a second
    code, finished = running.end()
    assert (code, finished["outcome"], finished["exit_code"]) == (7, "crashed", 7)
    with pytest.raises(ProcessLookupError):
        os.kill(engine, 0)


def test_sigterm_to_the_client_aborts_the_run(workspace: Path) -> None:
    running = Running(workspace, "long.yaml")
    running.wait_for(trained_an_epoch)
    running.process.terminate()
    code, finished = running.end()
    assert (code, finished["outcome"]) == (7, "aborted")


def test_an_engine_that_dies_before_anything_was_saved_is_a_crash_with_exit_code_5(workspace: Path) -> None:
    running = Running(workspace, "long.yaml")
    engine = running.wait_for(lambda event: event["event"] == "hello")["pid"]
    os.kill(engine, signal.SIGKILL)
    code, finished = running.end()
    assert (code, finished["outcome"], finished["exit_code"], finished["run_dir"]) == (5, "crashed", 5, None)
    assert finished["error"]["code"] == EngineDeath.KILLED.code
    again = medtui("run", "tiny.yaml", "--json", cwd=workspace)
    assert again.returncode == 0, "the lock is free after a kill"


def test_a_crashed_run_is_shown_as_crashed(workspace: Path) -> None:
    running = Running(workspace, "long.yaml")
    engine = running.wait_for(lambda event: event["event"] == "hello")["pid"]
    running.wait_for(trained_an_epoch)
    os.kill(engine, signal.SIGKILL)
    running.end()
    shown = json.loads(medtui("show", "last", "--json", cwd=workspace).stdout)
    assert (shown["outcome"], shown["test"]) == ("crashed", None)
    assert shown["validation"]["auc"] > 0


def test_a_second_start_is_refused_names_the_holder_and_leaves_nothing(workspace: Path) -> None:
    first = Engine(workspace)
    try:
        first.train(LONG)
        run = Path(first.wait_for_event("run.started")["run_dir"])
        before = sorted(workspace.rglob("*"))
        second = medtui("run", "tiny.yaml", cwd=workspace)
        assert second.returncode == 3
        assert str(first.process.pid) in second.stderr
        assert run.name in second.stderr
        assert set(workspace.glob("outputs/*")) <= set(before)
        refused = json_lines(medtui("run", "tiny.yaml", "--json", cwd=workspace).stdout)[-1]
        assert (refused["exit_code"], refused["outcome"], refused["run_dir"]) == (3, "failed", None)
        assert refused["error"]["kind"] == "locked"
    finally:
        first.kill()


def test_a_refused_engine_has_not_imported_torch(workspace: Path) -> None:
    holder = Engine(workspace)
    try:
        holder.train(LONG)
        holder.wait_for_event("run.started")
        start = json.dumps({"command": "start", "id": "s", "job": "train", "recipe": LONG})
        refused = subprocess.run(
            [*ENGINE, "--workspace", str(workspace)],
            input=start + "\n",
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},  # every import is a line
            check=False,
        )
    finally:
        holder.kill()
    imported = {line.rpartition("|")[2].strip() for line in refused.stderr.splitlines() if "import time:" in line}
    assert (refused.returncode, json_lines(refused.stdout)[-1]["exit_code"]) == (3, 3)
    assert "engine.session" in imported and not imported & {"torch", "numpy", "engine.run.train_job"}


def test_a_second_run_of_a_recipe_on_one_day_gets_a_number(workspace: Path) -> None:
    names = [json_lines(medtui("run", "tiny.yaml", "--json", cwd=workspace).stdout)[-1]["run_dir"] for _ in range(2)]
    assert names[1] in (names[0] + "_2", names[0])  # equal only over midnight
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "nosuch"), 2, "no recipe"),
        (("run", "quikstart"), 2, "did you mean quickstart"),
        (("run", "--dataset", "breastmnst"), 2, "did you mean breastmnist"),
        (("run", "--model_name", "resnet-19"), 2, "did you mean resnet18"),
        (("run", "--set", "training.lr"), 2, "section.field=value"),
        (("run", "--set", "training.lr=nan"), 2, "training.lr"),
        (("run", "--set", "training.learning_rate=1"), 2, "training.learning_rate is unknown"),
        (("run", "--lr", "-1"), 2, "training.lr must be a number above 0"),
        (("run", "tiny.yaml", "--set", "runtime.device=cuda:7"), 2, "no CUDA device"),
        (
            ("run", "tiny.yaml", "--set", f"runtime.threads={min(1024, 4 * (os.cpu_count() or 1) + 1)}"),
            2,
            "at most 4 threads",
        ),
        (("run", "--data", "nowhere", "breastmnist"), 2, "no"),
        (("run", "breastmnist", "--workspace", "nowhere"), 2, "workspace"),
        (("run", "breastmnist"), 4, "750601b1f35ba3300ea97c75c52ff8f6"),
        (
            ("run", "tiny.yaml", "--set", "model.name=resnet18_adapted", "--set", "model.pretrained=true"),
            4,
            "resnet18-f37072fd.pth",
        ),
        (
            ("run", "bloodmnist", "--set", "dataset.name=cells"),
            4,
            "Start from scratch with `model.pretrained=false`",
        ),
        (("show", "last"), 2, "no run"),
        (("score", "nofile.csv"), 2, "nofile.csv"),
        (("recipe", "validate", "nosuch.yaml"), 2, "nosuch.yaml"),
    ],
)
def test_a_refusal_is_one_sentence_with_its_exit_code_and_leaves_nothing(
    workspace: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    environment = {"HOME": str(workspace)}  # no ~/.medmnist
    done = medtui(*arguments, cwd=workspace, environment=environment)
    words = done.stdout + done.stderr
    assert done.returncode == code, words
    assert said in words
    assert "Traceback" not in words
    left = {path.name for path in (workspace / "outputs").glob("*")} if (workspace / "outputs").exists() else set()
    assert left <= {".medtui.lock"}
    machine = medtui(*arguments, "--json", cwd=workspace, environment=environment)
    assert machine.returncode == code
    last = json.loads(machine.stdout.splitlines()[-1])
    error = last["error"]
    assert error["kind"]
    assert error["message"]
    if arguments[0] == "run":
        assert (last["event"], last["outcome"], last["run_dir"]) == ("run.finished", "failed", None)


@pytest.mark.parametrize(
    "arguments",
    [("run", "--nosuch"), ("nosuch",), ("run", "--epochs", "abc"), ("score",), ("runs", "extra")],
    ids=" ".join,
)
def test_a_usage_error_is_one_sentence_and_exit_code_2(workspace: Path, arguments: tuple[str, ...]) -> None:
    done = medtui(*arguments, cwd=workspace)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("medtui: ")
    assert len(done.stderr.splitlines()) == 1
    machine = medtui(*arguments, "--json", cwd=workspace)
    error = json.loads(machine.stdout.splitlines()[-1])["error"]
    wrong = {"--nosuch": CommandLine.UNKNOWN_OPTION, "nosuch": CommandLine.UNKNOWN_COMMAND}
    wrong["extra"] = CommandLine.UNKNOWN_RUNS_COMMAND if arguments[0] == "runs" else CommandLine.UNKNOWN_COMMAND
    assert (error["kind"], error["code"]) == ("usage", wrong.get(arguments[-1], CommandLine.SYNTAX).code)


@pytest.mark.parametrize(
    ("end", "json_flag"),
    [
        *product(("a full disk", "a reader that goes"), ((), ("--json",))),
        *(pytest.param("closed from the start", flag, marks=pytest.mark.slow) for flag in ((), ("--json",))),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value) or "lines",
)
def test_a_stdout_that_goes_away_does_not_end_the_run(workspace: Path, end: str, json_flag: tuple[str, ...]) -> None:
    command = [*MEDTUI, "run", "tiny.yaml", *json_flag]
    if end == "closed from the start":  # by a shell, which starts it from nothing
        command = ["bash", "-c", f"{shlex.join([*command, 'evaluation.test=false'])} >&-"]
    with Path("/dev/full").open("w") as full, (workspace / "errors").open("w+") as errors:
        stdout = full if end == "a full disk" else subprocess.PIPE
        with subprocess.Popen(command, cwd=workspace, stdout=stdout, stderr=errors) as running:
            if running.stdout is not None:
                running.stdout.readline()
                running.stdout.close()
            code = running.wait(PATIENCE)
        errors.seek(0)
        said = errors.read()
    assert code == 0, said
    assert "Traceback" not in said
    shown = json.loads(medtui("show", "last", "--json", cwd=workspace).stdout)
    assert shown["outcome"] == "completed"


def test_an_argument_that_is_not_utf8_does_not_hang(workspace: Path) -> None:
    command = [*(part.encode() for part in MEDTUI), b"run", b"tiny.yaml", b"--json", b"--workspace", b"w\xff"]
    (workspace / os.fsdecode(b"w\xff")).mkdir()
    done = subprocess.run(command, cwd=workspace, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert b"UTF-8" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["error"]["kind"] == "usage"


def test_hostile_files_in_outputs_are_shown_as_harmless_text(workspace: Path) -> None:
    run = Path(json_lines(medtui("run", "tiny.yaml", "--json", cwd=workspace).stdout)[-1]["run_dir"])
    status = json.loads((run / "status.json").read_text())
    for change in (
        {"outcome": None, "pid": -1},
        {"outcome": None, "host": "elsewhere", "updated": 1e300},
        {"dataset": "\x1b]0;owned\x07", "model": "\x1b[2J"},
        {"epochs_done": "many"},
    ):
        (run / "status.json").write_text(json.dumps(status | change))
        for command in ("runs", "show"):
            done = medtui(command, cwd=workspace)
            assert done.returncode == 0, done.stderr
            assert "\x1b" not in done.stdout
            assert medtui(command, "--json", cwd=workspace).returncode == 0
    (run / "status.json").unlink()
    (run / "events.jsonl").unlink()
    assert "unreadable" in medtui("runs", cwd=workspace).stdout
    assert medtui("show", "last", "--json", cwd=workspace).returncode == 0


def test_an_outputs_that_is_a_file_is_refused(workspace: Path) -> None:
    (workspace / "outputs").write_text("not a folder")
    done = medtui("run", "tiny.yaml", cwd=workspace)
    assert done.returncode == 2
    assert "found a file" in done.stderr


# ---- flags ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ("--dataset", "dermamnist", "--epochs", "10"),
        ("--no_tta",),
        ("--epochs", "100"),
        ("--lr", "0.001"),
        ("--mixup_alpha", "0"),
        ("--batch_size", "64", "--seed", "123"),
        ("--dataset", "dermamnist", "--lr", "0.005", "--epochs", "100"),
    ],
    ids=" ".join,
)
def test_the_reference_flag_sets_run_as_written(
    stand_in: dict[str, list[str]], workspace: Path, flags: tuple[str, ...]
) -> None:
    dataset = "dermamnist" if "dermamnist" in flags else "bloodmnist"
    shortened = ["--set", "model.name=mini_cnn", "--set", "runtime.max_minutes=0.02", *stand_in[dataset]]
    done = medtui("run", *flags, *shortened, "--json", cwd=workspace)
    assert done.returncode in (0, 6), done.stdout + done.stderr
    run_dir = Path(json_lines(done.stdout)[-1]["run_dir"])
    recipe = (run_dir / "recipe.yaml").read_text()
    expected = {"--epochs": "epochs", "--lr": "lr", "--mixup_alpha": "mixup_alpha", "--batch_size": "batch_size"}
    for flag, value in pairwise(flags):
        if flag in expected:
            assert f"  {expected[flag]}: {float(value) if '.' in value or 'alpha' in flag else value}" in recipe
    assert f"  name: {dataset}" in recipe
    assert f"  tta: {'false' if '--no_tta' in flags else 'true'}" in recipe


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--epochs", "0"), "medtui: --epochs: training.epochs must be a whole number from 1 to "),
        (("tiny.yaml", "--lr", "-1"), "medtui: --lr: training.lr must be a number above 0 and up to 10, found -1.0."),
        (("--set", "training.lr=0"), "medtui: training.lr=0: training.lr must be a number above 0 and up to 10, "),
        (("--lr", "1e-9"), "medtui: --lr: training.min_lr must be below lr (1e-09), found 1e-06"),
        (("--batch-size", "0", "--set", "training.seed=-1"), "medtui: --batch-size: training.batch_size must be"),
        (("--batch-size", "0", "--set", "training.seed=-1"), " training.seed=-1: training.seed must be"),
        (
            ("bad.yaml", "--lr", "-1"),
            "medtui: bad.yaml: line 2: training.epochs must be a whole number from 1 to 100000, "
            "found the text 'none'. --lr: training.lr must be a number above 0 and up to 10, found -1.0.",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_invalid_value_is_reported_with_its_flag(workspace: Path, arguments: tuple[str, ...], said: str) -> None:
    """And of a recipe's line only what is wrong in the recipe."""
    (workspace / "bad.yaml").write_text("training:\n  epochs: none\n")
    done = medtui("run", *arguments, cwd=workspace)
    assert done.returncode == 2
    assert said in done.stderr
    assert "bloodmnist.yaml" not in done.stderr


def test_recipe_errors_are_reported_in_the_order_of_their_lines(workspace: Path) -> None:
    text = "runtime:\n  threads: 0\nmodel:\n  dropout: 2\ndataset:\n  name: nosuch\n  size: 5\n"
    (workspace / "bad.yaml").write_text(text)
    done = medtui("recipe", "validate", "bad.yaml", cwd=workspace)
    assert done.returncode == 2
    assert re.findall(r"line (\d+): ", done.stderr) == ["2", "4", "6", "7"]
    assert "start again" not in done.stderr and "`medtui recipe schema`" in done.stderr


def test_a_command_group_alone_lists_its_commands(workspace: Path) -> None:
    done = medtui("recipe", cwd=workspace)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(command in done.stdout for command in ("init", "validate", "schema"))


def test_an_option_that_a_command_lacks_is_refused_before_it_not_ignored(workspace: Path) -> None:
    done = medtui("--readonly", "run", "tiny.yaml", cwd=workspace)
    assert done.returncode == 2
    assert "`medtui run` has no option --readonly." in done.stderr
    assert not (workspace / "outputs").exists()


def test_set_overrides_the_recipe(workspace: Path) -> None:
    done = medtui("run", "tiny.yaml", "--set", "training.epochs=1", "--json", cwd=workspace)
    started = next(event for event in json_lines(done.stdout) if event["event"] == "run.started")
    assert started["epochs"] == 1


def test_the_shipped_bloodmnist_recipe_is_the_table_of_flag_defaults() -> None:
    from engine.contract.recipe.reader import build_recipe, find_recipe
    from engine.contract.recipe.yaml_reader import read_yaml_file

    recipe = build_recipe(read_yaml_file(find_recipe("bloodmnist")).values)
    assert recipe.model.pretrained is True
    training, augmentation = recipe.training, recipe.augmentation
    assert (recipe.dataset.name, recipe.model.name) == ("bloodmnist", "resnet18_adapted")
    assert (training.epochs, training.batch_size, training.lr, training.seed) == (60, 128, 0.008, 42)
    assert (training.mixup_alpha, training.patience, training.momentum, training.weight_decay) == (0.002, 15, 0.9, 5e-4)
    assert (augmentation.rotation, augmentation.brightness, augmentation.contrast) == (10, 0.2, 0.2)
    assert (augmentation.hflip, recipe.evaluation.tta) == ("auto", True)


def test_every_shipped_recipe_is_valid_and_every_data_set_has_one() -> None:
    from engine.contract.data.datasets import datasets
    from engine.contract.recipe.reader import build_recipe
    from engine.contract.recipe.shipped import shipped_recipes
    from engine.contract.recipe.yaml_reader import read_yaml_file

    of_sets = datasets().keys() - {"cells"}
    assert len(of_sets) == 12
    assert set(shipped_recipes()) == of_sets | {"quickstart", "strict", "breastmnist_small", "retinamnist_small"}
    for path in shipped_recipes().values():
        recipe = build_recipe(read_yaml_file(path).values, source=str(path))
        assert recipe.model.pretrained != "auto", "what it starts from is not left to the network"


def test_recipe_init_writes_a_file_to_edit_and_overwrites_nothing(tmp_path: Path) -> None:
    assert medtui("recipe", "init", "mine.yaml", cwd=tmp_path).returncode == 0
    text = (tmp_path / "mine.yaml").read_text()
    assert "#" in text
    assert medtui("recipe", "validate", "mine.yaml", cwd=tmp_path).returncode == 0
    again = medtui("recipe", "init", "mine.yaml", cwd=tmp_path)
    assert (again.returncode, (tmp_path / "mine.yaml").read_text()) == (2, text)
    schema = json.loads(medtui("recipe", "schema", cwd=tmp_path).stdout)
    assert "training" in schema["properties"]
