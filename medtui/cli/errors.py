"""How a command ends: its exit code, and for an error one sentence for people and one object for scripts."""

from __future__ import annotations

import re
import signal
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from medtui.output import (
    OUTPUT_FULL,
    ReaderGone,
    discard_output,
    print_error,
    print_error_text,
    print_json_line,
    print_text,
)
from medtui.text import json_line

if TYPE_CHECKING:
    from engine.contract.wire.errors import MedtuiError

INTERRUPTED = 128 + signal.SIGINT  # exit code


def ended(work: Callable[[], object]) -> int:
    """Do it; the exit code, by what it returns or raises."""
    from engine.contract.wire.errors import INTERNAL, MedtuiError, OutputError, UsageError
    from medtui.sentences import CommandLine

    try:
        code = work()
        sys.stdout.flush()
        if code == INTERRUPTED:  # what typer makes of an interrupt, by its version
            return _interrupted()
        return code if isinstance(code, int) else 0
    except MedtuiError as error:
        report_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted()
    except (BrokenPipeError, ReaderGone):
        discard_output()
        return 0
    except OSError as error:
        if error.errno not in OUTPUT_FULL or error.filename is not None:
            print_error_text(traceback.format_exc())
            return INTERNAL
        discard_output()
        report_error(OutputError(CommandLine.OUTPUT_FAILED, reason=error.strerror))
        return OutputError.exit_code
    except Exception as error:
        if _is_a(error, "Abort"):
            return _interrupted()
        if _is_a(error, "NoArgsIsHelpError"):  # a group of commands, and none named
            print_text(error.format_message())  # type: ignore[attr-defined]
            return 0
        if _is_a(error, "NoSuchOption"):
            from medtui.cli.unknown import unknown_option

            usage = unknown_option(error)
            report_error(usage)
            return usage.exit_code
        if _is_a(error, "ClickException"):
            usage = UsageError(CommandLine.SYNTAX, reason=in_plain_words(error.format_message()))  # type: ignore[attr-defined]
            report_error(usage)
            return usage.exit_code
        print_error_text(traceback.format_exc())
        return INTERNAL
    except BaseException as error:
        if not _is_a(error, "Interrupted"):
            raise
        return _interrupted(str(error))


def _interrupted(words: str = "") -> int:
    """Says so, and what the job has written, where it knows."""
    from medtui.sentences import Job

    print_error(f"medtui: {words or Job.INTERRUPTED.text()[0]}")
    return INTERRUPTED


_OF_PYDANTIC = re.compile(r"Input should be a valid (integer|number).*", re.DOTALL)


def in_plain_words(reason: str) -> str:
    """What the parser of options, of whichever version, says of a number that is none."""
    kinds = {"integer": "expected a whole number", "number": "expected a number"}
    return _OF_PYDANTIC.sub(lambda found: kinds[found[1]], reason).rstrip(".")


def _is_a(error: BaseException, name: str) -> bool:
    """By the name of its class or a base: typer brings its own copy of click, or uses click itself, by its version."""
    return any(base.__name__ == name for base in type(error).__mro__)


def command_typed(arguments: list[str]) -> str:
    """The first word that is neither an option nor the value of one that may stand before a command."""
    words = iter(arguments)
    for argument in words:
        if argument in ("--workspace", "--data"):
            next(words, None)
        elif not argument.startswith("-"):
            return argument
    return ""


def report_error(error: MedtuiError) -> None:
    """The error to people, and with `--json` to scripts: `run` ends with its event, the others print an object."""
    print_error(f"medtui: {error}")
    if "--json" not in sys.argv[1:]:
        return
    if command_typed(sys.argv[1:]) in ("run", "train"):
        from medtui.plain.headless import refusal_event

        print_json_line(json_line(refusal_event(error).model_dump()))
    else:
        body = {"kind": error.kind, "code": error.code, "message": error.message, "hint": error.hint}
        print_json_line(json_line({"error": body}))
