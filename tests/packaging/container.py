"""What a container engine does with the image, by the kernel's own means, where no such engine can run.

A root file system that cannot be written, the image's folders and variables, mounts on /app, an arbitrary user without
an entry in /etc/passwd, and the entry point as process 1. The system's /usr and the tests' own interpreter and
dependencies stand in for the base image.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path

USER = 54321  # and group; nobody has it
HOME = "/empty"  # a home that cannot be written

# $1 the root to build, $2 the user (empty: as it is); then, up to a lone `--`: `bind SOURCE TARGET`,
# `copy SOURCE TARGET` (read-only in the end), `open TARGET` (writable by all)
_SCRIPT = f"""
set -eu
root=$1 user=$2; shift 2
mount -t tmpfs -o mode=755 container "$root"
for place in bin sbin lib lib64; do
    if [ -L "/$place" ]; then cp -P "/$place" "$root/$place"
    elif [ -d "/$place" ]; then mkdir "$root/$place"; mount --rbind "/$place" "$root/$place"; fi
done
mkdir "$root/proc" "$root{HOME}"
mount -t proc proc "$root/proc"
chmod 555 "$root{HOME}"
while [ "$1" != -- ]; do
    case $1 in
        bind) mkdir -p "$root$3"; mount --rbind "$2" "$root$3"; shift 3 ;;
        copy) mkdir -p "$root$3"; cp -R "$2/." "$root$3"; shift 3 ;;
        open) mkdir -p "$root$2"; mount -t tmpfs -o mode=1777 container "$root$2"; shift 2 ;;
    esac
done
shift
mount -o remount,bind,ro "$root"
exec {shutil.which("chroot")} ${{user:+--userspec=$user:$user --groups=}} "$root" \\
    /bin/sh -c 'cd /app && exec "$0" "$@"' "$@"
"""


def _unshare() -> list[str]:
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *as_root, "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]


@cache
def unavailable() -> str | None:
    """Why this machine cannot do it; None when it can."""
    if sys.platform != "linux" or not shutil.which("unshare") or not shutil.which("chroot"):
        return "needs Linux with util-linux's unshare and with chroot"
    probe = [*_unshare(), "sh", "-c", "mount -t tmpfs probe /mnt && mount -t proc probe /mnt"]
    tried = subprocess.run(probe, capture_output=True, text=True, check=False)
    return f"this machine gives no mount and process namespaces: {tried.stderr.strip()}" if tried.returncode else None


@dataclass(frozen=True)
class Container:
    root: Path  # an empty folder
    environment: dict[str, str]
    entry_point: list[str]
    open_folders: list[str]  # writable by every user
    copies: dict[str, Path]  # by where they go: part of the image
    mounts: dict[str, Path]  # by where they go

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """The entry point with these arguments, as process 1 and as an unprivileged user."""
        return self._start([*self.entry_point, *arguments], variables)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return _ended(self.start(*arguments, **variables))

    def run_instead(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Another command instead of the entry point."""
        return _ended(self._start(list(command), variables))

    def _start(self, command: list[str], variables: dict[str, str]) -> subprocess.Popen[str]:
        user = str(USER) if os.geteuid() == 0 else ""  # else as oneself, who owns nothing of what is mounted
        binds = {**_base_system(), **self.mounts}
        layout = [word for folder in ("/tmp", *self.open_folders) if folder not in binds for word in ("open", folder)]
        layout += [word for target, source in binds.items() for word in ("bind", str(source), target)]
        layout += [word for target, source in self.copies.items() for word in ("copy", str(source), target)]
        return subprocess.Popen(
            [*_unshare(), "/bin/sh", "-c", _SCRIPT, "sh", str(self.root), user, *layout, "--", *command],
            env={**self.environment, "HOME": HOME, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def _base_system() -> dict[str, Path]:
    """Programs, libraries, the interpreter and the dependencies, each where it is; not the source tree."""
    places = ["/usr", "/etc", "/dev", sys.base_prefix, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    kept: list[str] = []
    for place in places:
        if not any(Path(place).is_relative_to(other) for other in kept):
            kept.append(place)
    return {place: Path(place) for place in kept}


def _ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    try:
        out, err = process.communicate(timeout=240)
    except BaseException:
        process.kill()  # and with it, by --kill-child, all that runs in there
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
