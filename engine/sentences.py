"""What only the engine can find wrong, and how it reads. Groups are alphabetical; a code is `group.name`."""

from __future__ import annotations

from engine.contract.sentence import Sentence

_FETCH_OR_CORRECT = "Fetch the official file again, or correct this one."
_BY_HAND = "By hand: put {download} into one of these, or pass --data FOLDER."
_ANOTHER_DISK = "or choose {option} on another disk."
_ALLOW_DRIFT = "or pass --allow-drift, which marks the results."
_NO_COMPILER = "training.compile needs a working compiler, found none: {reason}."
_OR_NO_COMPILE = "or write training.compile: false."
_NO_REPORT_YET = "{run} is {state}: only a finished run has a report."


class Alarms:
    """What a run continues without, or with."""

    ARTIFACT_NOT_WRITTEN = Sentence(
        "{artifact} was not written: {reason}", "When that is fixed, `medtui report {run}` writes it."
    )
    AUC_UNDEFINED = Sentence("The validation AUC of epoch {epoch} is undefined: {reason}.")
    CHECKPOINT_ALTERED = Sentence("{file} does not hold what was written to it; {kept} are kept.", "Check the disk.")
    NOT_CALIBRATED = Sentence(
        "The model of {run} was not calibrated: {reason}", "`medtui predict` then gives its raw scores."
    )
    PREVIOUS_CHECKPOINT_USED = Sentence(
        "{trouble} Using the previous one: epoch {epoch}, step {step}.", "Check the disk."
    )
    TABLE_NOT_EXTENDED = Sentence("{table} cannot be extended: {reason}", "The missing rows follow once that is fixed.")


class Archive:
    """The file of a data set."""

    CHANGED = Sentence("{path} changed while it was read.", "Try again when nothing is writing to it.")
    DAMAGED = Sentence("{path} is damaged: {reason}.", "Fetch it again; if it is your own, write it again.")
    MISSING = Sentence("Expected the archive at {path}, found no file{why}.", "Correct dataset.archive.")
    NOT_AN_ARCHIVE = Sentence(
        "{path} is damaged or not an .npz archive: {reason}.", "Fetch it again; if it is your own, write it again."
    )
    NOT_FETCHED = Sentence(
        "{file} could not be fetched from {source}: {reason}.",
        "Try again, or download by hand, on another machine if necessary: {download} into {folder}.",
    )
    NOT_FOUND = Sentence(
        "{dataset} at {size} px needs {file}; looked in {searched}.",
        "`medtui data fetch {command}` fetches it. " + _BY_HAND,
    )
    NOT_FOUND_OFFLINE = Sentence(
        "{dataset} at {size} px needs {file}; looked in {searched}.",
        "Offline, nothing is fetched; `medtui data fetch {command}` without --offline and MEDTUI_OFFLINE fetches it. "
        + _BY_HAND,
    )
    NOT_OFFICIAL = Sentence(
        "{path} is not the official {file}: expected MD5 {expected}, found {found}.",
        "Fetch it again with `medtui data fetch {command} --replace`, or name it as dataset.archive with its md5 to "
        "use it as a different edition.",
    )
    NOT_THE_RECIPES = Sentence(
        "{path} is not the recipe's archive: expected MD5 {expected}, found {found}.",
        "If this is the intended file, write `md5: {found}`.",
    )
    OFFLINE = Sentence("Offline, nothing is fetched.", "Put {download} into {folder}.")
    UNIDENTIFIED = Sentence(
        "{path} is not the official {dataset} and dataset.md5 does not identify it.",
        "To use it as it is now, write `md5: {found}` next to `archive` in the recipe.",
    )
    UNREADABLE = Sentence("{path} cannot be read: {reason}.", "Check that it is a file, and its permissions.")


