"""A run that nobody looks at notifies as the settings say: real engines, a real web server, a real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from driving import PATIENCE, Engine, json_lines, medtui, tiny, yaml_of
from receiving import Receiver, silent
from warm_starts import MEDTUI

SECRET = "s3cret"


def settings_of(folder: Path, notify: dict[str, Any]) -> dict[str, str]:
    """The environment of a client with these settings, whose claims are its own."""
    file = folder / "settings.yaml"
    file.write_text(json.dumps({"notify": notify}))
    return {"MEDTUI_SETTINGS": str(file), "XDG_STATE_HOME": str(folder / "state"), "no_proxy": "127.0.0.1"}


def train(folder: Path, environment: dict[str, str], **sections: Any) -> subprocess.CompletedProcess[str]:
    (folder / "recipe.yaml").write_text(yaml_of(tiny(**sections)))
    return medtui("run", "recipe.yaml", "--workspace", ".", cwd=folder, environment=environment)


def journal_of(folder: Path) -> list[dict[str, Any]]:
    return json_lines(next(folder.glob("outputs/*/events.jsonl")).read_text())


def attached(folder: Path, run: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [*MEDTUI, "attach", run, "--json", "--workspace", "."]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})


def test_the_end_of_a_headless_run_reaches_an_address_and_a_command(tmp_path: Path) -> None:
    lines = "import os; print('\\n'.join(f'{n}={v}' for n, v in os.environ.items()), file=open('env', 'w'))"
    with Receiver() as server:
        url = f"http://me:{SECRET}@{server.host}/hook/{SECRET}"
        environment = settings_of(tmp_path, {"url": url, "command": [sys.executable, "-c", lines]})
        done = train(tmp_path, environment, training={"epochs": 2})
        assert done.returncode == 0, done.stdout + done.stderr
        body = server.wait_for("end")
        assert server.events == ["end"]
    final = journal_of(tmp_path)[-1]
    assert (body["run"], body["outcome"], body["exit_code"]) == (Path(final["run_dir"]).name, "completed", 0)
    assert body["test_auc"] == final["metrics"]["test"]["auc"]
    assert (body["dataset"], body["model"], body["epoch"], body["epochs"]) == ("cells", "mini_cnn", 2, 2)
    assert {"MEDTUI_EVENT=end", f"MEDTUI_RUN={body['run']}", "MEDTUI_OUTCOME=completed"} <= set(
        (tmp_path / "env").read_text().splitlines()
    )
    assert SECRET not in done.stdout + done.stderr
    files = [path for path in tmp_path.glob("outputs/**/*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if SECRET.encode() in path.read_bytes()], "no file of the run has the secret"


def test_a_failure_is_one_notification_and_names_its_reason(tmp_path: Path) -> None:
    diverging = {"lr": 10, "weight_decay": 10, "momentum": 0, "schedule": "constant", "batch_size": 8, "epochs": 50}
    with Receiver() as server:
        done = train(tmp_path, settings_of(tmp_path, {"url": f"http://{server.host}/"}), training=diverging)
        assert done.returncode == 5, done.stdout + done.stderr
        body = server.wait_for("failure")
        assert server.events == ["failure"], "the alarm that came with it says the same"
    assert body["outcome"] == "failed" and "The loss became" in body["text"]


def test_a_run_that_is_refused_before_it_has_a_folder_is_a_failure_too(tmp_path: Path) -> None:
    with Receiver() as server:
        done = train(tmp_path, settings_of(tmp_path, {"url": f"http://{server.host}/"}), dataset={"name": "bloodmnist"})
        assert done.returncode == 4, done.stdout + done.stderr
        body = server.wait_for("failure")
    assert body["run"] is None and body["outcome"] == "failed"


@pytest.mark.slow
def test_a_server_that_never_answers_delays_no_training_and_the_command_by_seconds(tmp_path: Path) -> None:
    with Receiver(silent) as server:
        url = f"http://{server.host}/{SECRET}"
        done = train(tmp_path, settings_of(tmp_path, {"url": url}), training={"epochs": 2})
        ended = time.time()
        assert server.events == ["end"]
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert said.count("127.0.0.1 did not accept the notification: no answer within 10 s.") == 1
    assert SECRET not in said
    assert ended - journal_of(tmp_path)[-1]["time"] < 10 + 20, "the limit, and the end of a process on a busy machine"


def test_a_wrong_setting_is_a_sentence_and_the_run_goes_on(tmp_path: Path) -> None:
    done = train(tmp_path, settings_of(tmp_path, {"url": f"smtp://{SECRET}"}), training={"epochs": 1})
    assert done.returncode == 0
    said = done.stdout + done.stderr
    assert said.count("settings.yaml: expected notify.url to be an http or https address") == 1
    assert SECRET not in said


def test_clients_that_follow_the_same_run_notify_once_and_attach_watches_a_detached_one(tmp_path: Path) -> None:
    with Receiver() as server:
        environment = settings_of(tmp_path, {"url": f"http://{server.host}/"})
        engine = Engine(tmp_path)  # whoever started it has no settings
        followers: list[subprocess.Popen[str]] = []
        try:
            engine.train(tiny(training={"epochs": 40}))
            run = Path(engine.wait_for_event("run.started")["run_dir"]).name
            followers += [attached(tmp_path, run, environment) for _ in range(2)]
            for follower in followers:
                assert follower.stdout is not None and "hello" in follower.stdout.readline()
            engine.wait_for_event("epoch.finished")  # else there is nothing to evaluate, and the run is aborted
            engine.send("stop", id="s")
            assert engine.wait_for_event("run.finished")["outcome"] == "stopped"
            for follower in followers:
                said = follower.communicate(timeout=PATIENCE)
                assert follower.returncode == 6, said
        finally:
            for process in followers:
                process.kill()
            engine.kill()
        assert server.events == ["end"]
        late = medtui("attach", run, "--json", "--workspace", ".", cwd=tmp_path, environment=environment)
        assert late.returncode == 6 and server.events == ["end"], "it had ended before we came"


@pytest.mark.parametrize("on", [["failure"], []])
def test_what_the_settings_do_not_name_is_not_sent(tmp_path: Path, on: list[str]) -> None:
    with Receiver() as server:
        settings = settings_of(tmp_path, {"url": f"http://{server.host}/", "on": on})
        assert train(tmp_path, settings, training={"epochs": 1}).returncode == 0
        assert server.events == []
