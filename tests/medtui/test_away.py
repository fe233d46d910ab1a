"""Being notified away from the screen: what is worth it, once, by a real command and a real web server."""

from __future__ import annotations

import base64
import json
import os
import socket
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from receiving import Receiver, Request, a_byte_at_a_time, silent
from test_state import RUN, folded

from engine.contract.wire.errors import RunFailed
from engine.contract.wire.protocol import Alarm, ErrorInfo, Progress, RunFinished
from medtui.client.away import Notifier, claim
from medtui.client.delivery import deliver
from medtui.client.facts import facts_of
from medtui.client.occurrences import Occurrence, Occurrences
from medtui.client.view import RunView
from medtui.settings import Away, read_settings, settings_of

VIEW = RunView(asked_to_start=True, run="20260101_demo", state=folded(RUN))
END = Occurrence("end", "9f8e end", "Run 20260101_demo completed.")
FACTS = facts_of(END, VIEW)


# ---- settings -------------------------------------------------------------------------------------------------------


def away(notify: Any) -> Away:
    return settings_of({"notify": notify}).away


def test_the_settings_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("notify:\n  command: [~/bin/page, me, 5]\n  url: https://u:p@ntfy.example/t\n  on: [end, stall]\n")
    read = read_settings(file)
    assert read.warnings == () and read.notify
    assert read.away == Away(("~/bin/page", "me", "5"), "https://u:p@ntfy.example/t", ("end", "stall"))
    assert "ntfy" not in repr(read) and "page" not in repr(read)


@pytest.mark.parametrize("value", [True, False, None])
def test_a_switch_is_of_the_desktop_alone(value: bool | None) -> None:
    read = settings_of({"notify": value})
    assert (read.notify, bool(read.away), read.warnings) == (value is not False, False, ())


SECRET = "s3cret"


@pytest.mark.parametrize(
    ("notify", "expected"),
    [
        (3, "expected notify to be true, false, or the fields desktop, command, url, on, found a number"),
        ({"comand": []}, "notify.comand is unknown; known are desktop, command, url, on"),
        ({"desktop": "yes"}, "expected notify.desktop to be true or false, found a text"),
        ({"command": f"page {SECRET}"}, "expected notify.command to be a list of texts"),
        ({"command": []}, "found an empty list"),
        ({"command": ["page", {SECRET: 1}]}, "found fields in the list"),
        ({"command": ["page", None]}, "found nothing in the list"),
        ({"url": 7}, "expected notify.url to be an http or https address, found a number"),
        ({"url": f"ftp://u:{SECRET}@host/"}, "found an address that begins otherwise"),
        ({"url": f"{SECRET}.example/hook"}, "found an address that begins otherwise"),
        ({"url": f"https:///{SECRET}"}, "found an address that is not valid"),
        ({"url": f"https://host:{SECRET}/"}, "found an address that cannot be read"),
        ({"url": f"https://host/{SECRET} x"}, "found an address that is not valid"),
        ({"on": "end"}, "expected notify.on to be a list of end, failure, alarm, stall, found a text"),
        ({"on": ["end", "epoch"]}, "expected notify.on to be a list of end, failure, alarm, stall, found 'epoch'"),
    ],
)
def test_each_wrong_setting_is_one_sentence_without_a_secret(notify: Any, expected: str) -> None:
    read = settings_of({"notify": notify}, "settings.yaml")
    (warning,) = read.warnings
    assert warning.startswith("settings.yaml: ") and expected in warning and SECRET not in warning
    assert not read.away and read.notify
    assert read.away.warnings == read.warnings


# ---- what is worth a notification -----------------------------------------------------------------------------------


def at(done: int, seconds: float, step: int | None = None) -> Progress:
    return Progress(
        time=seconds, phase="training", activity="", done=done, total=900, epoch=1, step=done if step is None else step
    )


def training(progress: Progress) -> RunView:
    return RunView(asked_to_start=True, progress=progress, state=folded(RUN[:4]))


def test_no_step_for_ten_times_the_usual_is_a_stall_once_until_there_is_a_step() -> None:
    occurrences = Occurrences(shortest=30.0)
    seen: list[tuple[float, Occurrence]] = []

    def look(progress: Progress, now: float) -> None:
        seen.extend((now, one) for one in occurrences.of(training(progress), now))

    for step in range(20):  # one step in four seconds
        look(at(step, 4.0 * step), 4.0 * step)
    for second in range(77, 200):  # the last step was at 76
        look(at(19, 76.0), float(second))
    assert [(now, one.kind) for now, one in seen] == [(116.0, "stall")], "ten steps' time later"
    assert seen[0][1].text == "No training step for 40 s; one usually takes 4 s."
    assert occurrences.stalled == 123.0, "as long as it lasts"
    look(at(20, 200.0), 200.0)
    assert occurrences.stalled is None
    for second in range(201, 300):
        look(at(20, 200.0), float(second))
    assert [now for now, _ in seen[1:]] == [240.0]


