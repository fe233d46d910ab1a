"""What was found in a source of images, for both sides: `medtui data explore --json` prints it."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Le

from engine.contract.data.card import Count, Unusable, Values
from engine.contract.data.datasets import TaskKind

Fraction = Annotated[float, Ge(0), Le(1)]
Range = tuple[Count, Count, Count]  # the smallest, the median, the largest


class ImageId(Values):
    """Which image of a source."""

    split: str
    number: Count  # in its split, from 0
    name: str  # a file, or `train/12` of an archive
    label: str  # in words


class ClassFacts(Values):
    """One class. Mean and deviation are by channel, in fractions of the brightest value; null without an image."""

    name: str
    images: dict[str, Count]  # per split
    fraction: Fraction  # of the training images
    rare: bool  # has fewer than a fifth of the training images that a class has on average
    mean: tuple[float, ...] | None
    deviation: tuple[float, ...] | None
    widths: Range | None  # pixels, before resizing
    heights: Range | None


class SplitFacts(Values):
    """One split; mean and deviation as of a class."""

    images: Count
    mean: tuple[float, ...] | None
    deviation: tuple[float, ...] | None


class DuplicateSet(Values):
    """Images that are the same, exactly or nearly: re-encoded, resized, brighter, mirrored."""

    exact: bool  # all have the same pixels
    across_splits: bool
    other_label: bool  # they have different labels
    count: Count
    images: tuple[ImageId, ...]  # at most `SHOWN` of them


class DuplicatesFound(Values):
    exact: Count  # images with the same pixels as an image before them
    near: Count  # nearly the same as one before them, and not exactly
    sets: Count
    across_splits: Count  # sets
    other_label: Count  # sets
    listed: tuple[DuplicateSet, ...]  # at most `LISTED`: those across splits first, then those with different labels


class DamagedFound(Values):
    """Files that are not among the images."""

    count: Count
    listed: tuple[Unusable, ...]
    left_out: dict[str, Count]  # what was not taken for an image: hidden files, repeated rows


class ConstantFound(Values):
    """Images of one colour."""

    count: Count
    listed: tuple[ImageId, ...]


class GroupSplits(Values):
    group: str
    images: dict[str, Count]  # per split


class GroupsFound(Values):
    """Images that belong together, of one patient for example."""

    count: Count
    across_splits: Count
    listed: tuple[GroupSplits, ...]  # those across splits


class Doubtful(ImageId):
    """An image whose label a model doubts."""

    probability: Fraction  # of its label, by the model; of several labels the least probable one
    predicted: str
    confidence: Fraction  # of what is predicted; of several labels, of that doubted one


class DoubtfulLabels(Values):
    """Candidates only: a model may be wrong where a label is right."""

    model: str  # where it is
    scored: Count  # training and validation images
    doubted: Count  # images for which the model predicts another label, but for those of classes that it never predicts
    never_predicted: dict[str, Count] = {}  # images with the label, by class: the model predicts it for none of all
    auc: Fraction | None = None  # of the model on the validation images; null where that is not defined
    at_chance: bool = False  # it predicts these hardly better than chance, so its doubts say nothing
    listed: tuple[Doubtful, ...]  # the least probable labels first


class Exploration(Values):
    """All of it."""

    format: Literal[1] = 1
    source: str
    name: str
    title: str
    task: TaskKind
    licence: str
    synthetic: bool
    channels: Literal[1, 3]
    size: Count  # pixels per side, as it is trained with
    how_split: str
    widths: Range
    heights: Range
    notes: dict[str, Count]  # of how many images something is so: oblong, turned by EXIF …
    splits: dict[str, SplitFacts]
    classes: tuple[ClassFacts, ...]
    duplicates: DuplicatesFound
    damaged: DamagedFound
    constant: ConstantFound
    groups: GroupsFound | None  # null: no groups are known
    doubtful_labels: DoubtfulLabels | None  # null: without a model
    remarks: tuple[str, ...]  # what stands out, in sentences
