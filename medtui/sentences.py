"""What only the console side can find wrong, and how it reads. Groups are alphabetical; a code is `group.name`."""

from __future__ import annotations

from engine.contract.sentence import Sentence

_START_AGAIN = "Start it again as it was: `medtui suite run FILE`, or `medtui run RECIPE` with --seeds or --on."
_LOWER_MEMORY = "Lower training.batch_size, set dataset.cache: mapped, or request more memory."


class Caches:
    """Decoded data sets that are removed from the cache."""

    BUSY = Sentence("An engine is writing to the cache: nothing was removed.", "Try again.")
    IN_USE = Sentence("The decoded copy {key} stays: it is needed by {holder}.", "Wait until that has ended.")
    IN_USE_NOW = Sentence("{path} is used now: it was not removed.", "Try again later.")
    REMOVE_FAILED = Sentence("Cannot remove {path}: {reason}.", "Remove it by hand, or make it writable.")


class Cluster:
    """Suites and searches whose runs are jobs of a scheduler."""

    COORDINATED = Sentence(
        "{owner} already has a coordinator: process {pid} on {host}, since {since}.",
        "`medtui search status {name}` shows it, `medtui search stop {name}` ends its runs.",
    )
    DROPPED = Sentence(
        "{owner} has {count} run{plural} on {scheduler} that its plan no longer has, such as {label}.",
        "Wait for them, or `medtui suite stop {name}`.",
    )
    NOT_CANCELLED = Sentence("The scheduler did not cancel the jobs: {reason}.", "Cancel them with its own command.")
    NOT_SUBMITTED = Sentence(
        "The scheduler did not accept the jobs: {reason}.",
        "Correct what the jobs request, or the configuration of the cluster.",
    )
    NO_SLURM = Sentence("There is no Slurm here: sbatch and srun cannot be found.", "Submit from a login node.")
    NO_SUBMITIT = Sentence("Cluster jobs need the extra medtui[slurm].", "`pip install 'medtui[slurm]'`.")
    NO_SUCH_ITEM = Sentence("{owner} has no run {found!r}.", "Submit it again: `medtui {kind} run FILE --on slurm`.")
    ON_CLUSTER = Sentence(
        "{owner} has {count} run{plural} on {scheduler}: {jobs}.",
        "`medtui {kind} status {name}` shows them, `medtui {kind} stop {name}` ends them.",
    )
    ONLY_ON_CLUSTER = Sentence("{option} is for jobs of a scheduler.", "Add --on slurm.")
    RUN_ALIVE = Sentence("Run {run} is already being trained, on {host}.", "Wait until that has ended.")
    SLOTS = Sentence("--slots is for runs on this machine.", "Use --slurm at_once=N with --on.")
    UNKNOWN = Sentence("There is no scheduler {found!r}; {alternatives}.", "Write --on slurm.")
    UNCONFIRMED = Sentence(
        "The scheduler did not say whether it has the jobs: {reason}.",
        "The same command asks it for them, and submits those that it does not have.",
    )
    UNKNOWN_STATE = Sentence(
        "Whether {count} job{plural} of {owner} reached the scheduler is not known: it does not answer, or another "
        "command is submitting right now.",
        "Try again where `squeue` works; `medtui {kind} stop {name}` takes them back.",
    )


