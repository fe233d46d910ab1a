"""What both sides can find wrong, and how it reads. Groups are alphabetical; a code is `group.name`."""

from __future__ import annotations

from engine.contract.sentence import Sentence


class Checkpoint:
    DAMAGED = Sentence("{path} is damaged or not a checkpoint: found {found}.", "Use an earlier one.")
    UNREADABLE = Sentence("The checkpoint {path} cannot be read: {reason}.", "Check that it exists.")


class Commands:
    """Why the engine rejects a line of its client."""

    INVALID = Sentence("{reason}")
    INVALID_FIELD = Sentence("{field}: {reason}")
    TOO_LONG = Sentence("a line may be at most 1 MiB, found {size:,} bytes")
    UNKNOWN_JOB = Sentence("there is no job named {found!r}; known: {known}")


class Conflicts:
    """Fields of a recipe that do not agree with each other or with the data set. They follow the field's name."""

    ACCUMULATE = Sentence(
        "must be at most {most} for {images} training images in batches of {size}, found {found}: "
        "write `accumulate: {most}`"
    )
    ARCHIVE_OF_GENERATED = Sentence("cannot be used with {dataset}, which is generated: remove `archive`")
    BALANCED_TWICE = Sentence(
        "cannot be balanced with `sampling: balanced`, which corrects for rare classes already: "
        "write `class_weights: none`"
    )
    BATCH_SIZE = Sentence(
        "must be at most the {images} training images, found {found}: write `batch_size: {images}`",
    )
    COMPILE = Sentence("cannot be reproduced bit for bit: write `compile: false`")
    FLIP = Sentence("must be 0 for {dataset}: {reason}; write `{field}: 0`")
    FREEZE_SCRATCH = Sentence(
        "needs weights that were trained: set `model.pretrained`, `model.weights` or `training.init_from`, or write "
        "`freeze: null`"
    )
    FREEZE_STAGES = Sentence("must be at most {stages}, the stages of {model}, found {found}: write `freeze: {stages}`")
    INPUT_SIZE = Sentence(
        "must be at least dataset.size ({size}), found {found}: write `input_size: null`, or a smaller dataset.size"
    )
    MD5_WITHOUT_ARCHIVE = Sentence("is given without `archive`: name the file, or remove `md5`")
    MIN_LR = Sentence("must be below lr ({lr:g}), found {found:g}: write `min_lr: {instead:g}`")
    MIXUP_UNTIL = Sentence("must be at most epochs ({epochs}), found {found}: write `mixup_until: {epochs}` or null")
    MODEL_SIZE = Sentence("is {model}, which is for images {bounds} px, found {found}")
    MODEL_SIZE_INSTEAD = Sentence(
        "is {model}, which is for images {bounds} px, found {found}: "
        "write `name: {instead}`, which is designed for them"
    )
    NESTEROV = Sentence("needs SGD with momentum above 0, found {optimizer} with {momentum:g}: write `nesterov: false`")
    NO_BRANCHES = Sentence(
        "has no meaning for {model}, which has no residual branches to skip: write `stochastic_depth: null`"
    )
    NO_SOURCE = Sentence("must be the name of a data set, found nothing")
    NO_WEIGHTS = Sentence("is not possible: {model} has no published weights; write `false`")
    OF_OTHER_SOURCE = Sentence("belongs to {belongs_to}, but the source is `{source}`: remove it")
    PROCESSES_OF_BATCH = Sentence(
        "must be at most {most} for batches of {size} images, of which each process needs two, found {found}: "
        "write `processes: {most}`"
    )
    PROCESSES_ON_DEVICE = Sentence(
        "must be 1 with `device: {device}`, found {found}: write `processes: 1`, or `device: auto` for the first GPUs, "
        "or the CPU"
    )
    SAMPLING_OF_SETS = Sentence(
        "must be shuffled for {dataset}, whose images have several labels at once: write `sampling: shuffled`"
    )
    SIZE = Sentence("must be {expected} px for {dataset}, found {found}")
    SOURCES = Sentence("cannot be combined with `{source}`: a recipe has one source, so remove one of the two")
    SWA_START = Sentence("must be at most epochs ({epochs}), found {found}: write `swa_start: {epochs}` or null")
    SWA_WITH_EMA = Sentence(
        "cannot be combined with training.ema_decay, which is {decay:g}: one average is evaluated, so set one of the "
        "two to null"
    )
    TWO_STARTS = Sentence("cannot be combined with training.init_from: a run starts from one of the two")
    WARMUP_LENGTH = Sentence("must be below epochs ({epochs}), found {found}: write `warmup_epochs: {instead}`")
    WARMUP_WITH_ONE_CYCLE = Sentence("must be 0 with one_cycle, which has its own warm-up: write `warmup_epochs: 0`")


