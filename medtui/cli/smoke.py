"""`medtui smoke`: a tiny run of the full pipeline."""

from __future__ import annotations

import time


def smoke() -> None:
    """Train, evaluate, report and read back a tiny run in a temporary folder."""
    from medtui.client import smoke as chain
    from medtui.output import print_line

    began = time.monotonic()
    chain.smoke(on_step=lambda step: print_line(f"✓ {step.what:<40} {step.seconds:5.1f} s"))
    print_line(f"Everything works on this machine: {time.monotonic() - began:.1f} s.")