class CommandLine:
    """What was typed in a shell."""

    DETACH_CONFLICT = Sentence(
        "--detach conflicts with runtime.on_disconnect: stop.", "Set it to `auto` or `continue`, or drop --detach."
    )
    EVALUATION_CONFLICT = Sentence(
        "{one} conflicts with {other}: each is a separate evaluation.", "Run them one after the other."
    )
    INTERNAL = Sentence("Internal error: {kind}: {reason}.")
    JSON_WITHOUT_COMMAND = Sentence(
        "--json needs a command: the console prints no JSON.", "Name one, such as medtui --json runs."
    )
    NO_RESULT = Sentence("The command ended without a result.", "Try again.")
    NO_RESULT_FILE = Sentence("Expected a result file, found none at {path}{reason}.", "Check the path.")
    NO_VALUE = Sentence("Expected a value for {field}, found none.", "Write {field}=VALUE, without spaces.")
    NO_SUCH_OPTION = Sentence("`{command}` has no option --{option}.", "Remove it; see {command} --help.")
    NO_TERMINAL = Sentence(
        "The console needs a terminal, which standard {streams} not.", "`medtui run RECIPE` trains without one."
    )
    OUTPUT_FAILED = Sentence("The output cannot be written: {reason}.", "Free some space, or write elsewhere.")
    ONE_WORKSPACE = Sentence("`{command}` takes one --workspace, found {number}.", "Name the one you mean.")
    PATH_EMPTY = Sentence("Expected a path, found an empty name.", "Check that the shell variable is set.")
    RECIPE_EMPTY = Sentence("Expected a recipe, found an empty name.", "Check that the shell variable is set.")
    SEVERAL_RECIPES = Sentence("Expected one recipe, found {number}: {recipes}.", "Name one of them.")
    SEVERAL_SOURCES = Sentence("Expected one source of images, found {number}: {sources}.", "Name one of them.")
    SYNTAX = Sentence("{reason}.", "See --help.")  # in the words of the parser of options
    UNKNOWN_COMMAND = Sentence("There is no {what} named {found!r}; {alternatives}.", "See {command} --help.")
    UNKNOWN_RUNS_COMMAND = Sentence(
        "There is no {what} named {found!r}; {alternatives}.",
        "`medtui runs list {found}` lists the runs that match it; see {command} --help.",
    )
    UNKNOWN_OPTION = Sentence("There is no option named {found!r}; {alternatives}.", "See {command} --help.")
    UNSUITABLE_TERMINAL = Sentence(
        "The console cannot run in this terminal: {terminal}.", "{remedy} `medtui run RECIPE` trains without a console."
    )
    WAIT_INTERRUPTED = Sentence(
        "Interrupted while waiting for the workspace {path}, held by {holder}.", "Nothing was started."
    )


class Comparison:
    """A comparison of runs that is exported."""

    TOO_MANY = Sentence("{path} already holds {limit} comparisons from today.", "Move some of them away.")
    UNWRITABLE = Sentence("Cannot write {path}: {reason}.", "Make the folder writable, or free some space.")


class Console:
    """Why the console starts no run."""

    HELD_BY_ANOTHER = Sentence("The workspace is held by {holder}.", "{key} attaches to its run.")
    READ_ONLY = Sentence("This console is read-only.", "Open it without --readonly to change anything.")
    TRAINING = Sentence("This console is already training; stop that run first.")
    WORKSPACE_GONE = Sentence(
        "The workspace {path} was moved or removed while this console is open, so nothing is started in it.",
        "Move it back, or leave and open the console in the folder where it is now.",
    )


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
    NOT_LISTENING = Sentence("The engine no longer accepts commands.")
    OTHER_MACHINE = Sentence("Signals cannot reach an engine on another machine.", "Abort it instead.")
    RUN_OVER = Sentence("Run {run} is over: {outcome}.", "See `medtui show {run}`.")
    RUN_OVER_RESUMABLE = Sentence("Run {run} is over: {outcome}.", "`medtui run --resume {run}` continues it.")
    NOT_OWNER = Sentence("Cannot write to {path}{owner}: {reason}.", "Only the owner of the engine may command a run.")
    UNWRITABLE = Sentence("Cannot write to {path}{owner}: {reason}.", "Commands go through it: make it writable.")


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
    KILLED_ON_REQUEST = Sentence("The engine was killed on request, by {by}.")
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