class DataFolders:
    """Where data set files are searched for and fetched from."""

    MIRROR = Sentence(
        "Expected an http or https address in MEDTUI_MIRROR, found {found}.",
        "Use one that serves the official files under their names, such as http://host/folder/; in a user name or "
        "password write : / ? # @ as %3A %2F %3F %23 %40.",
    )
    NO_FOLDER = Sentence(
        "Expected a folder for --data, found none at {folder}{why}.", "Pass the folder that holds the .npz files."
    )
    NO_HOME = Sentence("Expected a home folder for {folder}, found none.", "Pass --data FOLDER or set MEDTUI_DATA.")


class DataSets:
    """Published data sets, as commands name them."""

    SIZE = Sentence("{dataset} is available at {expected} px, found {found}.", "Pass one of these as --size.")
    UNKNOWN = Sentence("Expected a MedMNIST data set, found {found!r}; {alternatives}.", "See `medtui data list`.")


class Fields:
    """What is wrong with one field of a recipe. They follow its name."""

    INVALID = Sentence("must be {expected}, found {found}")
    NO_SECTION = Sentence("must have fields, as under `training:`, found {found}")
    UNKNOWN = Sentence("is unknown; {alternatives}")
    UNKNOWN_DATASET = Sentence("must be a known data set, found {found!r}; {alternatives}")
    UNKNOWN_MODEL = Sentence("must be a known model, found {found!r}; {alternatives}")


class Findings:
    """What stands out in a run: the message is what was seen, its name first; the hint is what to try."""

    AT_CHANCE = Sentence(
        "At chance level: the validation AUC is {auc:.3f} over the last {epochs} epochs while the training loss falls "
        "({first:.3g} to {last:.3g}), so what is learned does not generalise.",
        "Check that the labels belong to the images, and that both splits are of the same kind.",
    )
    LOSS_SPIKE = Sentence(
        "Loss spike: the training loss of epoch {epoch} is {loss:.3g}, expected below {level:.3g}, with the learning "
        "rate near its peak ({lr:.2g}).",
        "Lower {remedy}.",
    )
    NEVER_PREDICTED = Sentence(
        "Never predicted: {classes}, in the last {epochs} validations.",
        "Check that the training split has images of each class; training.class_weights: balanced helps rare ones.",
    )
    NON_FINITE_LOSS = Sentence(
        "Non-finite loss: {what}", "Lower training.lr, set training.clip_norm, or turn mixed precision off."
    )
    NOT_LEARNING = Sentence(
        "Nothing is learned: the validation AUC is at chance level ({auc:.3f} over the last {epochs} epochs), and the "
        "training loss does not fall ({first:.3g} to {last:.3g}).",
        "Change training.lr by a factor of ten, in most cases downwards.",
    )
    OVERFITTING = Sentence(
        "Overfitting: since epoch {epoch} the validation loss has risen ({before:.3g} to {now:.3g}) while the training "
        "loss has fallen ({train_before:.3g} to {train_now:.3g}).",
        "Train for fewer epochs, or raise training.weight_decay or the augmentation; the best epoch is kept.",
    )
    SLOWED = Sentence(
        "Slow epochs: {first} to {last} ran at {pace:,.0f} images/s, against the usual {usual:,.0f} of this run; "
        "training waits for input, or the machine is busy.",
        "Check where the data set's cache lies, dataset.cache, and what else runs there.",
    )
    STILL_RISING = Sentence(
        "Still rising at the end: the validation AUC gained {gain:.3f} over the last {epochs} epochs, to {auc:.3f}.",
        "Raise training.epochs.",
    )
    STOPPED_BEFORE_ANNEALING = Sentence(
        "Stopped before annealing: early stopping ended the run at epoch {epoch} of {planned}, with the learning rate "
        "still at {fraction:.0%} of its peak; the gain from annealing was missed.",
        "Raise training.patience, or lower training.epochs.",
    )
    UNDEFINED_AUC = Sentence(
        "Undefined AUC: in {n} of {epochs} validations, {reason}.",
        "Check that the validation split has images of each class.",
    )


