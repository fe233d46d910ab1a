"""Files of runs, workspaces, caches and settings are opened, written, renamed and deleted in one package only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
THE_ROOM = "engine/contract/files/"
PACKAGES = ("engine", "medtui")

OS = {"open", "rename", "replace", "renames", "unlink", "remove", "mkdir", "makedirs", "rmdir", "removedirs"}
OS |= {"truncate", "chmod", "chown", "link", "symlink", "mkfifo", "mknod"}
PATH = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "unlink", "rename", "rmdir", "mkdir"}
PATH |= {"touch", "symlink_to", "hardlink_to", "chmod"}
MODULES = {"shutil", "tempfile"}
HARMLESS = {"disk_usage", "get_terminal_size", "which"}

# Where something else is opened than those files, and what that is.
ALLOWED = {
    ("engine/__main__.py", "os.open"): "the workspace itself, kept open as what the engine is known by",
    ("engine/contract/data/archives.py", "os.open"): "data of the user's own, wherever links lead; for reading",
    ("engine/contract/data/datasets.py", ".read_text"): "a file of this package",
    ("engine/contract/machine/engines.py", ".read_bytes"): "/proc",
    ("engine/contract/machine/engines.py", ".read_text"): "/proc",
    ("engine/contract/machine/hardware.py", ".read_text"): "/proc",
    ("engine/contract/machine/limits.py", ".read_text"): "/proc and /sys",
    ("engine/contract/machine/process_identity.py", ".read_bytes"): "/proc",
    ("engine/contract/machine/process_identity.py", ".read_text"): "/proc",
    ("engine/contract/store/workspace.py", ".mkdir"): "outputs/ itself, below the folder that the user named",
    ("engine/data/archive.py", ".open"): "a member of an archive",
    ("engine/data/cache.py", ".open"): "a member of an archive",
    ("engine/data/own/arrays.py", ".open"): "a member of an archive",
    ("engine/data/own/pictures.py", ".open"): "an image, from its bytes in memory",
    ("engine/data/prediction_archive.py", ".open"): "a member of an archive",
    ("engine/model/weights.py", ".open"): "torchvision's own file, for reading",
    ("medtui/console/graphics/picture.py", ".open"): "a figure, from its bytes in memory",
    ("engine/run/manifest.py", ".read_text"): "/proc",
    ("engine/kernels.py", ".read_text"): "/proc",
    ("engine/data/packing.py", ".open"): "a member of an archive",
    ("medtui/client/archive_size.py", ".open"): "a member of an archive",
    ("medtui/client/delivery.py", ".open"): "an address",
    ("medtui/client/engine_process.py", "tempfile.TemporaryFile"): "an engine's standard error, without a name",
    ("medtui/client/explore.py", "tempfile.mkdtemp"): "where an engine writes what it found, to be printed",
    ("medtui/client/predict.py", "tempfile.mkdtemp"): "where an engine writes predictions that are printed",
    ("medtui/client/timeout.py", "os.open"): "/dev/null",
    ("medtui/client/smoke.py", "tempfile.TemporaryDirectory"): "a temporary workspace",
    ("medtui/console/recipes/screen.py", ".open"): "an entry of the list, by the recipe store",
    ("medtui/output.py", "open"): "/dev/null",
    ("medtui/output.py", "os.open"): "/dev/null",
    ("medtui/cli/recipe.py", ".read_text"): "a file of this package",
    ("engine/contract/data/published.py", ".read_text"): "a file of this package",
    ("medtui/machine/checks.py", ".read_text"): "a file of the system",
}


def calls_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every call that reaches the file system by a path: its name and line."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id="open"):
                yield "open", node.lineno
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in OS:
                yield f"os.{name}", node.lineno
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in MODULES and name not in HARMLESS:
                yield f"{module}.{name}", node.lineno
            case ast.Attribute(value=ast.Name(id="os")):
                continue
            case ast.Attribute(attr=name) if name in PATH:
                yield f".{name}", node.lineno
            case ast.Attribute(attr="replace") if len(node.args) == 1 and not node.keywords:  # a text's has two
                yield ".replace", node.lineno


def found_in(package: str) -> Iterator[tuple[str, str, int]]:
    paths = sorted((ROOT / package).rglob("*.py"))
    assert paths, f"there is nothing in {package}"
    for path in paths:
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(THE_ROOM):
            for call, line in calls_of(ast.parse(path.read_text())):
                yield name, call, line


def test_no_other_module_opens_writes_renames_or_deletes_by_a_path() -> None:
    found = [one for package in PACKAGES for one in found_in(package)]
    unexpected = [f"{name}:{line} {call}" for name, call, line in found if (name, call) not in ALLOWED]
    assert not unexpected, "go through engine/contract/files, or say here what else is opened"
    unused = set(ALLOWED) - {(name, call) for name, call, _ in found}
    assert not unused, "these are not there any more"


def test_the_rule_sees_what_it_forbids() -> None:
    text = "os.rename(a, b)\nopen(a)\np.open()\np.replace(q)\n's'.replace('a', 'b')\nshutil.rmtree(p)\nimport os\n"
    assert [call for call, _ in calls_of(ast.parse(text))] == [
        "os.rename",
        "open",
        ".open",
        ".replace",
        "shutil.rmtree",
    ]