def test_epochs_that_are_shorter_than_the_time_between_reports_have_a_usual_step_too() -> None:
    """As of an attached run: every other report is of a validation."""
    occurrences = Occurrences(shortest=30.0)
    for second in range(20):
        progress = at(6 * second, float(second)).model_copy(update={"epoch": second + 1})
        if second % 2:
            progress = progress.model_copy(update={"step": None, "done": 3, "total": 96})
        assert occurrences.of(training(progress), float(second)) == []
    found = [(now, one.text) for now in range(20, 60) for one in occurrences.of(training(progress), float(now))]
    assert found == [(49, "No training step for 30 s; one usually takes 0.17 s.")], "12 steps in two seconds"


def test_fast_steps_do_not_make_a_pause_of_seconds_a_stall() -> None:
    occurrences = Occurrences(shortest=30.0)
    for step in range(50):
        assert occurrences.of(training(at(step, 0.01 * step)), 0.2 * step) == []
    found = [now for now in range(11, 60) if occurrences.of(training(at(49, 0.49)), float(now))]
    assert found == [40], "30 s after the step at 9.8 s"


def test_a_paused_run_and_one_that_this_process_did_not_look_at_are_no_stall() -> None:
    occurrences = Occurrences(shortest=30.0)
    for step in range(50):
        occurrences.of(training(at(step, step)), float(step))
    assert occurrences.of(training(at(49, 49.0)), 5000.0) == [], "this process was stopped meanwhile"
    paused = RunView(asked_to_start=True, progress=at(49, 49.0), state=folded(RUN[:2]))
    assert paused.phase != "training"
    assert all(occurrences.of(paused, float(now)) == [] for now in range(5001, 5100))


def test_what_happened_before_we_came_is_not_new() -> None:
    occurrences = Occurrences()
    assert occurrences.of(RunView(asked_to_start=True, catching_up=True, state=folded(RUN)), 0.0) == []
    (end,) = occurrences.of(VIEW, 1.0)
    assert (end.kind, end.is_new) == ("end", False)
    assert occurrences.of(VIEW, 2.0) == []


# ---- a command ------------------------------------------------------------------------------------------------------


def script(folder: Path, body: str) -> str:
    file = folder / "page"
    file.write_text(f"#!{sys.executable}\n{body}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_a_command_gets_the_facts_in_its_environment(tmp_path: Path) -> None:
    written = f"open({str(tmp_path / 'out')!r}, 'w').write(json.dumps([sys.argv[1:], dict(os.environ)]))"
    body = f"import json, os, sys; {written}"
    assert deliver(Away((script(tmp_path, body), "to", "me")), FACTS, 30.0) == []
    arguments, environment = json.loads((tmp_path / "out").read_text())
    assert arguments == ["to", "me"]
    assert environment["PATH"] == os.environ["PATH"]
    assert {name: environment[f"MEDTUI_{name}"] for name in ("EVENT", "RUN", "OUTCOME", "EXIT_CODE", "EPOCH")} == {
        "EVENT": "end",
        "RUN": "20260101_demo",
        "OUTCOME": "stopped",
        "EXIT_CODE": "6",
        "EPOCH": str(VIEW.epoch),
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("raise SystemExit(3)", "ended with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "was ended by signal 9"),
        ("import time; time.sleep(600)", "was ended after 1 s"),
    ],
)
def test_a_command_that_fails_is_named_without_its_arguments(tmp_path: Path, body: str, expected: str) -> None:
    began = time.monotonic()
    (warning,) = deliver(Away((script(tmp_path, body), SECRET)), FACTS, 1.0 if "sleep" in body else 30.0)
    assert expected in warning and "notify command page " in warning and SECRET not in warning
    assert time.monotonic() - began < 30.0


def test_a_command_that_does_not_exist_is_a_warning() -> None:
    (warning,) = deliver(Away(("/nowhere/page", SECRET)), FACTS, 5.0)
    assert "could not be started: No such file or directory" in warning and SECRET not in warning


# ---- an address -----------------------------------------------------------------------------------------------------


def test_an_address_is_sent_one_json_object() -> None:
    with Receiver() as server:
        assert deliver(Away(url=f"http://{server.host}/topic?auth=x"), FACTS, 30.0) == []
        ((path, headers, body),) = server.requests
    assert path == "/topic?auth=x"
    assert headers["Content-Type"] == "application/json" and "Authorization" not in headers
    assert body["event"] == "end" and body["run"] == "20260101_demo"
    assert body["text"].startswith("Run 20260101_demo completed.")
    assert body["title"] == f"medtui: 20260101_demo {VIEW.outcome}"


def test_name_and_password_of_an_address_travel_in_a_header_alone() -> None:
    with Receiver() as server:
        assert deliver(Away(url=f"http://me:{SECRET}%2F@{server.host}/hook"), FACTS, 30.0) == []
        ((path, headers, _),) = server.requests
    assert path == "/hook"
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == f"me:{SECRET}/".encode()
    assert SECRET not in headers["Host"]


def answer_500(request: Request) -> None:
    request.status(500)


def redirect(request: Request) -> None:
    request.status(302, Location=f"http://{request.server.host}/elsewhere/{SECRET}")


def no_web_server(request: Request) -> None:
    request.wfile.write(f"{SECRET} is not HTTP\r\n\r\n".encode())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (answer_500, "it answered 500"),
        (redirect, "it answered 302, which leads elsewhere"),
        (no_web_server, "it did not answer as a web server does"),
        (silent, "no answer within 1 s"),
        (a_byte_at_a_time, "no answer within 1 s"),
    ],
)
def test_a_server_that_fails_is_named_by_its_host_alone(answer: Callable[[Request], None], expected: str) -> None:
    with Receiver(answer) as server:
        began = time.monotonic()
        url = f"http://me:{SECRET}@{server.host}/{SECRET}?token={SECRET}#{SECRET}"
        (warning,) = deliver(Away(url=url), FACTS, 1.0 if "1 s" in expected else 30.0)
        assert time.monotonic() - began < 30.0
    assert warning.startswith(f"127.0.0.1 did not accept the notification: {expected}.")
    assert SECRET not in warning
    assert len(server.requests) == 1, "a redirect is not followed, nothing is sent twice"


