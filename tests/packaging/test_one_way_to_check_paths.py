"""Whether something is there, and where a path leads, is asked in one module, which does not raise and knows `~`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
THE_MODULES = {"engine/contract/files/paths.py", "engine/contract/files/folders.py", "medtui/isolation.py"}

LOOKS = {"exists", "is_dir", "is_file", "is_symlink", "is_mount", "resolve", "expanduser", "samefile", "cwd", "home"}
LOOKS |= {"getcwd", "realpath", "abspath", "isfile", "isdir", "expandvars"}

# Where something else is asked, or an answer is raised on purpose.
ALLOWED = {
    ("engine/contract/machine/engines.py", "exists"): "/proc",
    ("engine/contract/machine/engines.py", "samefile"): "suppresses OSError: a workspace that is gone is no workspace",
    ("engine/contract/files/inspection.py", "is_dir"): "of an entry that was just listed",
    ("engine/contract/files/inspection.py", "is_file"): "of an entry that was just listed",
    ("engine/contract/files/stamps.py", "is_dir"): "of an entry that was just listed",
    ("engine/contract/data/sums.py", "realpath"): "of a file that was just opened",
}


def path_checks(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOOKS:
            yield node.func.attr, node.lineno


def test_no_other_module_checks_paths() -> None:
    paths = sorted(path for package in ("engine", "medtui") for path in (ROOT / package).rglob("*.py"))
    assert len(paths) > 150, "the files are there"
    named = [(path.relative_to(ROOT).as_posix(), path) for path in paths]
    found = [
        (name, *look)
        for name, path in named
        if name not in THE_MODULES
        for look in path_checks(ast.parse(path.read_text()))
    ]
    unexpected = [f"{name}:{line} {call}" for name, call, line in found if (name, call) not in ALLOWED]
    assert not unexpected, "ask engine/contract/files/paths.py, or say here what else is asked"
    assert not set(ALLOWED) - {(name, call) for name, call, _ in found}, "these are not there any more"


@pytest.mark.parametrize("code", ["p.exists()", "Path(p).is_file()", "Path.cwd()", "os.path.realpath(p)"])
def test_the_rule_sees_what_it_forbids(code: str) -> None:
    assert list(path_checks(ast.parse(code)))
