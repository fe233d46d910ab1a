"""Our own packages and those installed with them are what is imported, whatever the caller's environment says.

PYTHONPATH stands before everything that is installed. A notebook, a cluster's modules or a shell's start file set it
for programs of their own, and a file `engine.py` or `yaml.py` there would be taken for ours. Its folders still provide
what is installed nowhere else: they come last. Nothing is imported here that a file there could stand in for.
"""

from __future__ import annotations

import os
import stat
import sys

import medtui

# What tells the interpreter of an engine how to run, and changes nothing that it imports or does. All other variables
# of Python's (PYTHONWARNINGS, PYTHONOPTIMIZE, PYTHONINSPECT, …) are for the caller's own programs.
OF_THE_INTERPRETER = {
    "PYTHONHASHSEED", "PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONUTF8",
    "PYTHONCOERCECLOCALE", "PYTHONIOENCODING", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONFAULTHANDLER",
    "PYTHONUNBUFFERED", "PYTHONMALLOC", "PYTHONTZPATH",
}  # fmt: skip
LAST_FOLDERS = "MEDTUI_PYTHONPATH"  # the caller's folders, for an engine to look in last
# Paths that an engine reads from its environment; it does not start in the caller's folder.
_PATHS = ("MEDTUI_DATA", "MEDTUI_CACHE", "TORCH_HOME", "XDG_CACHE_HOME", "TMPDIR")


def isolate() -> None:
    """For the start of a program, before it imports anything else."""
    callers = caller_folders()
    installed = [entry for entry in sys.path if _absolute(entry) not in [*_given(), *_own_root()]]
    sys.path[:] = _own_root() + installed + callers
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "1"  # other programs' ones; the search for them takes 20 ms
    _forget_stand_ins(callers)
    if sys.warnoptions:
        _warn_as_python_does()


def caller_folders() -> list[str]:
    """The folders that the caller put on the path: PYTHONPATH's, and where the script or the shell stands.

    What is neither a folder nor a file is left out: whoever lists installed packages reads it as an archive, and a
    device such as /dev/zero has no end.
    """
    return [folder for folder in _given() if folder != _root() and _can_be_searched(folder)]


def engine_environment() -> dict[str, str]:
    """The caller's environment without what would change how an engine runs, its paths absolute."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON") or name in OF_THE_INTERPRETER
    }
    for name in _PATHS:
        path = os.path.expanduser(kept.get(name, ""))  # noqa: PTH111
        if path and path[0] != "~":
            kept[name] = _absolute(path)
    if _own_root():
        kept["PYTHONPATH"] = _root()
    kept[LAST_FOLDERS] = os.pathsep.join(caller_folders())
    return kept


def command_environment() -> dict[str, str]:
    """The caller's environment, for another command of ours: its packages are those of this process."""
    first = [_root()] if _own_root() else []
    given = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join([*first, *([given] if given else [])])
    return {**os.environ, **({"PYTHONPATH": path} if path else {})}


def _given() -> list[str]:
    given = "" if sys.flags.ignore_environment else os.environ.get("PYTHONPATH", "")
    entries = given.split(os.pathsep) if given else []
    if not sys.flags.safe_path:
        is_script = bool(sys.argv) and sys.argv[0] not in ("-c", "-m", "")
        entries.append(os.path.dirname(os.path.realpath(sys.argv[0])) if is_script else "")  # noqa: PTH120
    return list(dict.fromkeys(map(_absolute, entries)))


def _can_be_searched(entry: str) -> bool:
    try:
        mode = os.stat(entry).st_mode  # noqa: PTH116
    except OSError:  # not there yet, perhaps
        return True
    return stat.S_ISDIR(mode) or stat.S_ISREG(mode)


def _own_root() -> list[str]:
    """The folder of our packages, where that is none of the interpreter's own: a checkout, or one of PYTHONPATH's.

    It comes first, as another program's `engine` may be installed too. An interpreter's own stays where it is, behind
    the standard library.
    """
    is_installed = os.path.basename(_root()) in ("site-packages", "dist-packages")  # noqa: PTH119
    return [_root()] if not is_installed or _root() in _given() else []


def _root() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(medtui.__file__)))  # noqa: PTH100, PTH120


def _absolute(entry: str) -> str:
    try:
        return os.path.abspath(entry)  # noqa: PTH100
    except OSError:  # the current folder is gone
        return entry


def _forget_stand_ins(callers: list[str]) -> None:
    """Modules of the caller's that were imported in the place of the standard library's, before we came."""
    for name, module in list(sys.modules.items()) if callers else ():
        if name.partition(".")[0] not in sys.stdlib_module_names:
            continue
        file = getattr(module, "__file__", None)
        if file and _is_below(file, callers):
            del sys.modules[name]


def _is_below(file: str, folders: list[str]) -> bool:
    return any(_absolute(file).startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def _warn_as_python_does() -> None:
    """As without PYTHONWARNINGS: a warning of a library's is no error of ours."""
    import warnings

    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
