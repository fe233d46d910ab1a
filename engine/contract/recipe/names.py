"""Unknown names, and suggestions for what was probably meant: one mechanism for every kind of name.

Users accept a suggestion without checking it, and one that names another data set trains another data set. So a name is
offered where only case and punctuation differ, where it is another word for it (`aliases`), or where it is one slip of
the finger away, and then with everything that is as near. Else what there is is listed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from engine.contract.recipe.aliases import ALIASES, NOT_HERE

LISTED = 20  # names, when none is near
NEAREST = 3  # names of things that users make: runs
LONGEST = 100  # characters of a name that is compared; a longer one is no slip of the finger
NEWEST = 500  # runs that are compared
RELATED_KINDS = {"recipe": "data set"}  # recipes are called like the data sets that they are for
_SIZED = re.compile(r"(?P<base>.*?[a-z])[\W_]*(?P<size>\d{2,4})(px)?", re.IGNORECASE)


def alternatives(what: str, found: str, known: Mapping[str, str] | Collection[str], sized: str = "") -> str:
    """What to write in place of an unknown name: `did you mean resnet18?`, or what there is.

    `known`: names, or how each is to be written. `sized`: how a data set at a size is to be written, with `{name}` (as
    `known` writes it) and `{size}`.
    """
    written = known if isinstance(known, Mapping) else {name: name for name in known}
    if "data set" in (what, RELATED_KINDS.get(what)) and (suggestion := _size_suggestion(found, written, sized)):
        return suggestion
    why_not = _why_not(what, found, written)
    nearest = [] if why_not else suggestions(what, found, written)
    if nearest:
        return f"did you mean {_or(written.get(name, name) for name in nearest)}?"
    own = [name for name, how in written.items() if name == how]
    return f"{why_not + '; ' if why_not else ''}{_listed(what, own)}"


def suggestions(what: str, found: str, known: Iterable[str]) -> list[str]:
    """The names that `found` may mean, all as probable; none where it is not clear."""
    names = list(known)
    word = squeezed(found)
    if not word or len(found) > LONGEST or _why_not(what, found, names):
        return []
    if alike := _exact_matches(what, word, names):
        return alike
    return _nearest(what, word, names)


def squeezed(name: str) -> str:
    """One spelling for all that differ in case and punctuation only."""
    return re.sub(r"[\W_]", "", name).lower()


def _exact_matches(what: str, word: str, names: list[str]) -> list[str]:
    """By spelling but for case and punctuation, as another word, or as a data set without its `mnist`."""
    for kind in filter(None, (what, RELATED_KINDS.get(what))):
        alias = ALIASES.get(kind, {}).get(word, ())
        if alike := [name for name in alias if name in names or kind.endswith("command")]:
            return alike
    return [name for name in names if squeezed(name) in (word, f"{word}mnist")]


def _nearest(what: str, word: str, names: list[str]) -> list[str]:
    """All that are as few slips away as the nearest; the longer a word, the more slips are believed."""
    slips: dict[str, int] = {}
    letters = _without_digits(word)
    for name in names[-NEWEST:] if what == "run" else names:
        most = _max_distance(word, name)
        near = (part for part in _parts(what, name) if abs(len(part) - len(word)) <= most)
        if what == "recipe":  # exp_12 and exp_13 are two experiments, and no slip of the finger
            near = (part for part in near if part == word or _without_digits(part) != letters)
        count = min((distance(word, part) for part in near), default=most + 1)
        if count <= most:
            slips[name] = count
    nearest = [name for name, count in slips.items() if count == min(slips.values())]
    return nearest[-NEAREST:][::-1] if what == "run" else nearest[:NEAREST]


def _without_digits(word: str) -> str:
    return re.sub(r"\d", "", word)


def _max_distance(word: str, name: str) -> int:
    own = len(word) - 5 if name.endswith("mnist") else len(word)  # the common ending distinguishes none
    return max(1, own // 4)


def _parts(what: str, name: str) -> set[str]:
    """A run is known by parts of its name too."""
    return {squeezed(part) for part in ([name, *name.split("_")] if what == "run" else [name])}


def _size_suggestion(found: str, written: Mapping[str, str], sized: str) -> str:
    """Of `breastmnist_224`: a size is another field."""
    match = _SIZED.fullmatch(found[: LONGEST + 1])
    named = _exact_matches("data set", squeezed(match["base"]), [*written]) if match else []
    if match is None or len(named) != 1 or _why_not("data set", found, written):
        return ""
    from engine.contract.data.datasets import datasets

    sizes = datasets()[named[0]].sizes if named[0] in datasets() else ()
    if int(match["size"]) not in sizes:
        return f"{named[0]} is available at {', '.join(map(str, sizes))} px"
    how = sized or "dataset.name={name} dataset.size={size}"
    return f"did you mean {how.format(name=written[named[0]], size=int(match['size']))}?"


def _why_not(what: str, found: str, known: Iterable[str]) -> str:
    """Nothing where one of the known names is such a name itself."""
    kind = RELATED_KINDS.get(what, what)
    word = squeezed(re.sub(r"(28|64|128|224)$", "", found) if kind == "data set" else found)
    for pattern, why in NOT_HERE.get(kind, {}).items():
        if re.fullmatch(pattern, word) and not any(re.fullmatch(pattern, squeezed(name)) for name in known):
            return why
    return ""


def _or(names: Iterable[str]) -> str:
    *others, last = list(dict.fromkeys(names))
    return f"{', '.join(others)} or {last}" if others else last


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return "there are none"
    if what == "run":
        newest = ", ".join(names[-NEAREST:][::-1])
        return f"the newest of {len(names)}: {newest}" if len(names) > NEAREST else f"known: {newest}"
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"known: {', '.join(names[:LISTED])}{more}"


def distance(one: str, other: str) -> int:
    """Slips of the finger: a letter too much, missing, another, or two in each other's place."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, above, row = row, before, [i]
        for j, second in enumerate(other, 1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != second))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == second:
                least = min(least, above[j - 2] + 1)
            row.append(least)
    return row[-1]
