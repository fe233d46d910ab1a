"""Two themes, and a palette of series that colour-blind eyes can tell apart (Okabe & Ito 2008)."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="medtui-dark",
    primary="#56B4E9",
    secondary="#009E73",
    accent="#F0E442",
    warning="#E69F00",
    error="#FF7A6B",
    success="#3FC79A",
    foreground="#D8DEE6",
    background="#101418",
    surface="#161C22",
    panel="#1F2830",
    dark=True,
    variables={"pane-border": "#4A5866"},
)
LIGHT = Theme(
    name="medtui-light",
    primary="#005F99",
    secondary="#00694D",
    accent="#7A5C00",
    warning="#9A5B00",
    error="#B3261E",
    success="#00694D",
    foreground="#1B2026",
    background="#FFFFFF",
    surface="#F4F6F8",
    panel="#E6EBF0",
    dark=False,
    variables={"pane-border": "#A3ADB8"},
)
THEMES = {"dark": DARK, "light": LIGHT}

_OKABE_ITO = {
    "dark": ((86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0)),
    "light": ((0, 95, 153), (154, 91, 0), (0, 105, 77), (150, 60, 110), (110, 100, 0), (170, 60, 0)),
}


def series_colour(number: int, *, dark: bool) -> tuple[int, int, int]:
    """The same number has the same colour everywhere."""
    colours = _OKABE_ITO["dark" if dark else "light"]
    return colours[number % len(colours)]
