"""Python's search for cycles of objects, where it holds up no key.

A complete search looks at every object there is: a tenth of a second once the screens are there, in the middle of
whatever is being drawn. What a screen is made of stays as long as the console, so it is taken out of the search.
"""

from __future__ import annotations

import gc

SETTLED = 1.5  # seconds after which a new screen has imported and read what it shows
THRESHOLDS = (5_000, 10, 50)  # drawing one frame makes thousands of objects: Python's 700 would be several searches


def pause_search() -> None:
    """Until the first frame: nothing that an import makes is garbage."""
    gc.disable()


def begin_search() -> None:
    gc.set_threshold(*THRESHOLDS)
    keep_present_objects()
    gc.enable()


def keep_present_objects() -> None:
    """They are never searched again, garbage among them included: for a moment that comes once."""
    gc.freeze()
