"""Text leaves by one way: `medtui/output.py` and `rich_output.py` on the plain side, `console/plain.py` on screens."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITERS = {"medtui/output.py", "medtui/rich_output.py"}
BASES = {"medtui/console/shell/plain.py", "medtui/console/widgets/table.py"}

PRINTING = {"print", "input", "echo", "secho", "prompt", "confirm", "print_exc", "print_exception", "getpass"}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
ASKING = {"isatty", "flush", "fileno"}  # of a stream, which writes nothing that is not clean
RICH_OUTPUT = ("rich.console.Console", "rich.print", "rich.get_console", "rich.markup", "rich.pretty", "rich.prompt")
RICH_OUTPUT += ("rich.live", "rich.status", "rich.logging", "rich.traceback")
BARS = {"Bars", "Live"}  # of rich; without a console they make one
TEXT_WIDGETS = {"Static", "Label", "Button", "DataTable", "OptionList", "Option", "Select", "SelectionList", "Tree"} | {
    "Checkbox", "RadioButton", "RadioSet", "ListItem", "Collapsible", "Tab", "Tabs", "TabPane", "TabbedContent", "Link",
    "Digits", "Markdown", "MarkdownViewer", "RichLog", "Log", "Pretty", "Header", "Footer", "Switch", "ToggleButton",
}  # fmt: skip
MARKUP_ATTRIBUTES = {"border_title", "border_subtitle", "tooltip", "BORDER_TITLE", "BORDER_SUBTITLE", "loading_text"}


def sources() -> list[tuple[str, ast.Module]]:
    paths = sorted((ROOT / "medtui").rglob("*.py"))
    assert len(paths) > 80, "the files are there"
    return [(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())) for path in paths]


def imported(node: ast.AST) -> Iterator[str]:
    """Dotted names that an import makes known."""
    if isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)


def called(node: ast.AST) -> str:
    """The last name of what a call calls."""
    function = node.func if isinstance(node, ast.Call) else None
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def writes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Ways to a terminal that bypass it: prints, streams that are written to or passed on, separate consoles."""
    asked = {node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in ASKING}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if called(node) in PRINTING and not _of_a_console(node):
            yield line, f"{called(node)}()"
        if _is_stream(node) and node not in asked:
            yield line, ast.unparse(node)
        yield from ((line, f"import of {name}") for name in imported(node) if name.startswith(RICH_OUTPUT))
        if called(node) in BARS and "console" not in _keywords(node):
            yield line, f"{called(node)}() on a console of its own"
        if called(node) == "write" and isinstance(node, ast.Call) and _is_os(node.func) and _is_descriptor(node):
            yield line, "os.write to standard output or error"


def _is_stream(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in STREAMS and _is_name(node.value, "sys")


def _keywords(node: ast.AST) -> set[str | None]:
    return {keyword.arg for keyword in node.keywords} if isinstance(node, ast.Call) else set()


def _of_a_console(node: ast.AST) -> bool:
    """`console.print` is the clean console's: no other can be made."""
    function = node.func if isinstance(node, ast.Call) else None
    return isinstance(function, ast.Attribute) and function.attr == "print"


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_os(function: ast.AST) -> bool:
    return isinstance(function, ast.Attribute) and _is_name(function.value, "os")


def _is_descriptor(node: ast.Call) -> bool:
    return isinstance(node.args[0], ast.Constant) and node.args[0].value in (1, 2)


def markups(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Ways to a screen on which a str is markup."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for name in imported(node):
            if name.startswith("textual.content") or (
                name.startswith("textual.widgets") and name.rpartition(".")[2] in TEXT_WIDGETS
            ):
                yield line, f"import of {name}"
        if called(node) in ("from_markup", "render_str"):
            yield line, f"{called(node)}()"
        yield from ((line, f"{name} =") for name in assigned(node) if name in MARKUP_ATTRIBUTES)
        if isinstance(node, ast.keyword) and (node.arg == "tooltip" or _switched_on(node)):
            yield line, f"{node.arg}="


def assigned(node: ast.AST) -> Iterator[str]:
    """The last names of what is assigned to."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    for target in targets:
        for part in getattr(target, "elts", None) or [target]:
            yield part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "")


def _switched_on(node: ast.keyword) -> bool:
    return node.arg == "markup" and not (isinstance(node.value, ast.Constant) and node.value.value is False)


def test_only_the_writer_writes_to_a_terminal() -> None:
    others = [(name, tree) for name, tree in sources() if name not in WRITERS]
    assert [f"{name}:{line} {what}" for name, tree in others for line, what in writes(tree)] == []


def test_no_str_is_markup_on_a_screen() -> None:
    others = [(name, tree) for name, tree in sources() if name not in WRITERS | BASES]
    assert [f"{name}:{line} {what}" for name, tree in others for line, what in markups(tree)] == []


@pytest.mark.parametrize(
    "code",
    [
        "print('x')",
        "import typer; typer.echo('x')",
        "import sys; sys.stdout.write('x')",
        "import sys; f(file=sys.stderr)",
        "from rich.console import Console",
        "import traceback; traceback.print_exc()",
        "import os; os.write(2, b'x')",
        "from rich.progress import Progress as Bars; Bars()",
    ],
)
def test_each_way_of_bypassing_the_writer_is_found(code: str) -> None:
    assert list(writes(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "from textual.widgets import Input, Static",
        "from textual.widgets.option_list import Option",
        "pane.border_title = name",
        "a.border_title, a.border_subtitle = '', ''",
        "self.notify(text, markup=True)",
        "Text.from_markup(name)",
    ],
)
def test_each_way_to_markup_is_found(code: str) -> None:
    assert list(markups(ast.parse(code)))