class Exploring:
    """What `medtui data explore` is asked for, and what it writes."""

    EMPTY_SOURCE = Sentence(
        "Expected a source of images, found an empty name.", "Check that the shell variable is set."
    )
    NO_SOURCE = Sentence(
        "Expected a data set, a folder, a table, an .npz file or a recipe; found none.",
        "Name one.",
    )
    NO_SOURCE_NOR_RUN = Sentence(
        "Expected a data set, a folder, a table, an .npz file or a recipe; found none.",
        "Name one, or a run with --run, whose images are then explored.",
    )
    UNKNOWN_SOURCE = Sentence(
        "Expected a data set, a folder, a table, an .npz file or a recipe; found {found!r}; {alternatives}.",
        "See `medtui data list`.",
    )
    UNREADABLE = Sentence(
        "What was found cannot be read: {reason}.", "Try again with the versions of one installation."
    )
    UNWRITABLE = Sentence("Cannot write {path}: {reason}.", "Choose another file.")


class Filter:
    """A filter over runs that cannot be understood."""

    DATE = Sentence("Expected a date after {term}, found {found!r}.", "Write one such as 2026-11-20 or 2026-11.")
    DURATION = Sentence("Expected a duration after {term}, found {found!r}.", "Write one such as 45s, 10min or 1.5h.")
    NO_ORDER = Sentence("{name} cannot be compared with {sign}.", "{name}: matches a part of it, {name}= all of it.")
    NO_VALUE = Sentence("Expected a value after {term}, found none.", "Write it without a space in between.")
    NUMBER = Sentence("Expected a number after {term}, found {found!r}.", "Write one such as 0.9 or 1e-3.")
    OF_RECIPES = Sentence(
        "{name} is a field of recipes, which are not read for this list.",
        "`medtui runs {name}=VALUE` filters by it in a shell.",
    )
    SEVERAL = Sentence("Expected one value after {term}, found {found!r}.", "Only : and = take alternatives.")
    UNKNOWN_NAME = Sentence(
        "There is no field named {found!r}; {alternatives}.", "Double quotes make the term a text to search for."
    )
    YES_NO = Sentence("Expected yes or no after {term}, found {found!r}.", "Write one of the two.")


class Following:
    """A run that is watched through its files."""

    EVENTS_LOST = Sentence(
        "The journal of this run is damaged: what its engine reported until now is not in it.",
        "Training goes on; numbers and curves begin with the next epoch.",
    )
    STATUS_UNREADABLE = Sentence(
        "Expected the status of run {run} in {path}, found nothing readable; a live engine replaces it every second, "
        "so none seems to be running.",
        "`medtui run --resume {run}` resumes the run.",
    )
    SUSPENDED = Sentence(
        "The engine was suspended by a signal ({process}), so nothing is trained.", "The signal SIGCONT continues it."
    )
    UNSEEN = Sentence("The engine of run {run}: {seen}.", "Check it on its host.")  # `not seen since …`


class Job:
    """A short job of an engine: evaluate, report, fetch, verify, score."""

    ABORTED = Sentence("The job was aborted.", "Start it again.")
    CANCELLED = Sentence("The job was cancelled.", "Start it again.")
    INTERRUPTED = Sentence("Interrupted.")
    INTERRUPTED_EARLY = Sentence("Interrupted: nothing was written.")
    INTERRUPTED_LATE = Sentence("Interrupted; written before: {names}.")


class Listing:
    """How `medtui runs` lists runs."""

    CSV_OR_JSON = Sentence("Expected one of --csv and --json, found both.", "Drop one of them.")
    NO_COLUMNS = Sentence("Expected names of columns after --columns, found none.", "Known: {known}.")
    NO_SUCH_COLUMN = Sentence("There is no column named {found!r}; {alternatives}.", "See medtui runs --help.")
    SEVERAL_WORKSPACES = Sentence("{count} workspaces have a run {word!r}: {folders}.", "Name the folder of the run.")
    UNKNOWN_IN_ALL = Sentence("None of {count} workspaces has a run {word!r}.", "See the names in `medtui runs --all`.")


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


class SettingsFile:
    """The file of the settings, where it is not one; the defaults apply."""

    FOLDER = Sentence("Expected a file with settings at {path}, found a folder.", "Move it away.")
    NO_NAMES = Sentence("{path}: expected settings such as `theme: dark`, found {found}.", "Correct the file.")


