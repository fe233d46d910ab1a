"""Several worker processes that do tasks, and what becomes of a task whose worker dies."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import engine
from engine.contract.machine.limits import cores
from engine.contract.wire.errors import DataError, InstallationError
from engine.data.own.worker import Task
from engine.sentences import OwnImages

MOST = 32  # processes; more only wait for the disk
COMMAND = ("-m", "engine.data.own.worker")
WAIT = 0.1  # seconds; how late an abort may be seen
FATAL = "ended the process that decoded it"  # of an image

OnBytes = Callable[[int], None]  # bytes that were read; raises to end it


class _Worker:
    """One process and the task that it does. Files of ours that are open here are closed there."""

    def __init__(self) -> None:
        packages = str(Path(engine.__path__[0]).parent)
        path = os.pathsep.join(filter(None, (packages, os.environ.get("PYTHONPATH"))))
        # one thread each: there is one process per core
        environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", *COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout.fileno()
        os.set_blocking(self.output, False)
        self.task: Task | None = None
        self.is_ready = False
        self.at = 0  # which name a careful one is at
        self._rest = b""

    def give(self, task: Task) -> None:
        self.task, self.at = task, 0
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # seen as the end of its output
            self.process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
            self.process.stdin.flush()

    def lines(self) -> list[dict[str, Any]] | None:
        """What it has said since; None once it is gone."""
        try:
            content = os.read(self.output, 1 << 20)
        except BlockingIOError:
            return []
        if not content:
            return None
        *lines, self._rest = (self._rest + content).split(b"\n")
        return [json.loads(line) for line in lines]

    def end(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        self.process.wait()


class Workers:
    """As many as there are cores, or tasks.

    Raises InstallationError where none can be started, and DataError where they cannot write or die of no one image.
    """

    def __init__(self, tasks: Sequence[Task], on_bytes: OnBytes) -> None:
        self._left = list(reversed(tasks))
        self._count = min(cores(), MOST, len(tasks))
        self._on_bytes = on_bytes
        self._selector = selectors.DefaultSelector()
        self._workers: list[_Worker] = []

    def results(self) -> Iterator[tuple[Task, Any]]:
        """Each task when it is done, with the digests of its files where only those are asked for."""
        with self._running():
            while self._left or any(worker.task for worker in self._workers):
                self._on_bytes(0)
                for key, _ in self._selector.select(WAIT):
                    yield from self._hear(key.data)

    @contextmanager
    def _running(self) -> Iterator[None]:
        try:
            for _ in range(self._count):
                self._start()
            yield
        finally:
            for worker in self._workers:
                worker.end()
            self._selector.close()

    def _start(self) -> None:
        worker = _Worker()
        self._workers.append(worker)
        self._selector.register(worker.output, selectors.EVENT_READ, worker)

    def _hear(self, worker: _Worker) -> Iterator[tuple[Task, Any]]:
        lines = worker.lines()
        if lines is None:
            self._replace(worker)
            return
        for line in lines:
            self._on_bytes(line.get("bytes", 0))
            worker.at = line.get("at", worker.at)
            worker.is_ready = worker.is_ready or "ready" in line
            if "stopped" in line:
                assert worker.task is not None
                raise DataError(OwnImages.CACHE_UNWRITABLE, folder=worker.task.folder, reason=line["stopped"])
            if "done" in line:
                done, worker.task = worker.task, None
                assert done is not None
                yield done, line["digests"]
            if worker.task is None and self._left:
                worker.give(self._left.pop())

    def _replace(self, worker: _Worker) -> None:
        """Another one for a worker that died. Its task is done again with care, then without the image it died of."""
        self._selector.unregister(worker.output)
        self._workers.remove(worker)
        worker.end()
        if not worker.is_ready:
            raise InstallationError(OwnImages.NO_WORKER, code=worker.process.returncode)
        if (task := worker.task) is not None:
            if task.careful and task.rows:
                raise DataError(OwnImages.WORKER_DIED, path=task.root, code=worker.process.returncode)
            if task.careful:
                task = replace(task, fatal={**task.fatal, task.names[worker.at]: FATAL})
            self._left.append(replace(task, careful=True))
        self._start()
