"""`python -P -m engine --workspace DIR`: an engine that speaks the protocol on standard input and output.

The real standard output is kept for the protocol, and descriptor 1 is pointed at standard error, before anything is
imported that might print.
"""

import os
import sys

_protocol_out = os.dup(1)
os.dup2(2, 1)


def main() -> int:
    import argparse
    import faulthandler
    from pathlib import Path

    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    parser.add_argument("--workspace", type=Path, default=None, help="the folder that holds outputs/")
    parser.add_argument("--warm", action="store_true", help="import torch while waiting for a start command")
    parser.add_argument("--console", metavar="PID:STARTED", help="who started it, for others to read in its arguments")
    arguments = parser.parse_args()
    if not sys.stderr.closed:
        faulthandler.enable()

    from engine.contract.errors import MedtuiError
    from engine.contract.workspace import find_workspace
    from engine.session import Session

    try:
        workspace = find_workspace(arguments.workspace)
    except MedtuiError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return Session(_protocol_out, sys.stdin.fileno(), workspace, warm=arguments.warm).live()


if __name__ == "__main__":
    sys.exit(main())
