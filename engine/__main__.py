"""`python -P -m engine --workspace DIR`: an engine that speaks the protocol on standard input and output.

The real standard output is kept for the protocol, and descriptor 1 is pointed at standard error, before anything is
imported that might print.
"""

import os
import sys

_protocol_out = os.dup(1)
os.dup2(2, 1)


def settle_environment() -> None:
    """Settings that the caller's environment must not decide: where modules come from, and how figures are plotted.

    The folders of their PYTHONPATH provide what is installed nowhere else. matplotlib reads a drawing backend and
    settings that are meant for their notebook or desktop, and fails where these are missing.
    """
    from importlib.util import find_spec

    last = os.environ.get("MEDTUI_PYTHONPATH", "").split(os.pathsep)
    sys.path += [folder for folder in last if folder and folder not in sys.path]
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "1"  # other programs' ones; the search for them takes 20 ms
    os.environ["MPLBACKEND"] = "agg"
    if (found := find_spec("matplotlib")) is not None and found.origin:
        os.environ["MATPLOTLIBRC"] = os.path.join(os.path.dirname(found.origin), "mpl-data", "matplotlibrc")  # noqa: PTH118, PTH120


def main() -> int:
    settle_environment()
    import argparse
    import faulthandler
    from pathlib import Path

    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    parser.add_argument("--workspace", type=Path, default=None, help="the folder that holds outputs/")
    parser.add_argument("--warm", action="store_true", help="import torch while waiting for a start command")
    parser.add_argument(
        "--console", metavar="PID:STARTED", help="the process that started it, shown to others in its arguments"
    )
    arguments = parser.parse_args()
    if not sys.stderr.closed:
        faulthandler.enable()

    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import MedtuiError
    from engine.session import Session

    try:
        workspace = find_workspace(arguments.workspace)
        # kept open: by it this engine is known as the workspace's, wherever that is moved
        os.open(workspace.root, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        print(f"The workspace {arguments.workspace} cannot be opened: {error.strerror}.", file=sys.stderr)
        return 2
    except MedtuiError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return Session(_protocol_out, sys.stdin.fileno(), workspace, warm=arguments.warm).run()


if __name__ == "__main__":
    sys.exit(main())