class Arrays:
    """What an archive holds."""

    HEADER = Sentence(
        "{path}: expected {array} as an .npy array, found an invalid header ({reason}).", _FETCH_OR_CORRECT
    )
    IMAGES = Sentence("{path}: expected {expected} {split} images, found {found}.", _FETCH_OR_CORRECT)
    IMAGES_SHAPE = Sentence("{path}: expected {array} of shape {expected}, found {found}.", _FETCH_OR_CORRECT)
    IMAGES_TYPE = Sentence("{path}: expected {array} as uint8, found {found}.", _FETCH_OR_CORRECT)
    LABELS_RANGE = Sentence(
        "{path}: expected {array} from 0 to {highest}, found {lowest_found} to {highest_found}.", _FETCH_OR_CORRECT
    )
    LABELS_SHAPE = Sentence("{path}: expected {array} of shape {expected}, found {found}.", _FETCH_OR_CORRECT)
    MISSING = Sentence("{path}: expected the array {array}, found none.", _FETCH_OR_CORRECT)
    NOT_INTEGERS = Sentence("{path}: expected {array} as integers, found {found}.", _FETCH_OR_CORRECT)
    SIZE = Sentence(
        "{path}: expected {array} of shape {shape} with a matching size, found {found:,} bytes declared.",
        _FETCH_OR_CORRECT,
    )
    TWICE = Sentence("{path}: expected each array once, found {found!r} twice.", _FETCH_OR_CORRECT)
    UNKNOWN = Sentence("{path}: expected only {expected}, found {found!r}.", _FETCH_OR_CORRECT)


class Bundles:
    """A model without its run."""

    MIXED_UP = Sentence(
        "{path} is not the file that model.json describes: expected the digest {expected}, found {found}.",
        "Copy both again, from one run.",
    )
    UNKNOWN_MODEL = Sentence(
        "{path} describes a model that this version does not know: {model!r}.", "Use the version that trained it."
    )


class Cache:
    """Decoded data sets."""

    DAMAGED = Sentence(
        "The decoded copy in {folder} was damaged ({reason}).",
        "It was removed; the archive is intact, and the next start decodes it again. Check the disk.",
    )
    DAMAGED_AND_KEPT = Sentence(
        "The decoded copy in {folder} is damaged ({damage}) and cannot be removed: {reason}.", "Remove it by hand."
    )
    DAMAGED_WHILE_WRITTEN = Sentence("{folder} was damaged while it was written: {reason}.", "Check the disk.")
    NOT_CREATED = Sentence("{folder} cannot be created: {reason}.", "Check what is there.")
    NOT_DECODED = Sentence("Decoding {path} into {folder} failed: {reason}.", "Free some space, or check the disk.")
    NO_SPACE = Sentence(
        "Decoding {path} needs {need:,} bytes in {folder}, found {free:,} free.",
        "Free some space, or set MEDTUI_CACHE to another disk.",
    )
    READ_ONLY = Sentence(
        "The cache folder {folder} cannot be written: {reason}.", "Set MEDTUI_CACHE to a writable folder."
    )


class Checkpoints:
    """What a run resumes from."""

    BEST_LOST = Sentence(
        "{path} does not hold the weights of epoch {epoch}, the best so far.",
        "Restore it, or start a new run.",
    )
    FORMAT = Sentence(
        "{path} does not fit this run: found the format {found!r} where {expected!r} is expected.",
        "Use an earlier one.",
    )
    NONE_TO_RESUME_FROM = Sentence(
        "{run} has best weights, but neither last.safetensors nor previous.safetensors to resume from.",
        "Restore one, or start a new run; training.init_from starts from the best weights.",
    )
    UNFIT = Sentence("{path} does not fit this run: found {found}.", "Use an earlier one.")


class Compiler:
    """Tried before a run that compiles its model."""

    CANNOT_LOAD = Sentence(
        _NO_COMPILER,
        "Set TORCHINDUCTOR_CACHE_DIR and TMPDIR to folders where programs may run (not mounted noexec), "
        + _OR_NO_COMPILE,
    )
    MISSING = Sentence(_NO_COMPILER, "Install g++ (or set CXX to a C++ compiler), " + _OR_NO_COMPILE)
    NO_SPACE = Sentence(
        _NO_COMPILER, "Set TORCHINDUCTOR_CACHE_DIR and TMPDIR to folders with free space, " + _OR_NO_COMPILE
    )


