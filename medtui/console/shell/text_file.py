"""A recipe's text, read to be shown."""

from __future__ import annotations

import errno

from engine.contract.files.folders import File
from engine.contract.recipe.yaml_reader import SIZE_LIMIT


class TooLarge(Exception):
    """A file that cannot be a recipe."""


def read_text(file: File) -> str:
    """Raises OSError, UnicodeDecodeError, TooLarge."""
    try:
        return file.content(SIZE_LIMIT).decode("utf-8-sig")
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise TooLarge("expected at most 256 KiB") from None
        raise
