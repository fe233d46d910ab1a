"""What decoding may use of the job that needs the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.contract.recipe.data_source import SearchPaths
from engine.data.archive_file import OnRead
from engine.data.cache import Log
from engine.download import OnProgress


@dataclass(frozen=True)
class Access:
    """`on_read`, and what `on_fetch` returns for an activity, are called with the progress, and raise once the job is
    over.
    """

    search_paths: SearchPaths  # its folders: also where a resumed run found its data
    usual: Sequence[Path]  # the folders without that
    given: Sequence[str]  # by `--data`: a fetched file goes into the first
    may_fetch: bool
    log: Log
    warn: Log
    on_read: OnRead
    on_fetch: Callable[[str], OnProgress]