class Decisions:
    """What a run does of its own accord; logged."""

    AVERAGED_WEIGHTS = Sentence(
        "From epoch {epoch} on, validation, best and test use the mean of the weights since then (training.swa_start), "
        "with batch statistics recomputed; before that, the weights as trained."
    )
    BATCH_SIZE = Sentence("training.batch_size: auto is {size}: training takes about {needed}, with {free} free.")
    EARLY_STOP = Sentence("Stopped early after epoch {epoch}: {waited} without {better}; the best is epoch {best}.")
    EVALUATED_WEIGHTS = Sentence("The weights tested and exported are those {weights}.")
    FROM_FILE = Sentence("Training starts from the {weights}.")
    FROM_SCRATCH = Sentence("Training starts {weights}.")
    LIMITED_FILE_SYSTEM = Sentence("The file system of {folder} is limited: {reason}.")
    NEWEST_AS_BEST = Sentence(
        "No validation has chosen a best epoch: the newest weights (epoch {epoch}, step {step}), the only ones, are "
        "saved as best and tested."
    )
    NOTHING_TRAINED = Sentence("Stopped before the first step: nothing was trained.")
    NO_TEMPERATURE = Sentence("No temperature was fitted, so the model's probabilities are its scores. {reason}")
    NOT_TESTED = Sentence("The test split is neither loaded nor evaluated (evaluation.test: false).")
    OTHER_HARDWARE = Sentence(
        "The hardware differs from the last attempt: {changes}. The run continues, as it is not strict; the last bits "
        "of its results may differ."
    )
    SCORES_AGAIN = Sentence("The scores are computed again: {reason}")
    TABLE_AGAIN = Sentence("{table} does not hold what the run recorded: it is written again.")
    PROCESSES = Sentence("{processes} processes train this run together; CPU threads of each: {threads}.")
    TIME_USED_UP = Sentence("The time budget (runtime.max_minutes) is used up; training ends here.")
    WITH_DRIFT = Sentence("The run continues although this changed: {changes}. Its results are marked.")


class Devices:
    """What a recipe asks of the machine."""

    NOT_FOUND = Sentence("runtime.device is {expected}, found {found}.", "Write `device: auto`.")
    FEWER_THAN_PROCESSES = Sentence(
        "runtime.processes is {expected}, found {found} CUDA device{s}: each process needs one.",
        "Write `processes: {found}`, or `device: cpu`.",
    )
    RANKS_ADDRESS = Sentence(
        "MEDTUI_RANKS is {found}, expected HOST:PORT, where the first process of a run is found.",
        "Correct it, or unset it for processes of this machine alone.",
    )
    NOT_MIXED = Sentence("training.amp is true, but {reason}.", "Write `amp: auto` or `amp: false`.")


class Downloads:
    """Why a file could not be fetched; the words end the sentence that says which."""

    ADDRESS = Sentence("the address on {host} is not valid")
    ANSWERED = Sentence("{host} answered {status}{reason}")
    CERTIFICATE = Sentence("the certificate of {host} is not trusted ({reason})")
    CUT = Sentence("the connection was cut after {done:,} of {total:,} bytes")
    CUT_BECAUSE = Sentence("the connection was cut ({reason})")
    DIGEST = Sentence("expected {algorithm} {expected}, found {found} ({size:,} bytes{what})")
    HOST_NAME = Sentence("the host name {host} cannot be resolved ({reason})")
    NOT_WRITABLE = Sentence("{folder} cannot be written: {reason}")
    NO_CONNECTION = Sentence("no connection to {host} within {seconds:g} s")
    NO_DATA = Sentence("no data from {host} within {seconds:g} s")
    NO_SPACE = Sentence("it needs {need} in {folder}, found {found} free")
    REDIRECTS = Sentence("{host} redirects more than {count} times")
    RETRY_LATER = Sentence("{reason}, and asks to wait {minutes:.0f} minutes")
    TOO_LARGE = Sentence("expected at most {expected:,} bytes, found {found:,} or more")
    TOO_SLOW = Sentence(
        "{host} sends {found:.0f} bytes per second, expected at least {expected:,.0f} over {seconds:g} s"
    )
    UNREACHABLE = Sentence("{host} cannot be reached ({reason})")
    WEB_PAGE = Sentence("expected {algorithm} {expected}, found {found} ({size:,} bytes{what}, a web page)")


