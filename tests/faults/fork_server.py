"""A process that has imported everything and forks an engine for each request: a run costs no imports.

Requests and answers are JSON lines, on standard input and output. A request: `workspace`, `start` (the command),
`environment` (variables of its own), and what is to go wrong: `fault` (for the shim, if it is preloaded), `after`
(seconds until SIGKILL), `memory` (bytes of address space that the engine may take beyond what it has). The answer:
`status` (exit code, or minus the signal), `count` (operations that the fault's paths saw), `seconds`.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from engine.contract.store.workspace import Workspace
from engine.session import Session

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from warm_server import draw_no_figures, import_everything

ACTIONS = {"fail": 0, "kill": 1, "tear": 2}


def arm(fault: dict[str, Any], count: Any) -> None:
    ctypes.CDLL(None).fault_arm(
        fault["on"].encode(),
        fault["path"].encode(),
        ctypes.c_long(fault["nth"]),
        ACTIONS[fault["action"]],
        fault.get("errno", 5),
        ctypes.byref(count),
    )


def live(request: dict[str, Any], count: Any) -> int:
    """The life of an engine, in the child."""
    os.environ.update(request["environment"])
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    commands, write = os.pipe()  # `write` stays open: nobody hangs up
    os.write(write, json.dumps({"command": "start", "id": "start", **request["start"]}).encode() + b"\n")
    if request.get("memory"):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + request["memory"]
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if request.get("fault"):
        arm(request["fault"], count)
    return Session(nowhere, commands, Workspace(Path(request["workspace"]))).run()


def serve(request: dict[str, Any]) -> dict[str, Any]:
    count = ctypes.c_long.from_buffer(mmap.mmap(-1, mmap.PAGESIZE))  # shared with the child
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = live(request, count)
        finally:
            os._exit(code)
    deadline = began + request["after"] if request.get("after") else float("inf")
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            seconds = time.monotonic() - began
            return {"status": os.waitstatus_to_exitcode(status), "count": count.value, "seconds": seconds}
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def main() -> None:
    import_everything()
    draw_no_figures()
    answers = os.fdopen(os.dup(1), "w")
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
