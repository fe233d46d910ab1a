"""Textual's fuzzy search for names that others made up: it tries every way in which the letters fit, of which a long
name can have millions, and the console would stand still. Here only two are tried."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.text import Text
from textual.fuzzy import FuzzySearch, Matcher


class QuickSearch(FuzzySearch):
    def _match(self, query: str, candidate: str) -> Iterable[tuple[float, Sequence[int]]]:
        query, candidate = query.lower(), candidate.lower()
        if (at := candidate.find(query)) >= 0:
            offsets = list(range(at, at + len(query)))
            yield self.score(candidate, offsets) * (2.0 if candidate == query else 1.5), offsets
            return
        starts = sorted(self.get_first_letters(candidate))
        for preferred in ((), starts):
            found = _embedded(query, candidate, preferred)
            if found:
                yield self.score(candidate, found), found


def _embedded(query: str, candidate: str, starts: Sequence[int]) -> list[int]:
    """Where the letters of `query` stand, in their order, each at the next of `starts` if there is one; else empty."""
    found: list[int] = []
    for letter in query:
        after = found[-1] + 1 if found else 0
        at = next((start for start in starts if start >= after and candidate[start] == letter), None)
        at = candidate.find(letter, after) if at is None else at
        if at < 0:
            return []
        found.append(at)
    return found


def quick(matcher: Matcher) -> Matcher:
    """The same matcher, with this search."""
    matcher.fuzzy_search = QuickSearch()
    return matcher


def score_of(matcher: Matcher, name: str, help: str) -> float:
    """By the letters of the name, else by the words of the help, in which some letters in a row are found in any."""
    score = matcher.match(name)
    if all(word in help.lower() for word in matcher.query.lower().split()):
        score = max(score, matcher.match(help) / 2)
    return score


def highlighted(matcher: Matcher, name: str) -> Text:
    """With the characters that match; Textual's own reads markup."""
    text, style = Text(name), matcher.match_style.rich_style
    for at in matcher.fuzzy_search.match(matcher.query, name)[1]:
        if not name[at].isspace():
            text.stylize(style, at, at + 1)
    return text
