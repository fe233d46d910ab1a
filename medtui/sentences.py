"""What only the console side can find wrong, and how it reads. Groups are alphabetical; a code is `group.name`."""

from __future__ import annotations

from engine.contract.sentence import Sentence

_LOWER_MEMORY = "Lower training.batch_size, set dataset.cache: mapped, or request more memory."


class CommandLine:
    """What was typed in a shell."""

    DETACH_CONFLICT = Sentence(
        "--detach conflicts with runtime.on_disconnect: stop.", "Set it to `auto` or `continue`, or drop --detach."
    )
    INTERNAL = Sentence("Internal error: {kind}: {reason}.")
    JSON_WITHOUT_COMMAND = Sentence(
        "--json needs a command: the console prints no JSON.", "Name one, such as medtui --json runs."
    )
    NO_RESULT = Sentence("The command ended without a result.", "Try again.")
    NO_RESULT_FILE = Sentence("Expected a result file, found none at {path}{reason}.", "Check the path.")
    NO_SUCH_OPTION = Sentence("`{command}` has no option --{option}.", "Remove it; see {command} --help.")
    NO_TERMINAL = Sentence("The console needs a terminal.", "`medtui run RECIPE` trains without one.")
    OUTPUT_FAILED = Sentence("The output cannot be written: {reason}.", "Free some space, or write elsewhere.")
    RECIPE_EMPTY = Sentence("Expected a recipe, found an empty name.", "Check that the shell variable is set.")
    SEVERAL_RECIPES = Sentence("Expected one recipe, found {number}: {recipes}.", "Name one of them.")
    SYNTAX = Sentence("{reason}.", "See --help.")  # in the words of the parser of options
    UNKNOWN_COMMAND = Sentence("There is no {what} named {found!r}; {alternatives}.", "See {command} --help.")
    UNKNOWN_OPTION = Sentence("There is no option named {found!r}; {alternatives}.", "See {command} --help.")
    UNSUITABLE_TERMINAL = Sentence(
        "The console cannot run in this terminal: {terminal}.", "{remedy} `medtui run RECIPE` trains without a console."
    )
    WAIT_INTERRUPTED = Sentence(
        "Interrupted while waiting for the workspace {path}, held by {holder}.", "Nothing was started."
    )


class Comparison:
    """A comparison of runs that is exported."""

    TOO_MANY = Sentence("{path} already holds {limit} comparisons of today.", "Move some of them away.")
    UNWRITABLE = Sentence("Cannot write {path}: {reason}.", "Make the folder writable, or free some space.")


class Console:
    """Why the console starts no run."""

    HELD_BY_ANOTHER = Sentence("The workspace is held by {holder}.", "{key} attaches to its run.")
    READ_ONLY = Sentence("This console is read-only.")
    TRAINING = Sentence("This console is already training; stop that run first.")


class Control:
    """Commands and signals to the engine of a run."""

    COMMAND_TOO_LONG = Sentence("Expected a command of at most {limit} bytes, found {found}.", "Shorten it.")
    ENGINE_GONE = Sentence(
        "The engine of run {run} is gone and accepts no commands.", "`medtui run --resume {run}` resumes it."
    )
    ENGINE_UNKNOWN = Sentence("Run {run} does not name its engine.", "Check {path}.")
    HALF_WRITTEN = Sentence("The command could not be fully written to {path}.", "Free some space.")
    NO_DIRECTORY_YET = Sentence(
        "The newest run has no directory yet: {holder}.", "Try again in a moment, or name a run."
    )
    NO_ENGINE = Sentence("Run {run} has no engine to end.", "See `medtui show {run}`.")
    NO_ID_YET = Sentence("The {holder} has not reported its id.", "`medtui kill last` ends it.")
    NOT_AN_ENGINE = Sentence(
        "Process {pid}, named in the run's status.json, is not an engine of this workspace: not signalled.",
        "That file names the wrong process.",
    )
    NOT_LISTENING = Sentence("The engine no longer listens.")
    OTHER_MACHINE = Sentence("Signals cannot reach an engine on another machine.", "Abort it instead.")
    RUN_OVER = Sentence("Run {run} is over: {outcome}.", "See `medtui show {run}`.")
    UNWRITABLE = Sentence("Cannot write to {path}{owner}: {reason}.", "Only the owner of the engine may command a run.")


