"""From the numbers of a survey to what is found in it. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import median_low

import numpy as np

from engine.contract.data.datasets import SPLITS
from engine.contract.data.exploration import (
    ClassFacts,
    ConstantFound,
    DamagedFound,
    Doubtful,
    DoubtfulLabels,
    DuplicateSet,
    DuplicatesFound,
    Exploration,
    GroupsFound,
    GroupSplits,
    ImageId,
    Range,
    SplitFacts,
)
from engine.data.explore.survey import Survey
from engine.data.own.duplicates import Duplicates

LISTED = 1000  # of each kind of finding
SHOWN = 20  # images of a set of duplicates
RARE = 0.2  # of the training images that a class has on average
FEW = 10  # images of a class in a split, below which its metrics say little
NAMED = 5  # in a sentence


def explored(survey: Survey, source: str, duplicates: Duplicates, doubtful: DoubtfulLabels | None) -> Exploration:
    facts, card = survey.facts, survey.card
    found = Exploration(
        source=source,
        name=facts.name,
        title=facts.title,
        task=facts.task,
        licence=facts.licence,
        synthetic=facts.synthetic,
        channels=1 if facts.channels == 1 else 3,
        size=survey.size,
        how_split=card.how_split if card is not None else "as given",
        widths=_range(survey.sides[:, 0]),
        heights=_range(survey.sides[:, 1]),
        notes=card.notes if card is not None else {},
        splits={split: _split_facts(survey, survey.splits == split) for split in SPLITS},
        classes=classes_of(survey),
        duplicates=duplicates_of(survey, duplicates),
        damaged=_damaged(survey),
        constant=_constant(survey),
        groups=groups_of(survey),
        doubtful_labels=doubtful,
        remarks=(),
    )
    return found.model_copy(update={"remarks": tuple(remarks_on(found))})


def image(survey: Survey, number: int) -> ImageId:
    split, at = survey.places[number]
    return ImageId(split=split, number=at, name=survey.names[number], label=survey.label(number))


# ---- classes ---------------------------------------------------------------------------------------------------------


def classes_of(survey: Survey) -> tuple[ClassFacts, ...]:
    hot, splits = survey.hot.astype(bool), survey.splits
    training = hot[splits == "train"].sum(axis=0)
    found = []
    for number, name in enumerate(survey.facts.class_names):
        has = hot[:, number]
        mean, deviation = _statistics(survey, has)
        found.append(
            ClassFacts(
                name=name,
                images={split: int((has & (splits == split)).sum()) for split in SPLITS},
                fraction=float(training[number] / max(1, (splits == "train").sum())),
                rare=bool(training[number] < RARE * training.mean()),
                mean=mean,
                deviation=deviation,
                widths=_range(survey.sides[has, 0]) if has.any() else None,
                heights=_range(survey.sides[has, 1]) if has.any() else None,
            )
        )
    return tuple(found)


def _split_facts(survey: Survey, where: np.ndarray) -> SplitFacts:
    mean, deviation = _statistics(survey, where)
    return SplitFacts(images=int(where.sum()), mean=mean, deviation=deviation)


def _statistics(survey: Survey, where: np.ndarray) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Mean and population deviation by channel, of the pixels of these images, in fractions of 255."""
    if not where.any():
        return None, None
    pixels = int(where.sum()) * survey.size**2
    mean, deviation = [], []
    sums, squares = survey.sums[where].sum(axis=0), survey.squares[where].sum(axis=0)
    for total, square in zip(sums.tolist(), squares.tolist(), strict=True):
        mean.append(total / pixels / 255)
        deviation.append(max(0, pixels * square - total**2) ** 0.5 / pixels / 255)
    return tuple(mean), tuple(deviation)


def _range(values: np.ndarray) -> Range:
    found = values.tolist()
    return min(found), median_low(found), max(found)


# ---- duplicates, constant images, damaged files, groups --------------------------------------------------------------


def duplicates_of(survey: Survey, duplicates: Duplicates) -> DuplicatesFound:
    sets = [_duplicate_set(survey, duplicates, members) for members in duplicates.sets]
    listed = sorted(sets, key=lambda one: (not one.across_splits, not one.other_label))  # else in the order of images
    return DuplicatesFound(
        exact=duplicates.exact,
        near=duplicates.near,
        sets=len(sets),
        across_splits=sum(one.across_splits for one in sets),
        other_label=sum(one.other_label for one in sets),
        listed=tuple(listed[:LISTED]),
    )


def _duplicate_set(survey: Survey, duplicates: Duplicates, members: Sequence[int]) -> DuplicateSet:
    labels = survey.labels.reshape(len(survey), -1)[list(members)]
    return DuplicateSet(
        exact=len({duplicates.digests[number] for number in members}) == 1,
        across_splits=len({survey.places[number][0] for number in members}) > 1,
        other_label=bool((labels != labels[0]).any()),
        count=len(members),
        images=tuple(image(survey, number) for number in members[:SHOWN]),
    )


def _damaged(survey: Survey) -> DamagedFound:
    if survey.card is None:
        return DamagedFound(count=0, listed=(), left_out={})
    return DamagedFound(
        count=survey.card.unusable, listed=survey.card.unusable_files[:LISTED], left_out=survey.card.ignored
    )


def _constant(survey: Survey) -> ConstantFound:
    numbers = np.nonzero(survey.constant)[0].tolist()
    return ConstantFound(count=len(numbers), listed=tuple(image(survey, number) for number in numbers[:LISTED]))