class Notify:
    """The settings of `notify`, and a notification that did not arrive. No sentence quotes an address or a command's
    arguments: they may hold a secret."""

    COMMAND = Sentence(
        "{source}: expected notify.command to be a list of texts such as [/home/me/bin/page, me], found {found}."
    )
    COMMAND_FAILED = Sentence("The notify command {program} {reason}.", "Check notify.command in {settings}.")
    DESKTOP = Sentence("{source}: expected notify.desktop to be true or false, found {found}.")
    ON = Sentence("{source}: expected notify.on to be a list of {known}, found {found}.")
    POST_FAILED = Sentence("{host} did not accept the notification: {reason}.", "Check notify.url in {settings}.")
    SHAPE = Sentence("{source}: expected notify to be true, false, or the fields {known}, found {found}.")
    UNKNOWN = Sentence("{source}: notify.{name} is unknown; known are {known}.")
    URL = Sentence("{source}: expected notify.url to be an http or https address, found {found}.")


class OutputFile:
    """A file that a command is to write."""

    ENDING = Sentence("Expected a name that ends in {endings}, found {path}.", "{remedy}")
    EXISTS = Sentence("{path} already exists.", "Choose another file, or pass --force to replace it.")
    INPUT = Sentence("{path} is read by this command, so it is not replaced.", "Choose another file.")
    IS_NO_FOLDER = Sentence("{path} is not a folder, so it is not replaced.", "Choose another --output.")
    NO_FILE = Sentence("{path} is not a regular file, so it is not replaced.", "Choose another file.")
    NOT_NEW = Sentence("{path} already exists.", "Choose another name: the console replaces no file.")
    NO_FOLDER = Sentence("Cannot write {path}: there is no such folder{why}.", "Choose another file.")
    STANDARD_OUTPUT = Sentence("Expected the name of what is to be written, found `-`.", "Choose a name.")
    PICTURE = Sentence("{path} is named as a picture, so nothing else replaces it.", "Choose another file.")


class Predicting:
    """Images, and the file with what they were predicted to be."""

    EXISTS = Sentence("{path} already exists.", "Choose another name, or pass --force to replace it.")
    NO_IMAGES = Sentence(
        "Expected images, found none.", "Name files, folders, patterns or an .npz file; `-` reads names."
    )
    NO_ROOT = Sentence("Expected a folder, found none at {folder}{why}.", "Correct --root.")
    UNWRITABLE = Sentence("Cannot write {path}: {reason}.", "Choose a writable location.")


class Pruning:
    """Checkpoints that are removed."""

    BEST_WEIGHTS = Sentence("Nothing was removed from {run}: {reason}.", "Check the disk.")
    DECLINED = Sentence("Not confirmed: nothing was removed.")
    REMOVE_FAILED = Sentence("Cannot remove {path}: {reason}.", "Remove it by hand, or make it writable.")
    UNCONFIRMED = Sentence(
        "Removing files needs confirmation on a terminal.",
        "--yes removes them without asking; --dry-run lists them.",
    )