class DataFiles:
    """The files of data sets, as `medtui data` lists them."""

    GENERATED = Sentence("{name} is generated and needs no file.", "`medtui run --dataset {name}` trains on it.")
    NONE_FOUND = Sentence("No file of any data set was found.", "`medtui data list` shows what is on disk.")
    NOT_FOUND = Sentence("No file of {name} was found.", "`medtui data list` shows what is on disk.")


class Disk:
    NOT_RESPONDING = Sentence(
        "The disk of {where} does not respond: no read or write completed for {seconds:g} s.",
        "Check the disk or its server. Signals still reach the engine; `ps` shows its pid.",
    )
    NO_TEMPORARY_FOLDER = Sentence("Expected a writable temporary folder, found none: {reason}.", "Set TMPDIR to one.")


class EngineDeath:
    """How an engine ended that did not report its end."""

    EXITED = Sentence("The engine died (exit code {code}).")
    KILLED = Sentence("The engine died (signal {signal}).")
    MACHINE_MEMORY = Sentence(
        "The engine died (signal {signal}): the machine ran out of memory, and the kernel killed it.", _LOWER_MEMORY
    )
    MEMORY_LIMIT = Sentence(
        "The engine died (signal {signal}): the kernel killed it at its memory limit, {limit}.", _LOWER_MEMORY
    )
    NEAR_MEMORY_LIMIT = Sentence(
        "The engine died (signal {signal}): its memory limit, {limit}, was nearly reached ({peak}).", _LOWER_MEMORY
    )
    PIPE_CLOSED = Sentence("The engine closed its pipe but is still running.")
    UNREPORTED = Sentence("The engine process disappeared without reporting.")


class EngineStart:
    COMMAND_TOO_LONG = Sentence("Expected a command of at most 1 MiB, found {found:,} bytes.", "Shorten it.")
    IMPOSSIBLE = Sentence("Cannot start an engine in {path}{reason}.", "Choose another --workspace.")


class Filter:
    """A filter over runs that cannot be understood."""

    NO_ORDER = Sentence("{name} cannot be compared with {sign}.", "{name}: finds a part of it, {name}= all of it.")
    NO_VALUE = Sentence("Expected a value after {term}, found none.", "Write it without a space between.")
    NUMBER = Sentence("Expected a number after {term}, found {found!r}.", "Write one such as 0.9 or 1e-3.")
    SEVERAL = Sentence("Expected one value after {term}, found {found!r}.", "Alternatives go with : or = only.")
    UNKNOWN_NAME = Sentence(
        "There is no field named {found!r}; {alternatives}.", "Double quotes make the term a text to search for."
    )
    YES_NO = Sentence("Expected yes or no after {term}, found {found!r}.", "Write one of the two.")


class Following:
    """A run that is watched through its files."""

    STATUS_UNREADABLE = Sentence(
        "Expected the status of run {run} in {path}, found nothing readable; a live engine replaces it every second, "
        "so none seems to be running.",
        "`medtui run --resume {run}` resumes the run.",
    )
    UNSEEN = Sentence("The engine of run {run}: {seen}.", "Check on its host.")  # `not seen since …`


class Job:
    """A short job of an engine: evaluate, report, fetch, verify, score."""

    ABORTED = Sentence("The job was aborted.", "Start it again.")
    CANCELLED = Sentence("The job was cancelled.", "Start it again.")


class Listing:
    """How `medtui runs` lists runs."""

    CSV_OR_JSON = Sentence("Expected one of --csv and --json, found both.", "Drop one of them.")
    NO_COLUMNS = Sentence("Expected names of columns after --columns, found none.", "Known: {known}.")
    NO_SUCH_COLUMN = Sentence("There is no column named {found!r}; {alternatives}.", "See medtui runs --help.")