class Drift:
    """What keeps a run from being resumed as it began."""

    CHANGED = Sentence("{run} would not continue as it began: {changes}.", "Restore these, " + _ALLOW_DRIFT)
    UNKNOWN = Sentence(
        "{run} cannot continue as it began: its manifest.json, which says what must match, cannot be read.",
        "Restore the file, " + _ALLOW_DRIFT,
    )


class Evaluation:
    NEIGHBOURS = Sentence(
        "Expected at most {images} neighbours, as many as there are training images; found {found}.", "Lower --knn."
    )
    NOT_CREATED = Sentence("Cannot create {folder}: {reason}.", "Make the run directory writable.")
    NOT_FINITE = Sentence(
        "The features of {run} on its {split} split are not finite.",
        "Its weights diverged: train with a lower learning rate.",
    )
    NO_WEIGHTS = Sentence("{run} has no best weights at {path}.", "A run has them after its first validation.")
    OTHER_WEIGHTS = Sentence(
        "{path} does not hold the weights that {run} recorded as its best: expected the digest {expected}, found "
        "{found}.",
        "Put the run's own file back.",
    )


class Exploring:
    """A source of images, and the model that looks at its labels."""

    OTHER_CHANNELS = Sentence(
        "Expected images of {expected} channels, as the model takes them; found {found}.", "Choose another --run."
    )
    OTHER_CLASSES = Sentence(
        "Expected the classes of the model, {expected}; found {found}.", "Choose a run that was trained on these."
    )


class Exports:
    """A model for other programs."""

    DIFFERS = Sentence(
        "{file} does not give the scores of PyTorch on the test split: they differ by {found:.2g}, expected at most "
        "{limit:.0g}. Nothing was written.",
        "Report it with the versions that `medtui doctor` shows; --format leaves a format out.",
    )
    EXISTS = Sentence("{folder} already exists.", "Choose another --output, or pass --force to replace its files.")
    NOT_AN_EXPORT = Sentence("{folder} is not an exported model, so it is not replaced.", "Choose another --output.")
    NO_ONNX = Sentence(
        "An ONNX file needs the extra medtui[export]: {packages} cannot be found.",
        "`pip install 'medtui[export]'`, or pass --format torch.",
    )
    UNWRITABLE = Sentence("The model cannot be written to {folder}: {reason}.", "Choose another --output.")


class Failure:
    """What ends a job. `again` is how to go on: resume, or try again."""

    COMPILER = Sentence(
        "The compiler of training.compile failed: {reason}.",
        "Write training.compile: false, or see `medtui doctor` for what the compiler lacks.",
    )
    DISK_FULL = Sentence("The disk is full: {reason}.", "Free some space and {again}.")
    FILE = Sentence("A file could not be read or written: {reason}.", "{remedy} and {again}.")
    GPU = Sentence("The GPU or its driver failed: {reason}.", "Check it, and {again}.")
    INTERNAL = Sentence("Internal error: {error}: {reason}.", "run.log has the traceback; please report it.")
    INTERNAL_WITHOUT_LOG = Sentence(
        "Internal error: {error}: {reason}. It was raised in {where}.", "Please report it with this line."
    )
    MEMORY = Sentence("The machine ran out of memory.", "Lower training.batch_size, or set dataset.cache: mapped.")
    MEMORY_LIMIT = Sentence(
        "Out of memory: this job is limited by {limit}.", "Lower training.batch_size, or set dataset.cache: mapped."
    )
    NON_FINITE_LOSS = Sentence(
        "The loss became {loss} at step {step} of epoch {epoch}.",
        "Lower training.lr, set training.clip_norm, or turn mixed precision off.",
    )
    NOT_ALLOWED = Sentence("You may not read or write a file: {reason}.", "Choose another --workspace.")
    NOT_ALLOWED_AT = Sentence("You may not read or write {path}{owner}: {reason}.", "{remedy}")
    PROCESS_LOST = Sentence(
        "Process {rank} of the {processes} of this run ended ({how}), and the run with it.",
        "run.log may say why. Resume the run.",
    )
    PROCESS_UNREACHABLE = Sentence(
        "The {processes} processes of this run lost their connection.", "run.log may say why. Resume the run."
    )
    SYSTEM = Sentence("The system could not be queried: {reason}.", "Check /proc, and {again}.")
    THREADS = Sentence("The machine cannot start more threads: {reason}.", "{remedy} and {again}.")


