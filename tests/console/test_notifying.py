"""The console says what stands out in a run, and notifies somebody who is away as the settings say."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from receiving import Receiver, silent
from screen_helpers import shows, wait_for
from stand_ins import class_rows
from test_live import SIZE, watching

from medtui.client.occurrences import Occurrences
from medtui.settings import Settings, settings_of


@pytest.fixture(autouse=True)
def own_claims(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def away_to(server: Receiver, path: str = "") -> Settings:
    return settings_of({"bell": False, "notify": {"desktop": False, "url": f"http://{server.host}/{path}"}})


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 18)], ids=str)
@pytest.mark.everyday("(80, 24)")
async def test_what_stands_out_is_one_line_of_the_progress(console, scripts, size) -> None:
    app = console()
    async with app.run_test(size=size, notifications=True) as pilot:
        script, story = await watching(pilot, app, scripts, epochs=3)
        never = [row.model_copy(update={"recall": 0.0, "precision": float("nan")}) for row in class_rows(1)[:1]]
        script.emit(*(story.epoch(number, per_class=[*never, class_rows(1)[1]]) for number in range(4, 8)))
        if size[0] < 80:
            await pilot.press(*["right_square_bracket"] * 3)
        await shows(pilot, "stands out: Never predicted")


@pytest.mark.asyncio
async def test_the_end_of_a_run_is_sent_to_the_address_of_the_settings_once(console, scripts) -> None:
    with Receiver() as server:
        app = console(settings=away_to(server))
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            script, story = await watching(pilot, app, scripts)
            script.emit(*story.ended())
            await wait_for(pilot, lambda: server.events == ["end"])
        (_, _, body), *more = server.requests
    assert not more
    assert (body["outcome"], body["dataset"], body["test_auc"]) == ("completed", "breastmnist", 0.9014)


@pytest.mark.asyncio
@pytest.mark.slow
async def test_a_server_that_never_answers_delays_neither_screen_nor_leaving(console, scripts) -> None:
    with Receiver(silent) as server:
        app = console(settings=away_to(server))
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            script, story = await watching(pilot, app, scripts)
            script.emit(story.alarm("The validation AUC of epoch 4 is undefined.", ""))
            await wait_for(pilot, lambda: server.events == ["alarm"])
            script.emit(story.epoch(4), story.epoch(5))
            await shows(pilot, "epoch 5: best AUC 0.9000")
            began = time.monotonic()
        assert time.monotonic() - began < 8.0, "its own two seconds, on a busy machine"


@pytest.mark.asyncio
async def test_a_notification_that_was_not_taken_is_one_toast(console, scripts) -> None:
    with Receiver(lambda request: request.status(500)) as server:
        app = console(settings=away_to(server, "s3cret"))
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            script, story = await watching(pilot, app, scripts)
            script.emit(story.alarm("First.", ""), story.alarm("Second.", ""))
            await wait_for(pilot, lambda: server.events == ["alarm"] * 2)
            await wait_for(pilot, lambda: any("it answered 500" in note.message for note in app._notifications))
            await pilot.pause(0.3)
            said = [note.message for note in app._notifications if "did not accept" in note.message]
            assert len(said) == 1 and "s3cret" not in said[0]


@pytest.mark.asyncio
@pytest.mark.slow
async def test_a_stall_is_shown_on_live_and_sent(console, scripts) -> None:
    with Receiver() as server:
        app = console(settings=away_to(server))
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            script, story = await watching(pilot, app, scripts)
            app._run_notifier._occurrences = Occurrences(shortest=1.0)
            for step in range(1, 9):  # eight steps, one report for each
                story.time += 0.1
                script.emit(story.progress(4 + step // 4, step % 4))
                await wait_for(pilot, lambda step=step: app.view.progress.done == 12 + step)
                await pilot.pause(0.2)
            await shows(pilot, "No training step for 1 s; one usually takes 0.1 s.")
            await wait_for(pilot, lambda: server.events == ["stall"])
