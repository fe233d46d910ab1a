"""Which pictures are on the terminal, and what to send so that they are where their widgets are.

Widgets draw their pictures in characters, as everywhere. Where nothing lies over a picture, the terminal's own is put
over those of its cells that are in sight, after every update that wrote there: text takes a picture away.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol

from textual._compositor import ChopsUpdate
from textual.geometry import Offset, Region

from medtui.console.graphics.encode import MOST_CELLS, deleted, placed, transmitted
from medtui.console.graphics.picture import Colour, Picture
from medtui.console.graphics.terminal import Protocol as Graphics

if TYPE_CHECKING:
    from textual.screen import Screen
    from textual.widget import Widget

KEPT = 16 * 1024 * 1024  # characters of encoded pictures
FIRST_NUMBER = 0x6D0000  # of a picture for kitty, away from those of other programs

Key = tuple[bytes, Graphics, tuple[int, int] | None, tuple[int, int] | None]  # picture, protocol, cell, part


class Shown(NamedTuple):
    """A picture within a widget."""

    picture: Picture
    at: Offset  # in the widget's content


class ShowsPictures(Protocol):
    """A widget whose cells hold pictures."""

    def shown_pictures(self) -> Iterable[Shown]: ...


class Placed(NamedTuple):
    """A picture, or the rows of it that are in sight."""

    region: Region  # of the terminal
    picture: Picture
    background: Colour
    part: tuple[int, int] | None  # its first row in sight, and their number; None where all are


class Gallery:
    def __init__(self) -> None:
        self.protocol: Graphics = "blocks"
        self.cell: tuple[int, int] | None = None  # pixels, width and height; None where unknown
        self.in_tmux = False
        self.widgets: set[Widget] = set()  # each with `shown_pictures`
        self._payloads: OrderedDict[Key, str] = OrderedDict()  # the last used at the end
        self._numbers: dict[Key, int] = {}  # of pictures in kitty's memory
        self._next_number = count(FIRST_NUMBER)
        self._painted: set[Placed] = set()

    @property
    def paints(self) -> bool:
        """Does the terminal have graphics?"""
        return self.protocol not in ("blocks", "off")

    def key_of(self, one: Placed) -> Key:
        return one.picture.key, self.protocol, self.cell, None if self.protocol == "kitty" else one.part

    def add(self, key: Key, payload: str) -> None:
        """Keep an encoded picture, and as many of the last used ones as there is room for."""
        self._payloads[key] = payload
        total = sum(map(len, self._payloads.values()))
        while total > KEPT and len(self._payloads) > 1:
            total -= len(self._payloads.popitem(last=False)[1])

    def missing(self, screen: Screen[object]) -> dict[Key, Picture]:
        """Pictures in sight that are not encoded yet."""
        found = {self.key_of(one): one.picture for one in self._in_sight(screen)}
        return {key: picture for key, picture in found.items() if key not in self._payloads}

    def painted(self, screen: Screen[object], update: object) -> str:
        """What to send after an update of a screen: the pictures in sight that it wrote over, or that are new.

        update: as Textual's compositor has it; None where nothing was written.
        """
        in_sight = set(self._in_sight(screen))
        kept = {one for one in self._painted & in_sight if not _wrote_over(update, one.region)}
        text = []
        self._painted = set()
        for one in in_sight:
            if one not in kept:
                if (key := self.key_of(one)) not in self._payloads:
                    continue
                text.append(self._paint(one, key))
            self._painted.add(one)
        return "".join(text)

    def forget(self) -> None:
        """Nothing is on the terminal any more."""
        self._painted = set()

    def removed(self) -> str:
        """What frees the terminal's memory."""
        numbers, self._numbers = list(self._numbers.values()), {}
        return "".join(deleted(number, in_tmux=self.in_tmux) for number in numbers)

    def _paint(self, one: Placed, key: Key) -> str:
        self._payloads.move_to_end(key)
        payload, before, number = self._payloads[key], "", 0
        if self.protocol == "kitty":
            if key not in self._numbers:
                self._numbers[key] = next(self._next_number)
                before = transmitted(one.picture, payload, self._numbers[key], in_tmux=self.in_tmux)
            number = self._numbers[key]
        at = one.region.offset
        return before + placed(one.picture, payload, self.protocol, at, one.background, number, one.part)

    # ---- where they are --------------------------------------------------------------------------------------------

    def _in_sight(self, screen: Screen[object]) -> Iterator[Placed]:
        """Complete, and with nothing over them. Of the top screen only: a dialog lies over those below it."""
        if not self.paints:
            return
        visible = screen._compositor.visible_widgets
        for widget in [widget for widget in visible if widget in self.widgets]:
            region, clip = visible[widget]
            content = region.shrink(widget.gutter)
            background = widget.background_colors[1].rgb
            above = _above(widget, visible)
            for shown in widget.shown_pictures():  # type: ignore[attr-defined]
                one = _placed(shown, content, content.intersection(clip), background)
                if one is not None and not any(one.region.overlaps(other) for other in above):
                    yield one


def _placed(shown: Shown, content: Region, in_sight: Region, background: Colour) -> Placed | None:
    """Where a picture of a widget is; None where it is cut at a side, or none of it is in sight."""
    picture, at = shown
    place = Region(content.x + at.x, content.y + at.y, picture.columns, picture.rows)
    region = place.intersection(in_sight)
    if not region.height or region.width != place.width or max(picture.columns, picture.rows) > MOST_CELLS:
        return None
    part = None if region == place else (region.y - place.y, region.height)
    return Placed(region, picture, background, part)


def _above(widget: Widget, visible: dict[Widget, tuple[Region, Region]]) -> list[Region]:
    """The regions of what may lie over a widget: `visible` has the topmost first."""
    found: list[Region] = []
    for other, (region, clip) in visible.items():
        if other is widget:
            return found
        found.append(region.intersection(clip))
    return found


def _wrote_over(update: object, region: Region) -> bool:
    """Did an update write into a region? One of Textual's writes place parts of lines, from cut to cut."""
    if update is None:
        return False
    if not isinstance(update, ChopsUpdate):
        return True
    for y, left, right in update.spans:
        if not region.y <= y < region.bottom:
            continue
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            written = strip is not None and x <= right and end > left
            if written and x < region.right and min(end, right) > region.x:
                return True
    return False