def test_a_port_where_nobody_listens_and_a_name_that_is_none() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (warning,) = deliver(Away(url=f"http://127.0.0.1:{free.getsockname()[1]}/{SECRET}"), FACTS, 30.0)
    assert "cannot be reached (Connection refused)" in warning and SECRET not in warning
    (warning,) = deliver(Away(url=f"http://no.such.host.invalid/{SECRET}"), FACTS, 30.0)
    assert "its name cannot be resolved" in warning and SECRET not in warning


# ---- the notifier ---------------------------------------------------------------------------------------------------


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    return tmp_path / "claims"


def test_nobody_waits_for_a_server_that_never_answers(claims: Path) -> None:
    warnings: list[str] = []
    with Receiver(silent) as server:
        notifier = Notifier(Away(url=f"http://{server.host}/"), warnings.append, claims=claims)
        began = time.monotonic()
        for number in range(100):
            notifier.notify(Occurrence("end", f"end {number}", "The end."), VIEW)
        assert time.monotonic() - began < 1.0
        notifier.close(0.5)
        assert time.monotonic() - began < 5.0


def test_a_failure_to_notify_is_a_warning_once(claims: Path) -> None:
    warnings: list[str] = []
    with Receiver(answer_500) as server:
        notifier = Notifier(Away(url=f"http://{server.host}/"), warnings.append, claims=claims)
        for number in range(3):
            notifier.notify(Occurrence("end", f"end {number}", "The end."), VIEW)
        notifier.close(60.0)
        assert server.events == ["end"] * 3
    assert len(warnings) == 1


def test_who_follows_the_same_run_notifies_once(claims: Path) -> None:
    with Receiver() as server:
        settings = Away(url=f"http://{server.host}/")
        clients = [Notifier(settings, pytest.fail, claims=claims) for _ in range(5)]
        for client in clients:
            client.notify(END, VIEW)
        for client in clients:
            client.close(60.0)
        assert server.events == ["end"]


def test_without_a_folder_for_claims_it_is_better_twice_than_never(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert claim("key", tmp_path / "file" / "below") and claim("key", tmp_path / "file" / "below")
    assert claim("key", tmp_path / "ok") and not claim("key", tmp_path / "ok") and claim("other", tmp_path / "ok")


def test_only_what_the_settings_name_is_sent_and_an_alarm_that_ends_the_run_is_one_notification(claims: Path) -> None:
    error = ErrorInfo(kind="non_finite_loss", message="The loss became nan.", hint="Lower it.")
    alarm = Alarm(time=9.0, seq=98, kind="non_finite_loss", message=error.message, hint=error.hint)
    finished = RunFinished(
        time=9.0, seq=99, outcome="failed", exit_code=RunFailed.exit_code, metrics={}, run_dir=None, error=error
    )
    occurrences = Occurrences()
    failed = [RunView(asked_to_start=True, state=folded([*RUN[:4], *more])) for more in ([alarm], [alarm, finished])]
    found = [(one, view) for view in failed for one in occurrences.of(view, 1.0)]
    assert [one.kind for one, _ in found] == ["alarm", "failure"]
    with Receiver() as server:
        for on, name in ((("failure", "alarm"), "both"), (("alarm",), "alarm"), (("end", "stall"), "none")):
            notifier = Notifier(Away(url=f"http://{server.host}/", on=on), pytest.fail, claims=claims / name)
            for one, view in found:
                notifier.notify(one, view)
            notifier.close(60.0)
        assert server.events == ["failure", "alarm"]


def test_settings_that_are_no_file_are_reported(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "missing.yaml").warnings == ()
    (tmp_path / "settings.yaml").mkdir()
    (said,) = read_settings(tmp_path / "settings.yaml").warnings
    assert "settings.yaml" in said and "found a folder" in said
