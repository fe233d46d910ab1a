"""The container: the Dockerfile read as text, its entry point run as a container engine would run it.

No image is built here, which needs a container engine and a network.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from container import HOME, USER, Container, unavailable
from delivered import Installed
from dockerfile import Dockerfile
from driving import json_lines

from engine.contract.recipe.yaml_reader import read_yaml_file
from engine.contract.store.checkpoint_file import verified_digest
from engine.contract.store.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parents[2]
ENTRY_POINT = ROOT / "docker" / "entrypoint.sh"
SMALL = ["--epochs", "2", "--set", "model.name=mini_cnn", "--set", "dataset.limit=256", "--set", "runtime.threads=1"]

# ---- the file --------------------------------------------------------------------------------------------------------


def test_the_image_is_built_in_stages_and_the_last_one_holds_no_build_tools(dockerfile: Dockerfile) -> None:
    assert len(dockerfile.stages) >= 2
    assert all(":" in stage.base and not stage.base.endswith(":latest") for stage in dockerfile.stages)
    for instruction in dockerfile.final.all("RUN"):
        assert not re.search(r"\bpip\b|\bapt(-get)?\b", instruction.rest), instruction
    assert dockerfile.final.copied() == [], "the last stage takes from stages, not from the build context"


def test_no_caches_are_left_in_a_layer(dockerfile: Dockerfile) -> None:
    runs = [instruction.rest for instruction in dockerfile.instructions if instruction.name == "RUN"]
    assert any("pip install" in command for command in runs)
    for command in runs:
        if re.search(r"\bpip (install|wheel|download)\b", command):
            assert "--no-cache-dir" in command, command
        if "apt-get" in command:
            assert re.search(r"rm -rf /var/lib/apt/lists", command), command
            assert "--no-install-recommends" in command, command


def test_nothing_is_fetched_but_by_the_package_installer(dockerfile: Dockerfile) -> None:
    for instruction in dockerfile.instructions:
        assert instruction.name != "ADD", "COPY says what it does"
        assert not re.search(r"https?://|\bcurl\b|\bwget\b", instruction.rest), instruction


def test_the_builder_can_choose_the_index_of_torch(dockerfile: Dockerfile) -> None:
    stage = dockerfile.stage("environment")
    assert [argument.rest for argument in stage.all("ARG")] == ['TORCH_INDEX=""']
    (install,) = [run.rest for run in stage.all("RUN") if '"torch>=' in run.rest]
    command = install.replace("/opt/medtui/bin/pip", "echo")
    for given, expected in (("", ""), ("INDEX/cpu", "--index-url INDEX/cpu ")):
        said = subprocess.run(["sh", "-c", command], env={"TORCH_INDEX": given}, capture_output=True, text=True)
        assert said.stdout.startswith(f"install --no-cache-dir {expected}torch>=")


def test_the_versions_of_torch_are_those_of_the_package(dockerfile: Dockerfile) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = re.findall(r'"(torch(?:vision)?>=[^"]+)"', project)
    assert len(wanted) == 2
    installs = " ".join(run.rest for run in dockerfile.stage("environment").all("RUN"))
    assert all(f'"{requirement}"' in installs for requirement in wanted)


def test_it_runs_as_a_numeric_user_who_is_not_root(dockerfile: Dockerfile) -> None:
    """Numeric, so that an orchestrator can see that it is not root."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", dockerfile.final.one("USER").rest)


def test_signals_reach_the_program(dockerfile: Dockerfile) -> None:
    """The exec form: no shell stands between `docker stop` and the entry point, which replaces itself."""
    assert dockerfile.final.one("ENTRYPOINT").exec_form
    assert dockerfile.final.one("STOPSIGNAL").rest == "SIGTERM"
    assert all(command.exec_form for command in dockerfile.final.all("CMD"))


def test_data_and_results_are_mounts_that_any_user_may_write(dockerfile: Dockerfile) -> None:
    final = dockerfile.final
    assert final.one("WORKDIR").rest == "/app"
    assert final.one("VOLUME").exec_form == ["/app/dataset", "/app/outputs"]
    assert {"/app/dataset", "/app/outputs"} <= set(final.open_folders())


