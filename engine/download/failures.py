"""Why a file could not be fetched."""

from __future__ import annotations

from engine.contract.sentence import Sentence


class DownloadFailed(Exception):
    """Why: a sentence of `Downloads`, whose words end another one."""

    def __init__(self, sentence: Sentence, **fields: object) -> None:
        self.code, self.fields = sentence.code, fields
        super().__init__(sentence.text(**fields)[0])


class Cut(DownloadFailed):
    """The connection ended in the middle, or brings nothing: another one may bring more."""


class Busy(DownloadFailed):
    """The server asks for patience."""

    def __init__(self, sentence: Sentence, retry_after: float | None, **fields: object) -> None:
        super().__init__(sentence, **fields)
        self.retry_after = retry_after  # seconds, as it says; None where it does not
