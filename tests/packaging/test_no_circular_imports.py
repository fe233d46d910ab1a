"""No module needs another that needs it, imports for type checking and inside functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def modules() -> dict[str, Path]:
    paths = [path for top in ("engine", "medtui") for path in sorted((ROOT / top).rglob("*.py"))]
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths)
    return dict(zip(names, paths, strict=True))


def imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_there_are_no_circular_imports() -> None:
    paths = modules()
    assert len(paths) > 250
    graph = {
        name: {other for other in imported(ast.parse(path.read_text(encoding="utf-8")), set(paths)) if other in paths}
        for name, path in paths.items()
    }
    try:
        TopologicalSorter({name: others - {name} for name, others in graph.items()}).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' → '.join(reversed(error.args[1]))}")


def test_the_rule_sees_imports_for_type_checking_and_inside_functions() -> None:
    text = "if TYPE_CHECKING:\n    from a.b import C\ndef f():\n    from a import d\nimport e.g\n"
    assert set(imported(ast.parse(text), {"a", "a.b", "a.d", "e.g"})) == {"a.b", "a.d", "e.g"}
