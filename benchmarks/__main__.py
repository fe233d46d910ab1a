"""`python -m benchmarks`: every measurement, one after the other, each in a separate process; a table, and JSON."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.children import apart, measured
from benchmarks.rows import Effort, Row, as_json, table

MEASUREMENTS = (
    "help",
    "augmentation",
    "epochs",
    "families",
    "second_start",
    "first_batch",
    "memory",
    "event_cost",
    "first_paint",
    "many_runs",
    "reaction",
    "live",
)
ON_REQUEST = ("waiting", "peer", "long_run", "processes", "gpu")  # by --only
PAIRS = 9
QUICK_PAIRS = 3


def main() -> int:
    arguments = _arguments()
    effort = Effort(min(arguments.pairs, QUICK_PAIRS) if arguments.quick else arguments.pairs, arguments.quick)
    began = time.perf_counter()
    before = os.getloadavg()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MEDTUI_CACHE"] = cache
        for name in arguments.only or MEASUREMENTS:
            print(f"{name} …", file=sys.stderr, flush=True)
            rows += apart(measured, name, effort)
    machine: dict[str, object] = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load_before": before,
        "load_after": os.getloadavg(),
        "seconds": time.perf_counter() - began,
        "pairs": effort.pairs,
        "python": sys.version.split()[0],
        "torch": version("torch"),
        "torchvision": version("torchvision"),
    }
    print(table(rows))
    print(
        f"\n{effort.pairs} pairs, fewer for slow measurements; {machine['cores']} cores; "
        f"load {before[0]:.1f} before, {os.getloadavg()[0]:.1f} after; {machine['seconds']:.0f} s"
    )
    if arguments.json:
        arguments.json.write_text(as_json(rows, machine), encoding="utf-8")
    return 1 if any(row.met is False for row in rows) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure medtui; exit 1 on a missed goal."
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PAIRS} pairs")
    parser.add_argument("--only", action="append", choices=(*MEASUREMENTS, *ON_REQUEST), help="may be repeated")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="alternating pairs (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    arguments = parser.parse_args()
    if arguments.pairs < 1:
        parser.error("--pairs: expected 1 or more")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
