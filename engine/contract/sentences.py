"""What both sides can find wrong, and how it reads. Groups are alphabetical; a code is `group.name`."""

from __future__ import annotations

from engine.contract.wire.sentences import Sentence


class Checkpoint:
    UNREADABLE = Sentence("The checkpoint {path} cannot be read: {reason}.", "Check that it exists.")


class OwnData:
    """Of recipes about images of the user's own. The recipe's field comes before each."""

    BAD_PATTERN = Sentence("must be a pattern for file names, found {pattern!r}: {reason}")
    CLASS_TWICE = Sentence("must name each class once, found {name!r} twice")
    FEW_CLASSES = Sentence("must name two classes or more, found {found}")
    FOLD_WITHOUT_FOLDS = Sentence("is {fold}, but `folds` is null: write `folds: 5`, or remove `fold`")
    LONG_DELIMITER = Sentence("must be one character, found {delimiter!r}")
    NO_SUCH_FOLD = Sentence("must be from 1 to folds ({folds}), found {fold}")
    NO_TRAINING_IMAGES = Sentence(
        "and `val_fraction` must leave images for training, found {total} together: make both smaller"
    )
    PATTERN_WITHOUT_GROUP = Sentence(
        "must have parentheses for what is the same in files of one group, found {pattern!r}: "
        "write for example `patient(\\d+)`"
    )