class Hardware:
    """What is requested, by a recipe or on the command line, and this machine lacks."""

    NO_BFLOAT16 = Sentence(
        "training.amp is true, but this CPU has no bfloat16 units and would be slower.",
        "Write `amp: auto` or `amp: false`.",
    )
    NO_CUDA = Sentence("runtime.device is {device}, but this machine has no CUDA device.", "Write `device: auto`.")
    NO_FLOAT64 = Sentence(
        "runtime.device is mps, but training needs float64, which Metal does not support.",
        "Write `device: auto`, which uses the CPU on this machine.",
    )
    THREADS = Sentence(
        "runtime.threads is {threads}, found {found}: at most {per_core} threads per core.",
        "Omit `threads` for one per core.",
    )


class Lock:
    """Why training is not possible in a workspace."""

    FAILED = Sentence("Cannot lock {path}: {reason}.", "Choose another --workspace.")
    HELD = Sentence(
        "The workspace {workspace} is held by {holder}.", "Wait for it, stop it, or use another --workspace."
    )
    HELD_BY_OTHER_PROGRAM = Sentence(
        "The workspace {workspace} is held by {holder}.", "End that process, or use another --workspace."
    )
    HELD_WITHOUT_FILE = Sentence(
        "The workspace {workspace} is held by engine {pid}, whose lock file was removed.",
        "Wait for it, stop it, or use another --workspace.",
    )
    ITEM_HELD = Sentence("This run of {owner} is already being trained by {holder}.", "Wait for it, or stop it.")
    NOT_A_FILE = Sentence(
        "Cannot open the workspace lock {path}: {reason}.", "Remove what is there, or choose another --workspace."
    )
    NOT_OPENED = Sentence("Cannot open the workspace lock {path}: {reason}.", "{remedy}")
    OF_OTHER_USER = Sentence(
        "The workspace lock {path} is in your folder but belongs to {owner}.",
        "Remove it, and give write access to outputs/ only to those who may train there.",
    )
    RUNNER_GONE = Sentence(
        "The runner of {owner} no longer holds the workspace, which is held by {holder}.", "It starts the run again."
    )
    SLOT_HELD = Sentence(
        "The workspace {workspace} is held by {holder}, whose runner is gone.",
        "`{command}` continues with it; or wait for it, or stop it.",
    )
    UNSUPPORTED = Sentence(
        "The file system of {folder} cannot lock files ({reason}).", "Choose a --workspace on a local disk."
    )
    WORKSPACE_OF_OTHER_USER = Sentence(
        "The workspace {workspace} belongs to {owner}: you may not open {path}.",
        "Use your own --workspace, or share this one with your group (chmod g+ws outputs).",
    )


_DESCRIBED_AGAIN = "`medtui report RUN` makes that of a completed run again; of another one resuming the run does."