class Images:
    """What `predict` is given."""

    LABELS = Sentence(
        "{path}: expected {array} with {images} labels from 0 to {highest}, found {found}.",
        "Correct them.",
    )
    LIST = Sentence("The list of images {path} cannot be read: {reason}.", "Try again.")
    NONE = Sentence("Expected images, found none{ignored}.", "Name image files, folders, patterns or an .npz file.")
    NOTHING_READABLE = Sentence("No image can be read, of {count:,} given: {examples}.", "Check the files.")
    NOT_AN_ARCHIVE = Sentence("{path} is damaged or not an .npz archive: {reason}.", "Write it again.")
    NO_FILE = Sentence("{path} does not exist.", "Check its name.")
    NO_FILE_COLUMN = Sentence(
        "{path}: expected a column that names the image files, such as `file` or `path`; found {columns}.",
        "Rename the column.",
    )
    NO_ARRAY = Sentence(
        "{path}: expected the array `test_images` or `images`, found {found}.",
        "Save it with such a name, by `numpy.savez_compressed`.",
    )
    NO_HEADER = Sentence(
        "{path}: expected a first line with the names of its columns, each once; found {found}.",
        "Write one above the rows, such as `file` or `file,label`.",
    )
    NO_IMAGES = Sentence(
        "{path}: expected {array} as uint8 N×H×W or N×H×W×3, or uint16 N×H×W; found {found}.", "Convert it."
    )
    UNEVEN = Sentence(
        "{path}, line {number}: expected {columns} values, as many as the first line has; found {found}.",
        "Correct the line.",
    )
    UNREADABLE = Sentence("{image} cannot be read: {reason}.", "Check it, or leave it out.")


class InitFrom:
    """The run that another one starts from, by training.init_from."""

    CHANGED = Sentence("{path} changed while it was read.", "Wait until that run has ended.")
    GONE = Sentence(
        "this run started from {source}, which is neither at {folder} nor in {outputs}.",
        "Restore it, or start a new run.",
    )
    NO_OTHER_RUN = Sentence("there is no other run in {outputs}.", "Name a run.")
    UNUSABLE = Sentence("training.init_from: {cause.message}", "{cause.hint}")


class Libraries:
    """Packages that cannot be imported."""

    ENGINE = Sentence(
        "The engine's libraries cannot be imported: {error}: {reason}.",
        "Install torch again: `{python} -m pip install --force-reinstall torch`.",
    )
    ENGINE_WITH_VARIABLES = Sentence(
        "The engine's libraries cannot be imported: {error}: {reason}.",
        "Unset {variables}, or install torch again: `{python} -m pip install --force-reinstall torch`.",
    )
    NO_ADDRESS_SPACE = Sentence(
        "The memory limit of this process (RLIMIT_AS) is too small to load the engine's libraries: {limit}; {reason}.",
        "Raise it, as by `ulimit -v unlimited`, and {again}.",
    )
    NOT_LOADED = Sentence(
        "A part of the installation cannot be loaded: {reason}.", "Reinstall its package and {again}."
    )
    NO_PANDAS = Sentence("A data frame needs the extra medtui[pandas].", "`pip install 'medtui[pandas]'`.")
    NO_TIMM = Sentence("A timm model needs the extra medtui[timm].", "`pip install 'medtui[timm]'`.")
    REPORT = Sentence(
        "A run needs {package} for its evaluation and report, but it cannot be imported: {reason}.",
        "Reinstall it: `{python} -m pip install --force-reinstall {package}`.",
    )


