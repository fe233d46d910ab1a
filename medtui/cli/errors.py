"""How a command ends: its exit code, and for an error one sentence for people and one object for scripts."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.contract.errors import MedtuiError

OUTPUT_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


def mended_streams() -> None:
    """Output that was closed goes nowhere; what a terminal's encoding lacks is written as an escape."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def ended(work: Callable[[], object]) -> int:
    """Do it; the exit code, by what it returns or raises."""
    from engine.contract.errors import INTERNAL, MedtuiError, OutputError, UsageError

    try:
        code = work()
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except MedtuiError as error:
        tell(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        discard_output()
        return 0
    except OSError as error:
        if error.errno not in OUTPUT_FULL or error.filename is not None:
            traceback.print_exc()
            return INTERNAL
        discard_output()
        tell(OutputError(f"The output cannot be written: {error.strerror}.", "Free some room, or write elsewhere."))
        return OutputError.exit_code
    except Exception as error:
        if _is_a(error, "Abort"):
            return 130
        if _is_a(error, "NoArgsIsHelpError"):  # a group of commands, and none named
            print(error.format_message())  # type: ignore[attr-defined]
            return 0
        if _is_a(error, "ClickException"):
            usage = UsageError(error.format_message(), "See --help.")  # type: ignore[attr-defined]
            tell(usage)
            return usage.exit_code
        traceback.print_exc()
        return INTERNAL


def discard_output() -> None:
    """So that the interpreter's own last flush does not fail either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_a(error: Exception, name: str) -> bool:
    """By the name of its class or a base: typer brings its own copy of click, or uses click itself, by its version."""
    return any(base.__name__ == name for base in type(error).__mro__)


def tell(error: MedtuiError) -> None:
    """The error to people, and with `--json` to scripts: `run` ends with its event, the others print an object."""
    from medtui.text import clean

    print(f"medtui: {clean(str(error), 4000)}", file=sys.stderr)
    if "--json" not in sys.argv[1:]:
        return
    if sys.argv[1:2] == ["run"]:
        from medtui.headless import refused

        print(refused(error).line().decode(), end="", flush=True)
    else:
        body = {"kind": error.kind, "message": error.message, "hint": error.hint}
        print(json.dumps({"error": body}))