class Management:
    """Runs that are archived or deleted."""

    ARCHIVE_EMPTY = Sentence("No runs in {path}.", "`medtui runs archive RUN` moves one there.")
    DELETE_FAILED = Sentence("Cannot delete {path}: {reason}.", "Delete the rest by hand.")
    DELETE_UNCONFIRMED = Sentence("Deleting {run} needs confirmation on a terminal.", "--yes deletes without asking.")
    HOLDS_WORKSPACE = Sentence("{run} holds the workspace: {lock}.", "Stop it first.")
    MAY_RUN = Sentence("{run} may be running on another host.", "Stop it first.")
    MOVE_FAILED = Sentence("Cannot move {run} to {path}: {reason}.", "Move it by hand.")
    NAME_DIFFERS = Sentence("The name does not match: nothing was deleted.")
    NOT_ARCHIVED = Sentence("{path} is not archived.", "`medtui runs --archived` lists archived runs.")
    NOT_A_FOLDER = Sentence("Expected a folder at {path}, found a file or a link.", "Remove it, or move it away.")
    NOT_HERE = Sentence("Expected a run in {path}, found {found}.", "Pass the --workspace whose outputs/ contains it.")
    RUNNING = Sentence("{run} is running.", "Stop it first.")
    TARGET_EXISTS = Sentence("{path} already exists.", "Rename one of the two.")


class Notify:
    """The settings of `notify`, and a notification that did not arrive. No sentence quotes an address or a command's
    arguments: they may hold a secret."""

    COMMAND = Sentence(
        "{source}: expected notify.command to be a list of texts such as [/home/me/bin/page, me], found {found}."
    )
    COMMAND_FAILED = Sentence("The notify command {program} {reason}.", "Check notify.command in {settings}.")
    DESKTOP = Sentence("{source}: expected notify.desktop to be true or false, found {found}.")
    ON = Sentence("{source}: expected notify.on to be a list of {known}, found {found}.")
    POST_FAILED = Sentence("{host} did not take the notification: {reason}.", "Check notify.url in {settings}.")
    SHAPE = Sentence("{source}: expected notify to be true, false, or the fields {known}, found {found}.")
    UNKNOWN = Sentence("{source}: notify.{name} is unknown; known are {known}.")
    URL = Sentence("{source}: expected notify.url to be an http or https address, found {found}.")


class Predicting:
    """Images, and the file with what they were predicted to be."""

    EXISTS = Sentence("{path} already exists.", "Choose another name, or pass --force to replace it.")
    NO_IMAGES = Sentence(
        "Expected images, found none.", "Name files, folders, patterns or an .npz file; `-` reads names."
    )
    UNWRITABLE = Sentence("Cannot write {path}: {reason}.", "Choose a writable location.")


class Pruning:
    """Checkpoints that are removed."""

    BEST_WEIGHTS = Sentence("Nothing was removed from {run}: {reason}.", "Check the disk.")
    DECLINED = Sentence("Not confirmed: nothing was removed.")
    REMOVE_FAILED = Sentence("Cannot remove {path}: {reason}.", "Remove it by hand, or make it writable.")
    UNCONFIRMED = Sentence(
        "Removing checkpoints needs confirmation on a terminal.",
        "--yes removes them without asking; --dry-run lists them.",
    )


class RecipeFile:
    """A recipe that `medtui recipe init` writes."""

    EXISTS = Sentence("{path} already exists.", "Choose another file name.")
    UNWRITABLE = Sentence("Cannot write {path}: {reason}.", "Choose a writable location.")


class RecipeText:
    """A recipe that is edited in the console."""

    LAYOUT = Sentence("{field} cannot be changed in this layout.", "Change it in the text.")
    NO_SECTIONS = Sentence("Expected sections with fields, found something else.", "Correct the text first.")
    NO_YAML = Sentence("Not valid YAML: {reason}.", "Correct the text first.")


class Smoke:
    """The test of this machine."""

    ARTIFACT_MISSING = Sentence("{path} was announced but does not exist.", "Check the disk of the temporary folder.")
    NOT_COMPLETED = Sentence("Expected a completed run, found {outcome}.", "`medtui doctor` may show why.")
    RESULTS_DIFFER = Sentence(
        "The saved weights give different results when evaluated again.", "Check memory and disk."
    )


class Tagging:
    """Tags and note of a run."""

    NOTE_ENCODING = Sentence("Expected a note in UTF-8, found other bytes.", "Enter it again.")
    NOTE_TOO_LONG = Sentence("Expected a note of at most {limit:,} characters, found {found:,}.", "Shorten it.")
    NO_SUCH_TAG = Sentence("{run} has no tag {tag!r}; it has {tags}.", "Nothing was changed.")
    TAG = Sentence("Expected a tag of 1 to {limit} characters without spaces, found {tag!r}.", "Correct it.")
    UNWRITABLE = Sentence("Cannot write {path}{owner}: {reason}.", "Make it writable, or free some space.")
