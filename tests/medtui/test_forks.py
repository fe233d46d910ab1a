"""Work that is shared with forked processes: the same results, whatever happens to one of them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence

import psutil
import pytest

from medtui.client import forks
from medtui.client.forks import shared_out


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "cores", lambda: 4)
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # of a command; a worker of pytest has another thread


def squares(part: Sequence[int]) -> list[tuple[int, int]]:
    return [(one * one, os.getpid()) for one in part]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 39, 41])
def test_every_item_has_its_result_in_its_place(count: int) -> None:
    found = shared_out(squares, range(count), worth=4)
    assert [square for square, _ in found] == [one * one for one in range(count)]
    assert len({pid for _, pid in found}) == max(1, min(4, count // 4)) if count else not found


def test_beside_other_threads_no_process_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert {pid for _, pid in shared_out(squares, range(40), worth=4)} == {os.getpid()}


@pytest.mark.parametrize("end", ["killed", "raises"])
def test_what_a_process_did_not_finish_is_done_here(end: str) -> None:
    me = os.getpid()

    def work(part: Sequence[int]) -> list[tuple[int, int]]:
        if 2 in part and os.getpid() != me:
            os.kill(os.getpid(), signal.SIGKILL) if end == "killed" else 1 / 0
        return squares(part)

    found = shared_out(work, range(40), worth=4)
    assert [square for square, _ in found] == [one * one for one in range(40)]
    assert found[2][1] == me and found[1][1] != me


def test_what_fails_here_too_is_raised_and_no_process_is_left() -> None:
    def work(part: Sequence[int]) -> list[int]:
        return [one // (one - 2) for one in part]

    before = psutil.Process().children()
    with pytest.raises(ZeroDivisionError):
        shared_out(work, range(40), worth=4)
    assert psutil.Process().children() == before