def groups_of(survey: Survey) -> GroupsFound | None:
    if survey.groups is None:
        return None
    splits: dict[str, Counter[str]] = defaultdict(Counter)
    for group, (split, _) in zip(survey.groups, survey.places, strict=True):
        if group:
            splits[group][split] += 1
    apart = {group: counts for group, counts in splits.items() if len(counts) > 1}
    listed = [GroupSplits(group=group, images=dict(apart[group])) for group in sorted(apart)[:LISTED]]
    return GroupsFound(count=len(splits), across_splits=len(apart), listed=tuple(listed))


# ---- labels that a model doubts --------------------------------------------------------------------------------------


def doubtful_labels(survey: Survey, numbers: np.ndarray, probabilities: np.ndarray, model: str) -> DoubtfulLabels:
    """numbers: int64 [M], of the images that were scored; probabilities: float64 [M, K].

    A label is doubted where another class is more probable, of several labels where its own probability is below 0.5;
    but not one of a class that the model predicts for no image: it does not know that class.
    """
    labels = survey.labels[numbers]
    several = labels.ndim == 2
    unpredicted = _unpredicted(probabilities, several=several)
    if several:
        of_label = np.where(labels == 1, probabilities, 1 - probabilities)
        of_label[(labels == 1) & unpredicted] = 1.0
        worst = of_label.argmin(axis=1)
        probability = of_label.min(axis=1)
        doubted = probability < 0.5
    else:
        worst = probabilities.argmax(axis=1)
        probability = probabilities[np.arange(len(labels)), labels]
        doubted = (worst != labels) & ~unpredicted[labels]
    order = np.nonzero(doubted)[0]
    order = order[np.argsort(probability[order], kind="stable")][:LISTED]
    names = survey.facts.class_names
    listed = []
    for row in order.tolist():
        name = names[int(worst[row])]
        said = f"{'no ' if several and labels[row, worst[row]] else ''}{name}"
        sure = 1 - probability[row] if several else probabilities[row, worst[row]]
        listed.append(
            Doubtful(
                **image(survey, int(numbers[row])).model_dump(),
                probability=min(1.0, max(0.0, float(probability[row]))),
                predicted=said,
                confidence=min(1.0, max(0.0, float(sure))),
            )
        )
    images = labels.sum(axis=0) if several else np.bincount(labels, minlength=len(names))
    never = {name: int(images[k]) for k, name in enumerate(names) if unpredicted[k] and images[k]}
    return DoubtfulLabels(
        model=model, scored=len(numbers), doubted=int(doubted.sum()), never_predicted=never, listed=tuple(listed)
    )


def _unpredicted(probabilities: np.ndarray, *, several: bool) -> np.ndarray:
    """bool [K]: which classes are the most probable one of no image; of several labels, which reach 0.5 for none."""
    classes = probabilities.shape[1]
    if several:
        return np.array([not (probabilities[:, k] >= 0.5).any() for k in range(classes)])
    return np.array([n == 0 for n in np.bincount(probabilities.argmax(axis=1), minlength=classes)])


# ---- what stands out -------------------------------------------------------------------------------------------------


def remarks_on(found: Exploration) -> list[str]:
    """In sentences: what somebody who trains with these images should know first."""
    said = [*_on_classes(found), *_on_duplicates(found)]
    if found.damaged.count:
        said.append(f"{_count(found.damaged.count, 'file')} cannot be used.")
    if found.constant.count:
        said.append(f"{_count(found.constant.count, 'image')} of one colour.")
    if found.groups is not None and found.groups.across_splits:
        said.append(f"{_count(found.groups.across_splits, 'group')} with images in more than one split: a leak.")
    if (doubt := found.doubtful_labels) is not None:
        if doubt.doubted:
            said.append(f"The model doubts {_count(doubt.doubted, 'label')} of {doubt.scored:,}{_how_far(doubt)}.")
        if doubt.never_predicted:
            count = _count(sum(doubt.never_predicted.values()), "label")
            never = _named(list(doubt.never_predicted))
            said.append(f"The model predicts {never} for no image: {count} of these classes cannot be judged by it.")
    return said


def _how_far(doubt: DoubtfulLabels) -> str:
    if not doubt.at_chance or doubt.auc is None:
        return ""
    return f", but it predicts no better than chance (AUC {doubt.auc:.2f} on the validation images): this says nothing"


def _on_classes(found: Exploration) -> list[str]:
    said = []
    if rare := [one.name for one in found.classes if one.rare and one.images["train"]]:
        most = max(one.images["train"] for one in found.classes)
        least = min(one.images["train"] for one in found.classes if one.rare and one.images["train"])
        said.append(
            f"Rare in training: {_named(rare)}; the most frequent class is {most / least:.0f} times as frequent."
        )
    for split in SPLITS:
        if absent := [one.name for one in found.classes if not one.images[split]]:
            said.append(f"The {split} split has no image of {_named(absent)}.")
        if few := [one.name for one in found.classes if 0 < one.images[split] < FEW]:
            said.append(f"The {split} split has fewer than {FEW} images of {_named(few)}.")
    return said


def _on_duplicates(found: Exploration) -> list[str]:
    said, of = [], found.duplicates
    if of.across_splits:
        said.append(f"{_count(of.across_splits, 'set')} of duplicates with images in more than one split: a leak.")
    if of.other_label:
        said.append(f"{_count(of.other_label, 'set')} of duplicates with different labels.")
    if not said and of.sets:
        said.append(f"{_count(of.sets, 'set')} of duplicates, each within one split.")
    return said


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
