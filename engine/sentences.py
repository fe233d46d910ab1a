"""What only the engine can find wrong, and how it reads. Groups are alphabetical; a code is `group.name`."""

from __future__ import annotations

from engine.contract.wire.sentences import Sentence


class Alarms:
    """What a run continues without, or with."""

    ARTIFACT_NOT_WRITTEN = Sentence(
        "{artifact} was not written: {reason}", "When that is fixed, `medtui report {run}` writes it."
    )
    AUC_UNDEFINED = Sentence("The validation AUC of epoch {epoch} is undefined: {reason}.")
    CHECKPOINT_ALTERED = Sentence("{file} does not hold what was written to it; {kept} are kept.", "Check the disk.")
    PREVIOUS_CHECKPOINT_USED = Sentence(
        "{trouble} Using the previous one: epoch {epoch}, step {step}.", "Check the disk."
    )
    TABLE_NOT_EXTENDED = Sentence("{table} cannot be extended: {reason}", "The missing rows follow once that is fixed.")


class Archive:
    CHANGED = Sentence("{path} changed while it was read.", "Try again when nothing is writing to it.")


class Arrays:
    """Of an .npz file with images of the user's own."""

    DAMAGED = Sentence("{path} is damaged or not an .npz archive: {reason}.", "Write it again.")
    NO_ARRAYS = Sentence(
        "{path}: expected the arrays `train_images`, `train_labels` and so on, or `images` and `labels`; "
        "found {found}.",
        "Save it with such names, by `numpy.savez_compressed`.",
    )
    NO_IMAGES = Sentence(
        "{path}: expected {name} as uint8 N×H×W or N×H×W×3, or uint16 N×H×W; found {found}.", "Convert it."
    )
    NO_LABELS = Sentence("{path}: expected {labels} next to {images}, found none.", "Add the labels.")
    OBJECTS = Sentence(
        "{path}: {name} holds Python objects, which are not read: they can run programs.", "Save plain numbers or text."
    )
    UNEVEN_LABELS = Sentence("{path}: expected as many labels per image in each split.", "Correct the labels.")
    WRONG_LABELS = Sentence(
        "{path}: expected {name} with a label for each of {images} images, found {found}.", "Correct the labels."
    )


class OwnImages:
    """Of images of the user's own."""

    CACHE_DAMAGED = Sentence("The converted images in {folder} cannot be read: {reason}.", "Remove that folder.")
    CACHE_UNWRITABLE = Sentence(
        "The cache folder {folder} cannot be written: {reason}.", "Set MEDTUI_CACHE to a writable folder."
    )
    DUPLICATES = Sentence(
        "{path}: {sets} images are in more than one split, exactly or nearly: {examples}.",
        "Remove them from one of the splits, or write `dataset.duplicates: drop`.",
    )
    EMPTY_SPLIT = Sentence(
        "{path}: expected two images or more for each split, found {counts}.",
        "Add images, change the fractions, or let the splits be made: a group is never divided.",
    )
    FOLDS_OF_GIVEN_SPLITS = Sentence(
        "{path}: expected images without a given validation or test split for dataset.folds, found both given.",
        "Remove `folds`, or leave the validation split to it.",
    )
    MISSING = Sentence("Expected a {what} at {path}, found none{why}.", "Correct dataset.{key}.")
    MIXED_FOLDERS = Sentence(
        "{path}: expected either folders of splits or folders of classes, found {splits} next to {others}.",
        "Move the others elsewhere, or all classes into train, val and test.",
    )
    NOT_BINARY = Sentence(
        "{path}: expected two classes (dataset.task), found {found}: {names}.", "Correct one of them."
    )
    NOT_ZERO_OR_ONE = Sentence("{path}: expected 0 or 1 in several columns of labels, found {found}.", "Correct them.")
    NOTHING_READABLE = Sentence("{path}: expected images, found none that can be read: {reason}.", "Check the files.")
    NO_CLASS_FOLDERS = Sentence(
        "{path}: expected a folder for each class, with images in it, or train, val and test with such folders; "
        "found none.",
        "Sort the images into folders, or name a table as dataset.csv.",
    )
    NO_SPACE = Sentence(
        "The converted images need {need} in {folder}, found {free} free.",
        "Free some space, or set MEDTUI_CACHE to another disk.",
    )
    NO_WORKER = Sentence(
        "A process that reads images ended before it began (exit code {code}).",
        "Check that Pillow and numpy can be imported: `python -m engine.data.own.worker`.",
    )
    ONE_CLASS = Sentence("{path}: expected two classes or more, found only {name}.", "Add images of another class.")
    ONE_LABEL = Sentence(
        "{path}: expected several columns of 0 and 1 (dataset.task is multi_label), found one label per image.",
        "Name the columns as dataset.label_columns, or correct the task.",
    )
    OTHER_DATA = Sentence(
        "{run} was trained on other images: {changed}.", "Restore the images as they were, or start a new run."
    )
    SEVERAL_LABELS = Sentence(
        "{path}: expected one label per image (dataset.task is {task}), found {columns} columns of 0 and 1.",
        "Name one of them as dataset.label_columns, or write `task: multi_label`.",
    )
    TOO_MANY_UNUSABLE = Sentence(
        "{path}: {unusable} of {files} files cannot be used, {percent} % of at most {most} %: {examples}.",
        "Correct or remove them, or raise dataset.max_unreadable.",
    )
    UNKNOWN_LABELS = Sentence(
        "{path}: expected the labels {given} (dataset.class_names), or numbers from 0; found also {found}.",
        "Correct the names or the labels.",
    )
    UNLISTED = Sentence("{path} cannot be read: {reason}.", "Check its permissions.")
    WRONG_COUNT = Sentence(
        "{path}: expected {found} class names, one for each column of labels; found {given}.",
        "Correct dataset.class_names.",
    )


class Table:
    """Of a table with images of the user's own."""

    NOT_TEXT = Sentence(
        "{path}: expected UTF-8 text, found an invalid byte at {position:,}.", "Save it as CSV in UTF-8."
    )
    NO_COLUMN = Sentence("{path}: expected a column {column!r}, found {columns}.", "Correct the recipe or the table.")
    NO_FILE_COLUMN = Sentence(
        "{path}: expected a column that names the files, such as `file` or `path`; found {columns}.",
        "Name it as dataset.path_column.",
    )
    NO_GROUP = Sentence(
        "{path}: expected dataset.group as one of the columns {columns}, or as a pattern with parentheses; "
        "found {group!r}.",
        "Correct it.",
    )
    NO_HEADER = Sentence(
        "{path}: expected a first line with the names of two columns or more, each once; found {found}.",
        "Add one; dataset.delimiter says what separates the columns.",
    )
    NO_IMAGES = Sentence(
        "{path}: expected rows that name files below {root}, found none. {example}.",
        "Correct the table, or name the folder that its paths are relative to as dataset.root.",
    )
    NO_LABEL_COLUMN = Sentence(
        "{path}: expected one column with the labels, such as `label` or `class`; found {columns}.",
        "Name it, or several of 0 and 1, as dataset.label_columns.",
    )
    TWO_ROWS = Sentence(
        "{path}, line {number}: {file} is named twice, with different labels, splits or groups.",
        "Remove one of the rows.",
    )
    UNEVEN = Sentence(
        "{path}, line {number}: expected {columns} values, as many as the first line has; found {found}.",
        "Correct the line; dataset.delimiter says what separates the columns.",
    )
    UNREADABLE = Sentence("The table {path} cannot be read: {reason}.", "Check its name and permissions.")
