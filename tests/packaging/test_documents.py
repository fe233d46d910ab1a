"""The documents are true: generated parts are current; links, paths, commands, flags and rules they name exist."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from medtui.cli.app import app
from medtui.cli.errors import ended
from medtui.cli.unknown import FileCommands

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]
COMMANDS: Any = typer.main.get_command(app)
# A flag's value that its recipe field refuses, so that the message names the field.
REFUSED = {
    "--dataset": "nosuch",
    "--epochs": "0",
    "--batch-size": "0",
    "--lr": "99",
    "--seed": "-1",
    "--mixup-alpha": "99",
    "--patience": "0",
    "--momentum": "2",
    "--weight-decay": "99",
    "--hflip": "2",
    "--rotation-angle": "999",
    "--jitter-val": "2",
    "--model-name": "nosuch",
    "--allow-process-kill": "maybe",
}
SWITCHES = {"--no-tta", "--reproducible"}  # nothing to refuse; their meaning is tested with the commands
NO_FIELDS = {"--config", "--workspace", "--data", "--json", "--verbose", "--set", "--help"}
NO_FIELDS |= {"--resume", "--allow-drift", "--wait", "--detach", "--offline", "--seeds", "--slots"}
NO_FIELDS |= {"--on", "--slurm"}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code_blocks(text: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The names that headings get: lower case, no punctuation, dashes for spaces."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_documents() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/recipes.md", "docs/architecture.md", "docs/protocol.md"} <= {*NAMES}


def test_the_page_of_recipes_is_current() -> None:
    """`python docs/make_recipes_page.py` would change nothing."""
    program = "import make_recipes_page as page; print(page.renewed(page.PAGE.read_text(encoding='utf-8')), end='')"
    made = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", program], cwd=ROOT / "docs", capture_output=True, text=True, check=True
    )
    assert made.stdout == text_of("docs/recipes.md"), "run: python docs/make_recipes_page.py"


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    document = ROOT / name
    prose = re.sub(r"^```.*?^```", "", text_of(name), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (document.parent / path).resolve() if path else document
        assert place.exists(), f"{name}: {target}"
        assert not anchor or anchor in anchors(place.read_text(encoding="utf-8")), f"{name}: {target}"


def shown_commands() -> Iterator[tuple[str, str]]:
    """Every `medtui …` line of a code block or of a shipped recipe's comment."""
    sources = [(name, "\n".join(code_blocks(text_of(name)))) for name in NAMES]
    sources += [(path.name, path.read_text(encoding="utf-8")) for path in sorted((ROOT / "recipes").glob("*.yaml"))]
    for name, text in sources:
        for line in text.splitlines():
            if match := re.match(r"(?:[#$] *)?(?:\.venv/bin/)?(medtui(?: .*)?)$", line.strip()):
                yield name, re.split(r"\s{2,}|\s#", match[1])[0]


def test_commands_that_are_shown_exist() -> None:
    shown = list(shown_commands())
    assert len(shown) > 10
    assert {"README.md", "docs/recipes.md", "quickstart.yaml"} <= {name for name, _ in shown}
    for name, line in shown:
        command: Any = COMMANDS
        _, *words = shlex.split(line)
        while hasattr(command, "commands") and words and not words[0].startswith("-"):
            if isinstance(command, FileCommands) and words[0].endswith(".yaml"):
                words.insert(0, "run")
            assert words[0] in command.commands, f"{name}: {line}"
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
        for word in words:
            if word.startswith("-"):
                assert word.partition("=")[0].replace("_", "-") in options, f"{name}: {line}"


def flag_table() -> dict[str, list[str]]:
    rows = re.findall(r"^\| `(--[\w-]+)` \| (.+) \|$", text_of("docs/recipes.md"), re.MULTILINE)
    return {flag: re.findall(r"`([a-z]+\.[a-z_]+)`", fields) for flag, fields in rows}


def test_every_flag_of_a_run_is_in_the_table_of_flags() -> None:
    parameters = COMMANDS.commands["run"].params
    options = {max(parameter.opts, key=len) for parameter in parameters if parameter.param_type_name == "option"}
    assert options - NO_FIELDS == set(flag_table()) == set(REFUSED) | SWITCHES


@pytest.mark.parametrize("flag", REFUSED)
def test_a_flag_sets_the_fields_listed_in_the_table(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["medtui", "run", "--workspace", str(tmp_path), flag, REFUSED[flag]])
    assert ended(lambda: app(standalone_mode=False)) == 2
    message = capsys.readouterr().err
    fields = flag_table()[flag]
    assert fields
    assert all(f"{field} " in message for field in fields), message


def named_paths(text: str) -> set[str]:
    """Paths of this repository in backticks; not those of a run or of other places."""
    words = re.findall(r"`([\w./-]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    tops = ("engine/", "medtui/", "tests/", "docs/", "docker/", "recipes/", "benchmarks/", ".importlinter")
    return {word for word in words if word.startswith(tops)}


@pytest.mark.parametrize("name", NAMES)
def test_paths_that_are_named_exist(name: str) -> None:
    assert [path for path in sorted(named_paths(text_of(name))) if not (ROOT / path).exists()] == []


def test_the_architecture_names_every_package() -> None:
    text = text_of("docs/architecture.md")
    packages = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("*/**/__init__.py")}
    packages = {package for package in packages if package.startswith(("engine/", "medtui/"))}
    assert len(packages) > 20
    assert {package for package in packages if f"`{package}/`" not in text} == set()
    modules = {path.relative_to(ROOT).as_posix() for top in ("engine", "medtui") for path in (ROOT / top).glob("*.py")}
    assert {module for module in modules if "__init__" not in module and f"`{module}`" not in text} == set()


def test_the_architecture_names_every_import_rule() -> None:
    rules = configparser.ConfigParser()
    rules.read(ROOT / ".importlinter")
    names = [rules[section]["name"] for section in rules.sections() if "name" in rules[section]]
    assert len(names) >= 7
    text = text_of("docs/architecture.md")
    assert [name for name in names if f"**{name}" not in text] == []


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_names_of_the_code_that_are_mentioned_exist(name: str) -> None:
    """`fold`, `MODELS`, `EventStream.emit`: defined somewhere in the code, or a field, event, command or file."""
    words = set(re.findall(r"`([A-Za-z_][\w.]*)(?:\(\.\.\.\))?`", text_of(name)))
    modules = [path for top in ("engine", "medtui", "tests") for path in (ROOT / top).rglob("*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in modules)
    assert len(words) > 10
    assert [word for word in sorted(words) if not re.search(rf"\b{re.escape(word.split('.')[-1])}\b", code)] == []
