"""What a job may use of the machine, read from trees of /proc and /sys as kernels and containers make them."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from engine.contract.machine.limits import cores, cpu_quota, disk_space, memory, memory_limits, oom_kills

MEMINFO = "MemTotal:       33554432 kB\nMemFree:         1000000 kB\nMemAvailable:   16777216 kB\n"
V2 = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
V1 = (
    "31 25 0:27 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "32 25 0:28 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)
GB = 10**9


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": MEMINFO, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def v2(root: Path, path: str, files: dict[str, str], mount: str = V2) -> Path:
    own = {"proc/self/cgroup": f"0::{path}\n", "proc/self/mountinfo": mount}
    return tree(root, own | {f"sys/fs/cgroup/{name}": text for name, text in files.items()})


def v1(root: Path, path: str, files: dict[str, str], shown: str = "/") -> Path:
    own = {
        "proc/self/cgroup": f"9:name=systemd:/\n4:memory:{path}\n2:cpu,cpuacct:{path}\n0::/\n",
        "proc/self/mountinfo": V1.format(root=shown),
    }
    return tree(root, own | {f"sys/fs/cgroup/{name}": text for name, text in files.items()})


def test_without_any_limit_it_is_what_the_machine_has_free(tmp_path: Path) -> None:
    found = memory(v2(tmp_path, "/user.slice", {"user.slice/memory.max": "max\n"}))
    assert (found.total, found.available, found.limit) == (32 * 2**30, 16 * 2**30, None)


@pytest.mark.parametrize(
    ("files", "left", "name"),
    [
        ({"a/b/memory.max": f"{8 * GB}", "a/b/memory.current": f"{3 * GB}"}, 5 * GB, "memory.max of cgroup"),
        ({"a/memory.max": f"{4 * GB}", "a/b/memory.max": f"{8 * GB}"}, 4 * GB, "/sys/fs/cgroup/a, 4.0 GB"),
        ({"memory.max": f"{2 * GB}", "a/b/memory.max": "max"}, 2 * GB, "/sys/fs/cgroup, 2.0 GB"),
        ({"a/b/memory.high": f"{GB}", "a/b/memory.max": f"{8 * GB}"}, GB, "memory.high"),
        ({"a/b/memory.max": f"{GB}", "a/b/memory.current": f"{2 * GB}"}, 0, "memory.max"),
        (
            {
                "a/b/memory.max": f"{8 * GB}",
                "a/b/memory.current": f"{7 * GB}",
                "a/b/memory.stat": f"anon 1\ninactive_file {4 * GB}\n",
            },
            5 * GB,
            "memory.max",
        ),
    ],
    ids=["own", "above", "of the mount", "high", "over", "what was read is given back"],
)
def test_for_cgroup_v2_the_tightest_ancestor_counts(
    tmp_path: Path, files: dict[str, str], left: int, name: str
) -> None:
    found = memory(v2(tmp_path, "/a/b", files))
    assert found.available == left and found.limit is not None
    assert name in str(found.limit)


def test_for_cgroup_v1_the_tightest_ancestor_counts_and_no_limit_is_none(tmp_path: Path) -> None:
    none = "9223372036854771712\n"
    files = {
        "memory/slurm/job_7/memory.limit_in_bytes": none,
        "memory/slurm/memory.limit_in_bytes": f"{6 * GB}\n",
        "memory/slurm/memory.usage_in_bytes": f"{GB}\n",
        "memory/memory.limit_in_bytes": none,
    }
    found = memory(v1(tmp_path, "/slurm/job_7", files))
    assert (found.available, found.total) == (5 * GB, 6 * GB)
    assert "memory.limit_in_bytes of cgroup /sys/fs/cgroup/memory/slurm, 6.0 GB" in str(found.limit)


@pytest.mark.parametrize("path", ["/", "/../sibling", "/docker/abc"], ids=["namespace", "outside", "host's path"])
def test_in_a_container_the_mount_itself_is_read(tmp_path: Path, path: str) -> None:
    found = memory(v2(tmp_path, path, {"memory.max": f"{GB}"}))
    assert found.available == GB


def test_a_cgroup_v1_container_that_shows_its_cgroup_as_the_mount(tmp_path: Path) -> None:
    files = {"memory/memory.limit_in_bytes": f"{GB}", "cpu,cpuacct/cpu.cfs_quota_us": "50000"}
    files |= {"cpu,cpuacct/cpu.cfs_period_us": "100000"}
    root = v1(tmp_path, "/docker/abc", files, shown="/docker/abc")
    assert memory(root).available == GB and cpu_quota(root) == 0.5


def test_the_smallest_cpu_quota_decides_the_cores_and_is_rounded_up(tmp_path: Path) -> None:
    files = {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "50000 100000\n", "cpu.max": "400000 100000\n"}
    root = v2(tmp_path, "/a/b", files)
    assert (cpu_quota(root), cores(root)) == (0.5, 1)
    unlimited = v2(tmp_path / "2", "/a", {"a/cpu.max": "max 100000"})
    assert cpu_quota(unlimited) is None and cores(unlimited) == len(os.sched_getaffinity(0))
    assert cpu_quota(v1(tmp_path / "3", "/a", {"cpu,cpuacct/a/cpu.cfs_quota_us": "-1"})) is None


@pytest.mark.parametrize("files", [{}, {"proc/self/cgroup": "nonsense\n\n::::\n"}, {"proc/meminfo": "\0\n"}])
def test_what_cannot_be_read_is_unknown_and_never_an_error(tmp_path: Path, files: dict[str, str]) -> None:
    found = memory(tree(tmp_path, files))
    assert found.limit is None and cores(tmp_path) >= 1 and oom_kills(tmp_path) == {}


def test_kills_for_memory_are_counted_where_they_happened(tmp_path: Path) -> None:
    root = v2(tmp_path, "/a", {"a/memory.events": "low 0\noom 3\noom_kill 2\n"})
    assert oom_kills(root) == {"/sys/fs/cgroup/a/memory.events": 2}


@pytest.mark.parametrize(("kind", "name"), [("AS", "ulimit -v"), ("DATA", "ulimit -d")])
def test_a_resource_limit_counts_too(kind: str, name: str) -> None:
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_{kind}, (10**9, 10**9)); "
        "from engine.contract.machine.limits import memory; found = memory(); "
        "print(found.available < 10**9, found.limit)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == f"True {name}, 1.0 GB\n"
    assert resource.getrlimit(getattr(resource, f"RLIMIT_{kind}"))


def test_inodes_are_reported_with_bytes(tmp_path: Path) -> None:
    found = disk_space(tmp_path)
    assert 0 < found.bytes <= found.total and (found.files is None or found.files > 0)


def test_a_tree_without_limits_gets_none_from_this_machine(tmp_path: Path) -> None:
    assert [limit for limit in memory_limits(tree(tmp_path, {})) if limit.folder is not None] == []