def test_the_environment_sets_what_the_program_reads(dockerfile: Dockerfile) -> None:
    environment = dockerfile.final.environment()
    assert environment["IN_DOCKER"] == "TRUE"
    assert environment["PYTHONHASHSEED"] == "42"
    assert environment["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert environment["DOCKER_REPRODUCIBILITY_MODE"] == "FALSE"
    strict = dockerfile.final.environment({"DOCKER_REPRODUCIBILITY_MODE": "TRUE"})
    assert strict["DOCKER_REPRODUCIBILITY_MODE"] == "TRUE", "can be fixed when the image is built"


def test_every_folder_that_is_written_to_is_open_to_any_user(dockerfile: Dockerfile) -> None:
    environment, folders = dockerfile.final.environment(), dockerfile.final.open_folders()
    for name in (
        "HOME",
        "MEDTUI_CACHE",
        "MEDTUI_DATA",
        "TORCH_HOME",
        "MPLCONFIGDIR",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
    ):
        assert any(Path(environment[name]).is_relative_to(folder) for folder in folders), name


def test_copied_files_are_not_excluded_from_the_build_context(dockerfile: Dockerfile) -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    copied = {name for stage in dockerfile.stages for name, _ in stage.copied()}
    assert copied
    assert "*" in lines, "what is not named stays out: data sets and runs are gigabytes"
    assert copied == {line[1:] for line in lines if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)


# ---- the entry point by itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["run"]),
        (["--dataset", "bloodmnist"], ["run", "--dataset", "bloodmnist"]),
        (["-v"], ["run", "-v"]),
        (["runs", "--json"], ["runs", "--json"]),
        (["run", "my recipe.yaml"], ["run", "my recipe.yaml"]),
        (["--set", "dataset.archive=/a b/*.npz"], ["run", "--set", "dataset.archive=/a b/*.npz"]),
        (["show", ""], ["show", ""]),
    ],
)
def test_the_entry_point_runs_a_recipe_unless_a_command_is_named(
    arguments: list[str], expected: list[str], tmp_path: Path
) -> None:
    stand_in = tmp_path / "medtui"
    stand_in.write_text('#!/bin/sh\necho $$\nfor word in "$@"; do printf "%s\\n" "$word"; done\n')
    stand_in.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    with subprocess.Popen(
        ["/bin/sh", ENTRY_POINT, *arguments], env={"PATH": path}, stdout=subprocess.PIPE, text=True
    ) as process:
        pid, *words = (process.communicate()[0]).split("\n")[:-1]
    assert words == expected
    assert int(pid) == process.pid, "the command must take the entry point's process over"


# ---- as a container --------------------------------------------------------------------------------------------------


@pytest.fixture
def container(
    installed: Installed, dockerfile: Dockerfile, stand_in: dict[str, list[str]], tmp_path: Path
) -> Container:
    if reason := unavailable():
        pytest.skip(reason)
    image, root, dataset, outputs = (tmp_path / name for name in ("image", "root", "dataset", "outputs"))
    shutil.copytree(installed.target, image)
    (image / "bin").chmod(0o755)
    shutil.copyfile(ENTRY_POINT, image / "bin" / "entrypoint")
    (image / "bin" / "entrypoint").chmod(0o755)
    for folder in (root, dataset, outputs):
        folder.mkdir()
    for name in ("bloodmnist", "pathmnist"):
        shutil.copy(archive_of(stand_in[name]), dataset)
    if os.geteuid() == 0:
        os.chown(outputs, USER, USER)
    final = dockerfile.final
    return Container(
        root,
        {**final.environment(), "PYTHONPATH": "/opt/medtui", "OMP_WAIT_POLICY": "PASSIVE"},
        final.one("ENTRYPOINT").exec_form or [],
        final.open_folders(),
        {"/opt/medtui": image},
        {
            str(installed.environment): installed.environment,
            "/app/dataset": dataset,
            "/app/outputs": outputs,
        },
    )


def archive_of(settings: list[str]) -> Path:
    return Path(settings[1].partition("=")[2])


def mounted(settings: list[str]) -> list[str]:
    """The stand-in's `--set` arguments with its path as the container sees it."""
    return [re.sub(r"archive=.*/", "archive=/app/dataset/", word) for word in settings]