class ModelDescription:
    """The file next to a run's best weights that says what model they are of."""

    DAMAGED = Sentence(
        "{path} is damaged or not a model description: {where}: {reason}.",
        _DESCRIBED_AGAIN,
    )
    MISSING = Sentence("{run} has no model description any more ({path}).", "`medtui report {run}` makes it again.")
    NONE = Sentence(
        "{run} has no model description ({path}): it was trained by an earlier version, or had no validation yet.",
        "`medtui evaluate {run}` works without it.",
    )
    UNREADABLE = Sentence(
        "The model description {path} cannot be read: {reason}.",
        _DESCRIBED_AGAIN,
    )


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
        "must have parentheses around what files of one group have in common, found {pattern!r}: "
        "write for example `patient(\\d+)`"
    )


class Paths:
    NOT_UTF8 = Sentence("Expected a path in UTF-8, found {found}.", "Rename it, or choose another.")
    NO_CURRENT_FOLDER = Sentence("The current folder no longer exists.", "cd to one that does, or pass --workspace.")


class Recipes:
    """Recipes as a whole: finding one, and what is wrong with its values."""

    NOT_FOUND = Sentence(
        "There is no recipe named {found!r}, neither a file nor a shipped one; {alternatives}.",
        "`medtui recipe init my.yaml` creates one to start from.",
    )
    NO_FOLDER = Sentence(
        "Expected a recipe or a folder of images, found none at {found}: there is no such file or folder.",
        "Check the path.",
    )
    NO_RECIPE = Sentence(
        "Expected a recipe, a table, an archive or a folder of images, found {found}.",
        "A recipe ends in .yaml, .yml or .json, a table in .csv or .tsv, an archive in .npz.",
    )
    PROBLEM = Sentence(
        "{source}: {found}.",
        "Correct it and try again; `medtui recipe schema` lists the allowed values of every field.",
    )
    PROBLEMS = Sentence(
        "{source}: {found}.",
        "Correct them and try again; `medtui recipe schema` lists the allowed values of every field.",
    )
    OF_MANY = Sentence(
        "{source}: {found}.",
        "Correct {them} and try again; `medtui {kind} run --help` says what the file of a {kind} may have.",
    )
    OF_RUN_MISSING = Sentence(
        "The recipe of {run} is missing: there is no {path}.",
        "Put it back, or write it again by the values in manifest.json, below must_match of the newest attempt.",
    )
    SET = Sentence("Expected section.field=value, found {found!r}.", "For example training.lr=0.01.")
    SET_WITHOUT_SECTION = Sentence("Expected section.field=value, found {found!r}.", "Write {instead}.")
    UNREADABLE = Sentence("The recipe {name} cannot be read{why}.", "Choose another.")


class Runs:
    ALL_ARCHIVED = Sentence(
        "Every run in {folder} is archived.",
        "`medtui runs --archived` lists them, `medtui runs unarchive RUN` restores one.",
    )
    AMBIGUOUS_HASH = Sentence(
        "{count} runs have {word!r} as the beginning of their hash: {names}.", "Type more of the hash."
    )
    AMBIGUOUS_NAME = Sentence("{count} runs have {word!r} in their names: {names}.", "Type more of the name.")
    ARCHIVED = Sentence("{run} is archived.", "`medtui runs unarchive {run}` restores it.")
    COMPLETED = Sentence(
        "{run} is completed: there is nothing to resume.",
        "`medtui show` has its results; a new run of its recipe gets a new directory.",
    )
    NONE_YET = Sentence("There is no run in {folder} yet.", "`medtui run quickstart` starts one.")
    NOT_CREATED = Sentence("Cannot create the run directory {path}: {reason}.", "Free some space, or make it writable.")
    NOT_WRITABLE = Sentence(
        "{run} cannot be {action}: {reason}.", "Ask its owner, make it writable, or work on a copy of it."
    )
    NO_NAME = Sentence("Expected a run, found an empty name.", "Pass a run's name, or `last`.")
    OF_OTHER_WORKSPACE = Sentence(
        "Expected a run in {folder}, found {found}.", "Choose the --workspace whose outputs/ contains it."
    )
    UNKNOWN = Sentence("In {folder}, there is no run named {found!r}; {alternatives}.", "See `medtui runs`.")
    UNTRUSTED_ENTRY = Sentence(
        "{run} cannot be {action}: {reason}.",
        "A run may only contain regular files of yours; remove it, or copy the run without links.",
    )


