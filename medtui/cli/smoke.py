"""`medtui smoke`: a micro-run of the whole chain."""

from __future__ import annotations

import time


def smoke() -> None:
    """Train, evaluate, report and read back a run of seconds, in a folder that is thrown away."""
    import typer

    from medtui.client import smoke as chain

    began = time.monotonic()
    chain.smoke(tell=lambda step: typer.echo(f"✓ {step.what:<40} {step.seconds:5.1f} s"))
    typer.echo(f"Everything works on this machine: {time.monotonic() - began:.1f} s.")