@pytest.fixture
def only_run(container: Container) -> Callable[[], RunDirectory]:
    def find() -> RunDirectory:
        (run,) = [path for path in container.mounts["/app/outputs"].iterdir() if path.is_dir()]
        return RunDirectory(run)

    return find


@pytest.mark.slow
def test_the_stand_in_for_a_container_is_as_strict_as_one(container: Container) -> None:
    """An unprivileged process 1 in /app; sources, root and home cannot be written, and the checkout is not there."""
    probe = f"""
        echo $$ $(id -u) $(pwd)
        for place in / /app /opt/medtui /opt/medtui/bin /opt/medtui/engine {HOME}; do
            touch $place/x 2>/dev/null && echo could write in $place
        done
        ls -A {HOME}; ls {ROOT}/engine 2>/dev/null
        medtui --version
    """
    said = container.run_instead("/bin/sh", "-c", probe)
    user = USER if os.geteuid() == 0 else 0
    assert (said.stdout, said.stderr) == (f"1 {user} /app\nmedtui 0.1.0\n", "")


@pytest.mark.slow
def test_a_strict_run_of_bloodmnist(
    container: Container, stand_in: dict[str, list[str]], only_run: Callable[[], RunDirectory]
) -> None:
    arguments = ["--dataset", "bloodmnist", *mounted(stand_in["bloodmnist"]), *SMALL]
    ended = container.run(*arguments, DOCKER_REPRODUCIBILITY_MODE="TRUE")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    recipe = read_yaml_file(only_run().recipe).values
    assert recipe["dataset"]["name"] == "bloodmnist"
    assert recipe["runtime"]["reproducible"] is True
    assert recipe["training"]["batch_size"] == 128
    assert recipe["dataset"]["archive"].startswith("${workspace}/dataset/"), "the workspace is /app"
    manifest = json.loads(only_run().manifest.path.read_text())
    assert manifest["environment"]["PYTHONHASHSEED"] == "42"
    assert manifest["environment"]["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert (only_run().reports.path / "report.xlsx").is_file()
    assert list(only_run().figures.path.glob("*.png"))


@pytest.mark.slow
def test_a_standard_run_of_pathmnist(
    container: Container, stand_in: dict[str, list[str]], only_run: Callable[[], RunDirectory]
) -> None:
    arguments = ["--dataset", "pathmnist", "--batch_size", "256", *mounted(stand_in["pathmnist"]), *SMALL]
    ended = container.run(*arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    recipe = read_yaml_file(only_run().recipe).values
    assert recipe["dataset"]["name"] == "pathmnist"
    assert recipe["runtime"]["reproducible"] is False
    assert recipe["training"]["batch_size"] == 256
    listed = container.run("runs", "--json")
    assert [head["run"] for head in json.loads(listed.stdout)] == [only_run().name], listed.stderr


@pytest.mark.slow
def test_docker_stop_ends_a_run_with_a_checkpoint(
    container: Container, stand_in: dict[str, list[str]], only_run: Callable[[], RunDirectory]
) -> None:
    """SIGTERM to process 1 while it trains: exit code 7, an intact checkpoint, the final event, no process left."""
    endless = ["--epochs", "100000", "--patience", "100000", "--json"]
    with container.start(*mounted(stand_in["bloodmnist"]), *SMALL, *endless) as process:
        try:
            assert process.stdout is not None
            lines = []
            while not (lines and json.loads(lines[-1])["event"] == "epoch.finished"):
                lines.append(process.stdout.readline())
                assert lines[-1], process.stderr and process.stderr.read()
            inside = psutil.Process(process.pid).children(recursive=True)
            inside[0].send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 7
    last = json_lines(rest)[-1]
    assert (last["event"], last["outcome"], last["exit_code"]) == ("run.finished", "aborted", 7)
    assert json_lines(only_run().journal.path.read_text())[-1]["event"] == "run.finished"
    assert re.fullmatch(r"[0-9a-f]{32}", verified_digest(only_run().last))
    assert len(inside) >= 2, "the console side and its engine"
    assert psutil.wait_procs(inside, timeout=10)[1] == []
