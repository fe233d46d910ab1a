"""What both sides know of a table that names images: what separates its columns, which endings names may lack."""

from __future__ import annotations

import csv

MOST_BYTES = 1024**3  # of a table
DELIMITERS = (",", ";", "\t", "|")
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".dcm")


def text_of(content: bytes) -> str:
    """Raises UnicodeDecodeError."""
    return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def delimiter_of(text: str) -> str:
    """The one by which the first rows have the most columns, as many in each."""
    first = text[:100_000].splitlines()[:50]

    def columns(delimiter: str) -> int:
        try:
            widths = {len(row) for row in csv.reader(first[:-1] or first, delimiter=delimiter) if row}
        except csv.Error:
            return 0
        return widths.pop() if len(widths) == 1 else 0

    return max(DELIMITERS, key=columns)
