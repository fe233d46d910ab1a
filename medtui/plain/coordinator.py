"""A search on a cluster without a console: the coordinator's loop and its signals."""

from __future__ import annotations

import time

from engine.contract.wire.errors import OutputError
from medtui.cluster.coordinator import Coordinator
from medtui.plain.headless import counted_signals
from medtui.plain.suite import WorkDisplay, hang_up_ignored
from medtui.suites.status import exit_code_of

WAIT = 0.2  # seconds after which a signal is answered
REQUESTS = {  # by the coordinator's level
    0: "No more runs are submitted; those that train may end.",
    1: "All runs stop after their batch; the best weights will be evaluated.",
    2: "All runs abort after their batch; checkpoints are kept.",
}
LISTEN = 1.0  # seconds from one look for the requests of other shells to the next


def coordinate(coordinator: Coordinator, display: WorkDisplay) -> int:
    """Work until nothing is left, or to a signal, which leaves the jobs alone. Its exit code. Raises OutputError.

    A terminal that goes away ends nothing.
    """
    with counted_signals() as interrupts, hang_up_ignored():
        due = heard = time.monotonic()
        try:
            while not interrupts.level and not coordinator.over:
                now = time.monotonic()
                if now >= heard:
                    heard = now + LISTEN
                    if coordinator.heed_requests():
                        display.note(REQUESTS[coordinator.level])
                        due = now
                if now >= due:
                    coordinator.turn()
                    display.show(coordinator)
                    due = time.monotonic() + coordinator.scheduler.poll
                time.sleep(WAIT)
        except OutputError:
            if not interrupts.level:  # else it ended what was being asked of the scheduler, too
                raise
        finally:
            display.close()
        if interrupts.level and not coordinator.over:
            display.note(_left(coordinator, interrupts.warning))
        display.end(coordinator.work)
    return exit_code_of(coordinator.work)


def _left(coordinator: Coordinator, warning: str) -> str:
    store, work = coordinator.store, coordinator.work
    n = len(work.of("submitted"))
    goes_on = f"{n} job{'s' * (n != 1)} of {store.owner} go{'es' * (n == 1)} on; no more are submitted."
    commands = f"`{store.continue_command(work)}` continues, `medtui search stop {store.name}` ends the jobs."
    return f"{warning}: " * bool(warning) + f"{goes_on} {commands}"