class RunsFolder:
    """`outputs/` of a workspace."""

    LINK_BROKEN = Sentence("{folder} is a link to {target}: {reason}.", "Correct the link.")
    LINK_OF_OTHER_USER = Sentence(
        "{folder} is a link to {target} that belongs to {owner}, not to you.",
        "Remove it, or choose another --workspace.",
    )
    LINK_TO_OTHER_FILES = Sentence(
        "{folder} is a link to {target}, which contains something other than runs: {found}.",
        "Link to an empty folder, or remove the link.",
    )
    MISSING = Sentence("There is no runs folder: {reason}.", "Mount or create it, or remove the link.")
    NOT_A_FOLDER = Sentence(
        "Expected a runs folder at {folder}, found a file.", "Move it, or choose another --workspace."
    )
    NOT_CREATED = Sentence("Cannot create the runs folder {folder}: {reason}.", "{remedy}")
    NOT_WRITABLE = Sentence("Cannot write to the runs folder {folder}{owner}: {reason}.", "{remedy}")
    UNREADABLE = Sentence("The runs folder {folder} cannot be read: {reason}.", "Choose another --workspace.")


class Workspaces:
    NOT_FOUND = Sentence("Expected a workspace folder, found none at {folder}{why}.", "Create it, or choose another.")
    UNUSABLE = Sentence("The workspace {folder} cannot be used: {reason}.", "Choose another --workspace.")


class Yaml:
    """Text that is no recipe. `where` is a file, or a file and a line."""

    ALIAS = Sentence("{where}: anchors and aliases (& and *) are not supported.", "Write the value out.")
    CONTROL_CHARACTER = Sentence("{where}: control characters are not allowed, found #x{found:04x}.", "Remove it.")
    DUPLICATE_KEY = Sentence("{where}: {key} is given twice.", "Remove one of them.")
    EMPTY = Sentence("{where}: expected {what}, found an empty file.", "{remedy}")
    FOLDER = Sentence("{where}: expected the file of {what}, found a directory.", "Pass a .yaml file.")
    KEY = Sentence("{where}: expected a name as a key.", "Write `name: value`.")
    MERGE_KEY = Sentence("{where}: merge keys (<<) are not supported.", "Write the fields out.")
    NOT_SECTIONS = Sentence("{where}: expected names such as `{such}:`, found {found}.", "{remedy}")
    NOT_UTF8 = Sentence("{where}: expected UTF-8 text, found an invalid byte at {position}.", "Save as UTF-8.")
    NOT_YAML = Sentence("{where}: not YAML: {reason}.", "Correct the line.")
    SECOND_DOCUMENT = Sentence("{where}: expected one document, found a second.", "Remove the `---`.")
    TAG = Sentence("{where}: tags are not supported, found {found}.", "Write the plain value.")
    TEXT_TOO_LARGE = Sentence("{where}: expected at most 256 KiB of text.", "Check that it is a recipe.")
    TOO_DEEP = Sentence("{where}: nested deeper than {limit} levels.", "A recipe has sections and fields only.")
    TOO_LARGE = Sentence("{where}: expected at most 256 KiB, found {size:,} bytes.", "Check that it is a recipe.")
    UNREADABLE = Sentence("{where}: cannot be read: {reason}.", "Check its name and permissions.")