class Models:
    """A trained model in a program."""

    NO_RUN = Sentence(
        "{folder} is a model without its run, so it has no metrics and no history.", "Load the run that it comes from."
    )


class ModelWeights:
    """What a model starts from."""

    DAMAGED = Sentence("{path} is damaged or holds more than tensors: {reason}.", "Fetch it again.")
    FILE_DAMAGED = Sentence(
        "model.weights: {path} is damaged or holds more than tensors: {reason}.",
        "Save its state dict again, with torch.save or as .safetensors, or name another file.",
    )
    FILE_NOT_TENSORS = Sentence(
        "model.weights: expected named tensors in {path}, found {found}.",
        "Save the model's state dict, or name another file.",
    )
    DIGEST = Sentence(
        "{path} is damaged or another file: its SHA-256 begins with {found}, expected {expected}.",
        "Remove it; the next run fetches it again.",
    )
    MISSING = Sentence(
        "Pretrained weights need {file} in {folder}, found no such file{why}.",
        "Start from scratch with `model.pretrained=false`, put {url} there, or set TORCH_HOME.",
    )
    FROZEN_SCRATCH = Sentence(
        "training.freeze needs weights that were trained, but training would start {weights}.",
        "Make them available, or write `freeze: null`.",
    )
    NONE_PUBLISHED = Sentence("There are no ImageNet weights for {model}.", "Write `model.pretrained=false`.")
    NOTHING_FITS = Sentence(
        "Nothing in {path} fits this model: expected weights such as {expected}, found {found}.",
        "Choose the model that they belong to.",
    )
    NOT_FETCHED = Sentence(
        "{file} could not be fetched from {source}: {reason}.",
        "Try again, put {url} into {folder} by hand, or start from scratch with `model.pretrained=false`.",
    )
    NOT_TENSORS = Sentence("Expected named tensors in {path}, found {found}.", "Fetch it again.")
    NO_FILE = Sentence("model.weights: expected a file at {path}, found none{why}.", "Correct the path.")
    OTHER_FAMILY = Sentence("{path} is not a {family}: {stem} does not fit.", "Remove it, so that it is fetched again.")
    TIMM = Sentence(
        "timm did not provide the weights of {model}: {reason}.",
        "Try again, or start from scratch with `model.pretrained=false`.",
    )
    TORCH_TOO_OLD = Sentence(
        "Reading {path} safely needs torch 2.10 or newer, found {found}.",
        "Upgrade torch, or write `pretrained: false`.",
    )
    UNFIT = Sentence("The weights of {path} do not fit this model: {names} differ.", "Use the model they belong to.")
    UNREADABLE = Sentence("{path} cannot be read: {reason}.", "Make it readable.")


class OwnArrays:
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
        "{path}: {name} holds Python objects, which are not read: they can execute code.", "Save plain numbers or text."
    )
    UNEVEN_LABELS = Sentence(
        "{path}: expected the same number of labels per image in each split.", "Correct the labels."
    )
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
        "{path}: expected no duplicates across splits, exact or near; found {sets}: {examples}.",
        "Remove them from one of the splits, or write `dataset.duplicates: drop`.",
    )
    EMPTY_SPLIT = Sentence(
        "{path}: expected two images or more for each split, found {counts}.",
        "Add images, change the fractions, or leave the splits to medtui; a group is never divided.",
    )
    FOLDS_OF_GIVEN_SPLITS = Sentence(
        "{path}: expected at most one of the validation and test splits given with dataset.folds, found both.",
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
        "A process that reads images ended as it started (exit code {code}).",
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
        "{path}: {unusable} of {files} files cannot be used ({percent} %, at most {most} % allowed): {examples}.",
        "Correct or remove them, or raise dataset.max_unreadable.",
    )
    UNKNOWN_LABELS = Sentence(
        "{path}: expected the labels {given} (dataset.class_names), or numbers from 0; also found {found}.",
        "Correct the names or the labels.",
    )
    UNLISTED = Sentence("{path} cannot be read: {reason}.", "Check its permissions.")
    WORKER_DIED = Sentence(
        "Two processes that convert {path} ended before they were done (exit code {code}).",
        "Check the machine's memory and the kernel's log, then start the run again: it continues with the parts left.",
    )
    WRONG_COUNT = Sentence(
        "{path}: expected {found} class names, one for each column of labels; found {given}.",
        "Correct dataset.class_names.",
    )


