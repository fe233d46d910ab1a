"""How a command ends: its exit code, and for an error one sentence for people and one object for scripts."""

from __future__ import annotations

import json
import os
import sys
import traceback

import typer
from click.exceptions import Abort, ClickException


def ended(app: typer.Typer) -> int:
    """Run the command line; the exit code."""
    from engine.contract.errors import INTERNAL, MedtuiError

    try:
        code = app(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except MedtuiError as error:
        tell(error, as_json="--json" in sys.argv[1:])
        return error.exit_code
    except ClickException as error:
        error.show()
        return error.exit_code
    except (Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        traceback.print_exc()
        return INTERNAL


def tell(error: MedtuiError, *, as_json: bool) -> None:  # type: ignore[name-defined]  # noqa: F821
    from medtui.text import clean

    print(f"medtui: {clean(str(error), 4000)}", file=sys.stderr)
    if as_json:
        body = {"kind": error.kind, "message": error.message, "hint": error.hint}
        print(json.dumps({"error": body}, ensure_ascii=False))