class RecipeActions:
    """Why the console does not save, rename or delete a recipe."""

    CANNOT = Sentence(
        "{path}: {reason}; nothing was changed.", "Choose another name or folder, or make that folder writable."
    )
    CHANGED = Sentence(
        "{name} has changed on disk in the meantime, so it was left alone.", "Look at it, then try again."
    )
    GONE = Sentence("{name} is gone from the disk.", "{key} saves it again.")
    NO_NAME = Sentence("Expected the name of a file, found {found!r}.", "Choose another name.")
    READ_ONLY = Sentence(
        "Shipped recipes and those of runs are read-only: {name} stays as it is.", "{key} saves a copy."
    )
    READ_ONLY_PLACE = Sentence("{path} is in a folder of shipped recipes or of runs.", "Choose another folder.")
    UNREADABLE = Sentence("{path} cannot be read: {reason}.", "Repair or remove the file, or select another recipe.")
    UNSAVED = Sentence("{name} has unsaved edits.", "Save or revert them first.")
    UNWRITABLE = Sentence(
        "Cannot save {path}: {reason}.", "The edits stay here; save them again once that is solved, or as another file."
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


class Reproducing:
    """Published rows, and the runs that they are compared with."""

    NO_ROW = Sentence(
        "Expected --sets of {table} that can be reproduced, found {found!r}.", "Choose among {known}, with commas."
    )
    NO_TABLE = Sentence("There is no published table named {found!r}; {alternatives}.")
    SEEDS = Sentence(
        "Expected --seeds as whole numbers from 0 to 4294967295 with commas, found {found!r}.", "Write --seeds 1,2,3."
    )


class Scores:
    """Result files of MedMNIST."""

    NAMED_OTHERWISE = Sentence(
        "The name of the file says {name} {named}, but its scores give {found:.4f}.",
        "It was renamed, or its lines were changed.",
    )


class SearchFields:
    """What is wrong with a search's file. They follow the name of the field."""

    BUDGET = Sentence("must say how much to do, as `budget: {{runs: 40}}` or `budget: {{hours: 8}}`, found {found}")
    CHOICE = Sentence("must be {expected}, found {found}{alternatives}")
    DECIDED = Sentence("is always {value} in this search, as {why}")
    EMPTY = Sentence("must be a range from a smaller to a larger number, found {low} to {high}")
    LOG = Sentence(
        "must begin above 0 to be searched on a log scale, found {low}: write `log: false` or another `from`"
    )
    NO_SPACE = Sentence(
        "must name at least one field, as `space: {{training.lr: {{from: 0.001, to: 0.1, log: true}}}}`"
    )
    NOT_INTEGERS = Sentence("must be a range of whole numbers, found {found}")
    NOT_A_RANGE = Sentence(
        "must be a list of values, or a range such as {{from: 0.001, to: 0.1, log: true}}, found {found}"
    )
    NOT_SEARCHED = Sentence("is not searched: {why}")
    ONE_VALUE = Sentence("must have one value in a search; values to choose among belong below `space`")
    ONLY_VALUES = Sentence("takes no range, as its values are not numbers: write them as a list")
    TOO_FEW = Sentence("must have at least two different values")
    TRIAL = Sentence("must be enough for a trial of {seeds} seeds, found {found} runs")


class Searches:
    """A search."""

    NOT_BEGUN = Sentence(
        "Search {name} has no completed trial yet.", "`medtui search status {name}` shows its progress."
    )
    NO_DEFINITION = Sentence(
        "Expected the definition of search {name}, found none in {path}.", "Start it: `medtui search FILE`."
    )
    NO_OPTUNA = Sentence("A search needs the extra medtui[search].", "`pip install 'medtui[search]'`.")
    NO_SEARCHES = Sentence("There are no searches in {folder}.", "`medtui search FILE` starts one.")
    OTHER = Sentence(
        "Search {name} was begun with another {what}, and its trials would not be comparable.",
        "Give the file another `name:`, or undo the change.",
    )


class SlurmFields:
    """What is wrong with the `slurm` section of a file, or with --slurm. They follow the name of the field."""

    COUNT = Sentence("must be a whole number from 1, found {found}")
    GPUS = Sentence("must be a whole number of GPUs for each job, found {found}")
    MEMORY = Sentence("must be a number of GB for each job, found {found}")
    NOT_FIELDS = Sentence("must have fields, as `partition: gpu`, found {found}")
    NO_ASSIGNMENT = Sentence("must be FIELD=VALUE, as `--slurm partition=gpu`, found {found}")
    SECONDS = Sentence("must be a whole number of seconds from 1 to 65535, found {found}")
    TEXT = Sentence("must be a line of text, found {found}")
    TEXTS = Sentence("must be a line of text or a list of lines, found {found}")
    UNKNOWN = Sentence("is not a field of `slurm`; {alternatives}")
    WARNING = Sentence("must leave time: {warning} s of warning do not fit into a limit of {minutes} min")


class Smoke:
    """The test of this machine."""

    ARTIFACT_MISSING = Sentence("{path} was announced but does not exist.", "Check the disk of the temporary folder.")
    NOT_COMPLETED = Sentence("Expected a completed run, found {outcome}.", "`medtui doctor` may show why.")
    RESULTS_DIFFER = Sentence(
        "The saved weights give different results when evaluated again.", "Check memory and disk."
    )


class SuiteFields:
    """What is wrong with a suite's file. They follow the name of the field."""

    A_SEARCH = Sentence("makes this the file of a search: start it with `medtui search FILE`")
    EXCLUDES_ALL = Sentence("leaves no run: remove the entry that excludes everything")
    EXCLUDES_NOTHING = Sentence("has an entry that no run matches: correct its values, or remove it")
    NAME = Sentence("must be up to 60 letters, digits, _, . or -, found {found}: write `name: my-suite`")
    NOT_A_LIST = Sentence("must be a list of entries that begin with `-`, found {found}")
    NOT_FIELDS = Sentence("must have fields, as `- model: mini_cnn`, found {found}")
    NO_RECIPE = Sentence("must name at least one recipe, as `recipes: [quickstart]`")
    NO_VALUES = Sentence("must be a value or a list of values, found {found}")
    SEEDS = Sentence("must be whole numbers or ranges, as `1-5` or `1-3, 7`, found {found}")
    TOO_MANY = Sentence("must have at most {limit:,} runs, found {found:,}: split it")
    TOO_MANY_SEEDS = Sentence("must be at most {limit:,} numbers, found {found}")
    TWICE = Sentence("is {field}, which `{other}` already gives: remove one of the two")
    UNKNOWN = Sentence("is not a field of a {what} or a recipe; {alternatives}")


class Suites:
    """Suites and the queue."""

    DAMAGED = Sentence(
        "Cannot read {lines} of {path}: what was recorded there is missing.",
        "Restore the file from a copy, or start again what is missing.",
    )
    FORMAT = Sentence("There is no format {found!r}; {alternatives}.", "See `medtui suite table --help`.")
    HELD = Sentence("The workspace is held by {holder}.", "Start {owner} when that has ended.")
    ITEM_RUNNING = Sentence("{item} of the queue is {state} and cannot be {action}.", "{remedy}")
    MEASURE = Sentence("There is no measure {found!r}; {alternatives}.", "See `medtui suite curves --help`.")
    NONE_LIVE = Sentence("None of the {count} {kinds} here has a live run.", "`medtui {kind} status` shows them.")
    NOT_BEGUN = Sentence("The runner of {owner} ended at once: {reason}.", "Its log is {path}.")
    NOT_RUNNING = Sentence("No runner is working on {owner}.", "{remedy}")
    NOTHING_LEFT = Sentence("Nothing is left to do for {owner}: {counts}.", "Retry a run, or add one.")
    NO_CURVES = Sentence("Suite {name} has no completed run yet.", "See `medtui suite status {name}`.")
    NO_FILES = Sentence(
        "Expected a suite's file in {folder} or its recipes/, found none.",
        "Write a .yaml file with `recipes: [quickstart]`.",
    )
    NO_OUTPUT = Sentence("A workbook needs an output file.", "Pass --output FILE.xlsx.")
    NO_PLAN = Sentence("Expected the plan of suite {name}, found none in {path}.", _START_AGAIN)
    NO_SUCH_ITEM = Sentence("The queue has no entry {found!r}; {waiting}.", "See `medtui queue list`.")
    NO_SUITES = Sentence(
        "There are no suites in {folder}.", "`medtui suite run FILE` or `medtui run RECIPE --seeds 1-3` starts one."
    )
    RUNNER_HOLDS = Sentence("{owner} has a runner already: {process}.", "`{command}` shows it.")
    SEEDS_CONFLICT = Sentence("{first} cannot be combined with {option}.", "Remove one of the two.")
    TOO_MANY_SEEDS = Sentence("Expected at most {limit:,} seeds for --seeds, found {found}.", "Start fewer at once.")
    SEEDS_INVALID = Sentence("Expected seeds as 1-5 or 1-3,7 for --seeds, found {found!r}.", "Correct it.")
    SEVERAL = Sentence("There are {count} {kinds} here: {names}.", "Name one of them.")
    SLOTS = Sentence("Expected 1 to {most} slots, found {found}.", "{remedy}")
    SLOTS_ALONE = Sentence("--slots needs --seeds: one run takes one slot.", "Add --seeds 1-3.")
    SLOT_DEVICE = Sentence(
        "A suite with several slots gives each run a GPU, but {label} asks for {device}.", "Write `device: auto`."
    )
    UNKNOWN = Sentence("There is no {kind} named {found!r} in {folder}; {alternatives}.", "See `medtui {kind} status`.")
    REPLACED = Sentence(
        "{path} was removed, cut or replaced while it was in use.",
        "Restore it from a copy, or start its runs again: those that are done are found by their folders.",
    )
    UNREADABLE = Sentence("Cannot read {path}: {reason}.", "Check its owner and mode.")
    UNWRITABLE = Sentence("Cannot write {path}: {reason}.", "Make it writable, or free some space.")


class Tagging:
    """Tags and note of a run."""

    COMMA = Sentence(
        "Expected a tag without a comma, which separates tags in a filter; found {tag!r}.",
        "Write several tags with spaces between them.",
    )
    DAMAGED = Sentence(
        "Expected the tags and the note of the run in {path}, found a damaged file.",
        "Correct it, or move it away to begin anew.",
    )
    NOTE_ENCODING = Sentence("Expected a note in UTF-8, found other bytes.", "Enter it again.")
    NOTE_TOO_LONG = Sentence("Expected a note of at most {limit:,} characters, found {found:,}.", "Shorten it.")
    NO_SUCH_TAG = Sentence("{run} has no tag {tag!r}; it has {tags}.", "Nothing was changed.")
    TAG = Sentence("Expected a tag of 1 to {limit} characters without spaces, found {tag!r}.", "Correct it.")
    UNWRITABLE = Sentence("Cannot write {path}{owner}: {reason}.", "Make it writable, or free some space.")


class Tracking:
    """Experiment trackers that follow a run."""

    ALREADY = Sentence("Run {run} is being written to {tracker} by another process.", "Wait until that has ended.")
    ENDED = Sentence(
        "This run was not completely written to {tracker}; see {log}.",
        "`medtui track {run} --to {tracker}` adds what is missing.",
    )
    FAILED = Sentence(
        "{tracker} did not accept run {run}: {reason}.", "`medtui track {run} --to {tracker}` adds what is missing."
    )
    NOT_BEGUN = Sentence("Run {run} has not begun to train: there is nothing to track.", "--follow waits for it.")
    NO_PACKAGE = Sentence(
        "Tracking with {tracker} needs the extra medtui[{tracker}].", "`pip install 'medtui[{tracker}]'`."
    )
    STILL_RUNNING = Sentence(
        "This run is still being written to {tracker}.",
        "If that is interrupted, `medtui track {run} --to {tracker}` adds the rest.",
    )
    UNKNOWN = Sentence("There is no tracker named {found!r}; {alternatives}.", "See `medtui track --help`.")
    NOT_OWNER = Sentence("Cannot write to the directory of run {run}: {reason}.", "Only its owner can track it.")
    UNWRITABLE = Sentence(
        "Cannot write to the directory of run {run}: {reason}.", "What is tracked is recorded there: make it writable."
    )
    WITHOUT_PACKAGE = Sentence(
        "runtime.track names {tracker}, which is not installed: the run is not written to it.",
        "`pip install 'medtui[{tracker}]'`; `medtui track RUN --to {tracker}` then adds the run at any time.",
    )