class Packing:
    """Archives that are made, or put in place."""

    EXISTS = Sentence("{path} already exists.", "Choose another file, or pass --force to replace it.")
    NOT_OFFICIAL = Sentence(
        "{path} is not an official file: its MD5 is {found}, expected {expected}.",
        "Fetch it again; `medtui data export` packs images of your own.",
    )
    NO_SPACE = Sentence(
        "{path} may need {need} in {folder}, found {free} free.", "Free some space, or choose another folder."
    )
    UNWRITABLE = Sentence("Cannot write {path}: {reason}.", "Choose another file.")


class Reports:
    RUN_ENDED = Sentence(_NO_REPORT_YET, "`medtui run --resume {run}` continues it and ends with its report.")
    RUN_GOES_ON = Sentence(
        _NO_REPORT_YET, "Wait for it to end, or end it with `medtui stop {run}`; it then writes its report."
    )
    TABLE_UNWRITABLE = Sentence("Cannot write {path}: {reason}.", "Choose another file, or free some space.")


class ScoreFile:
    """A result file of the official evaluator."""

    CLASSES = Sentence(
        "{path}: expected {expected} scores per line, found {found}.", "Check that it is from this data set."
    )
    INDEX_TWICE = Sentence(
        "{path}, line {number}: expected {expected} scores and each index once, found index {index} twice.",
        "Correct it.",
    )
    INDICES = Sentence(
        "{path}: expected the indices 0 to {last}, found {found} different ones.", "Check that it is from this split."
    )
    LIMITED = Sentence(
        "{name!r} holds only part of the split (dataset.limit), so it cannot be scored officially.",
        "Run without the limit.",
    )
    LINE = Sentence("{path}, line {number}: expected an index and scores: {reason}.", "Correct it.")
    NAME = Sentence(
        "Expected a name such as breastmnist_test_[AUC]0.913_[ACC]0.846@run.csv, found {found!r}.",
        "It starts with the data set, its size if not 28, and the split ({splits}).",
    )
    NOT_NUMBERS = Sentence("{path}: expected lines of comma-separated numbers: {reason}.", "Correct it.")
    OWN_IMAGES = Sentence(
        "Results of your own images ({images}) cannot be scored without the images' labels.",
        "`medtui evaluate {run}` evaluates the run again, from its images.",
    )
    UNREADABLE = Sentence("The result file {path} cannot be read: {reason}.", "Check its name.")
    WIDTH = Sentence(
        "{path}, line {number}: expected {expected} scores and each index once, found {found} scores.", "Correct it."
    )


class Space:
    """What a job needs on disk. `job` begins the sentence: `A report`."""

    FILE_SIZE = Sentence(
        "A checkpoint of this run takes about {need}, but `ulimit -f` limits files to {limit}.",
        "Raise it (`ulimit -f unlimited`), or choose a smaller model.",
    )
    NO_BYTES = Sentence("{job} needs about {need} in {folder}, found {free} free.", "Free some space, " + _ANOTHER_DISK)
    NO_FILES = Sentence(
        "{job} needs about {need} files in {folder}, found {free:,} inodes free.",
        "Delete some files, " + _ANOTHER_DISK,
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
    NO_ROWS = Sentence("{path}: expected a row for each image, found a header without rows.", "Add the rows.")
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


class Uncalibrated:
    """Why a model has no temperature, so that its probabilities are its scores."""

    ALL_RIGHT = Sentence(
        "The model is right about all {images} validation images, so they cannot show how sure it may be."
    )
    BEYOND = Sentence(
        "The temperature that fits the {images} validation images best lies beyond {lowest} to {highest}, so they "
        "define none."
    )
    FEW = Sentence("Fitting a temperature needs {fewest} validation images; the run had {images}.")
    NOT_FINITE = Sentence("The model's scores of the validation images are not all finite.")
