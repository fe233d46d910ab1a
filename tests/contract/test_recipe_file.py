"""Recipes as files: what is written loads back, and what is wrong is refused with a sentence one can act on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from recipe_strategies import AWKWARD, Values, agreeing_values

from engine.contract.recipe.identity import recipe_hash
from engine.contract.recipe.reader import build_recipe, find_recipe, layered, recipe_yaml, set_value
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.schema import fields
from engine.contract.recipe.shipped import shipped_recipes
from engine.contract.recipe.yaml_reader import read_yaml, read_yaml_file, written
from engine.contract.sentence import Sentence
from engine.contract.sentences import Conflicts, Fields, Recipes, Yaml
from engine.contract.wire.errors import Problem, RecipeError

LIMIT = 256 * 1024  # bytes
SOON = 1.0  # seconds of this process; a full machine proves nothing


def loaded(path: Path) -> Recipe:
    """As the commands do it."""
    text = read_yaml_file(path)
    return build_recipe(text.values, source=text.source, lines=text.lines)


def refusal(path: Path) -> RecipeError:
    """The error with which a file is refused."""
    started = time.process_time()
    with pytest.raises(RecipeError) as error:
        loaded(path)
    assert time.process_time() - started < SOON
    assert error.value.exit_code == 2
    assert error.value.hint, "a refusal says what to do next"
    return error.value


def problem_of(path: Path) -> Problem:
    """The one thing wrong with a file."""
    (found,) = refusal(path).problems
    return found


def file_of(folder: Path, text: str | bytes) -> Path:
    path = folder / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# ---- there and back -----------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(values=agreeing_values(), comments=st.booleans(), heading=st.sampled_from(["", "one", "two\nlines: [x"]))
def test_a_written_recipe_loads_back_to_an_equal_recipe_and_hash(values: Values, comments: bool, heading: str) -> None:
    recipe = build_recipe(values)
    back = build_recipe(read_yaml(recipe_yaml(recipe, heading, comments=comments)).values)
    assert back == recipe
    assert recipe_hash(back) == recipe_hash(recipe)


@settings(max_examples=40, deadline=None)
@given(values=agreeing_values())
def test_every_yaml_reader_reads_a_written_recipe_in_the_same_way(values: Values) -> None:
    assert yaml.safe_load(recipe_yaml(build_recipe(values))) == values


def test_a_written_recipe_has_every_field_written_out() -> None:
    in_file = yaml.safe_load(recipe_yaml(build_recipe({})))
    assert {f"{section}.{name}" for section, entries in in_file.items() for name in entries} == set(fields())


@settings(max_examples=300, deadline=None)
@given(value=st.floats(allow_nan=False, allow_infinity=False) | AWKWARD | st.text().filter(str.isprintable))
@example(value=1e-7)
@example(value=1e16)
@example(value=5e-324)
@example(value=-0.0)
@example(value="1e-3")
@example(value="NO")
def test_a_written_value_is_the_same_to_every_reader(value: float | str) -> None:
    text = f"section:\n  field: {written(value)}\n"
    other, ours = yaml.safe_load(text)["section"]["field"], read_yaml(text).values["section"]["field"]
    assert (type(other), repr(other)) == (type(value), repr(value))
    assert (type(ours), repr(ours)) == (type(value), repr(value))


@pytest.mark.parametrize("value", [None, True, False, 0, -7, 10**12])
def test_null_booleans_and_integers_are_the_same_to_every_reader(value: Any) -> None:
    assert repr(yaml.safe_load(written(value))) == repr(value)
    assert repr(read_yaml(f"a: {written(value)}").values["a"]) == repr(value)


def test_every_shipped_recipe_is_valid_and_found_by_its_name() -> None:
    assert {"quickstart", "bloodmnist", "breastmnist"} <= set(shipped_recipes())
    for name, path in shipped_recipes().items():
        assert find_recipe(name) == path
        assert isinstance(loaded(path), Recipe)


# ---- scalars ------------------------------------------------------------------------------------------------------


def test_a_number_in_scientific_notation_is_a_number(tmp_path: Path) -> None:
    assert loaded(file_of(tmp_path, "training:\n  lr: 1e-3\n")).training.lr == 0.001
    assert yaml.safe_load("1e-3") == "1e-3", "the trap this guards against"


def test_a_leading_zero_does_not_mean_octal(tmp_path: Path) -> None:
    assert loaded(file_of(tmp_path, "training:\n  epochs: 010\n")).training.epochs == 10
    assert yaml.safe_load("010") == 8, "the trap this guards against"


@pytest.mark.parametrize("word", ["off", "on", "yes", "no", "y", "N"])
def test_only_true_and_false_are_booleans(tmp_path: Path, word: str) -> None:
    found = problem_of(file_of(tmp_path, f"training:\n  nesterov: {word}\n"))
    assert (found.line, found.path, found.code) == (2, ("training", "nesterov"), Fields.INVALID.code)
    assert found.fields == {"expected": "true or false", "found": f"the text {word!r}"}


@pytest.mark.parametrize("quoted", ["'0.01'", '"0.01"'])
def test_a_quoted_number_is_text(tmp_path: Path, quoted: str) -> None:
    found = problem_of(file_of(tmp_path, f"training:\n  lr: {quoted}\n"))
    assert (found.line, found.path, found.code) == (2, ("training", "lr"), Fields.INVALID.code)
    assert found.fields["found"] == "the text '0.01'"


def test_a_quoted_number_is_text_where_text_is_expected(tmp_path: Path) -> None:
    assert loaded(file_of(tmp_path, 'training:\n  init_from: "010"\n')).training.init_from == "010"


def test_a_value_on_the_command_line_is_read_as_in_a_file() -> None:
    assert set_value("training.lr=1e-3") == (("training", "lr"), 0.001)
    assert set_value("training.init_from='1e-3'") == (("training", "init_from"), "1e-3")
    for assignment, sentence in (
        ("lr", Recipes.SET),
        ("nosuch=1", Recipes.SET),
        ("lr=0.1", Recipes.SET_WITHOUT_SECTION),
    ):
        with pytest.raises(RecipeError) as error:
            set_value(assignment)
        assert (error.value.code, error.value.fields["found"]) == (sentence.code, assignment)
    assert error.value.fields["instead"] == "training.lr=0.1"


def test_every_spelling_of_a_model_is_one_model() -> None:
    spellings = ["ResNet-18 Adapted", "resnet18-adapted", "resnet18_adapted", "RESNET18_ADAPTED", "resnet 18 adapted"]
    recipes = [build_recipe({"model": {"name": spelling}}) for spelling in spellings]
    assert {recipe.model.name for recipe in recipes} == {"resnet18_adapted"}
    assert len({recipe_hash(recipe) for recipe in recipes}) == 1
    assert build_recipe({"model": {"name": "ResNet-18"}}).model.name == "resnet18"


# ---- refusals -----------------------------------------------------------------------------------------------------


class Expected(NamedTuple):
    """What is wrong, in which line (from 1), with which field of the recipe ("" for text that is no recipe)."""

    sentence: Sentence
    line: int | None
    path: str
    fields: dict[str, object]  # texts: a part of what is given


def problem(line: int, path: str, sentence: Sentence, **fields: object) -> Expected:
    return Expected(sentence, line, path, fields)


def no_recipe(line: int | None, sentence: Sentence, **fields: object) -> Expected:
    return Expected(sentence, line, "", fields)


# name: (text of the file, what is found)
REFUSED: dict[str, tuple[str | bytes, Expected]] = {
    "unknown field": (
        "training:\n  epoch: 3\n",
        problem(2, "training.epoch", Fields.UNKNOWN, alternatives="did you mean training.epochs?"),
    ),
    "unknown section": (
        "trainning:\n  lr: 1\n",
        problem(1, "trainning", Fields.UNKNOWN, alternatives="did you mean training?"),
    ),
    "unknown data set": (
        "dataset:\n  name: bloodmist\n",
        problem(2, "dataset.name", Fields.UNKNOWN_DATASET, alternatives="did you mean bloodmnist?"),
    ),
    "unknown model": (
        "model:\n  name: resnet19\n",
        problem(2, "model.name", Fields.UNKNOWN_MODEL, alternatives="did you mean resnet18?"),
    ),
    "text for a number": (
        "training:\n  lr: fast\n",
        problem(2, "training.lr", Fields.INVALID, expected="a number", found="'fast'"),
    ),
    "fraction for a whole": (
        "training:\n  epochs: 2.5\n",
        problem(2, "training.epochs", Fields.INVALID, expected="a whole number", found="2.5"),
    ),
    "boolean for a number": (
        "training:\n  lr: true\n",
        problem(2, "training.lr", Fields.INVALID, expected="a number", found="true"),
    ),
    "boolean for a whole": (
        "training:\n  seed: false\n",
        problem(2, "training.seed", Fields.INVALID, expected="a whole number", found="false"),
    ),
    "number for a boolean": (
        "training:\n  nesterov: 1\n",
        problem(2, "training.nesterov", Fields.INVALID, expected="true or false", found="1"),
    ),
    "number for a choice": (
        "model:\n  pretrained: 1\n",
        problem(2, "model.pretrained", Fields.INVALID, expected="auto, true or false", found="1"),
    ),
    "null for a number": (
        "training:\n  lr:\n",
        problem(2, "training.lr", Fields.INVALID, expected="a number", found="nothing"),
    ),
    "number for a text": (
        "training:\n  init_from: 12\n",
        problem(2, "training.init_from", Fields.INVALID, expected="text or null", found="12"),
    ),
    "list for a number": (
        "training:\n  lr: [1]\n",
        problem(2, "training.lr", Fields.INVALID, expected="a number", found="[1]"),
    ),
    "section that is a list": ("training: [1]\n", problem(1, "training", Fields.NO_SECTION, found="[1]")),
    "section that is empty": ("training:\n", problem(1, "training", Fields.NO_SECTION, found="nothing")),
    "below the range": (
        "training:\n  epochs: 0\n",
        problem(2, "training.epochs", Fields.INVALID, expected="from 1", found="0"),
    ),
    "above the range": (
        "model:\n  dropout: 1.0\n",
        problem(2, "model.dropout", Fields.INVALID, expected="below 1", found="1.0"),
    ),
    "no such choice": (
        "dataset:\n  size: 32\n",
        problem(2, "dataset.size", Fields.INVALID, expected="28, 64, 128 or 224", found="32"),
    ),
    "no such device": (
        "runtime:\n  device: cuda:x\n",
        problem(2, "runtime.device", Fields.INVALID, expected="cuda:N", found="'cuda:x'"),
    ),
    "not a number": (
        "training:\n  lr: .nan\n",
        problem(2, "training.lr", Fields.INVALID, expected="a number", found="nan"),
    ),
    "infinity": (
        "training:\n  clip_norm: .inf\n",
        problem(2, "training.clip_norm", Fields.INVALID, expected="a number", found="inf"),
    ),
    "too great for a float": (
        "training:\n  clip_norm: 1e999\n",
        problem(2, "training.clip_norm", Fields.INVALID, found="inf"),
    ),
    "a number of 5000 digits": (
        "training:\n  epochs: " + "9" * 5000,
        problem(2, "training.epochs", Fields.INVALID, expected="a whole number"),
    ),
    "duplicate field": ("training:\n  lr: 1\n  lr: 2\n", no_recipe(3, Yaml.DUPLICATE_KEY, key="training.lr")),
    "duplicate section": ("model: {}\ntraining: {}\nmodel: {}\n", no_recipe(3, Yaml.DUPLICATE_KEY, key="model")),
    "anchor": ("training: &a\n  lr: 1\n", no_recipe(1, Yaml.ALIAS)),
    "alias": ("training:\n  lr: *a\n", no_recipe(2, Yaml.ALIAS)),
    "merge key": ("training:\n  <<: {lr: 1}\n", no_recipe(2, Yaml.MERGE_KEY)),
    "tag": ("training: !!python/object:os.system {}\n", no_recipe(1, Yaml.TAG, found="python/object:os.system")),
    "tag on a scalar": ("training:\n  lr: !!float 1\n", no_recipe(2, Yaml.TAG, found="float")),
    "tag without a name": ("training:\n  epochs: ! 5\n", no_recipe(2, Yaml.TAG)),
    "tag of one's own": ("training:\n  lr: !include x\n", no_recipe(2, Yaml.TAG, found="!include")),
    "empty": ("", no_recipe(None, Yaml.EMPTY)),
    "only comments": ("# nothing yet\n", no_recipe(None, Yaml.EMPTY)),
    "list": ("- training\n", no_recipe(None, Yaml.NOT_SECTIONS, found="a list")),
    "only text": ("bloodmnist\n", no_recipe(None, Yaml.NOT_SECTIONS, found="bloodmnist")),
    "two documents": ("model: {}\n---\nmodel: {}\n", no_recipe(2, Yaml.SECOND_DOCUMENT)),
    "control character": ("training:\n  init_from: a\x07b\n", no_recipe(2, Yaml.CONTROL_CHARACTER, found=0x07)),
    "escape sequence": ("training:\n  init_from: a\x1b[2Jb\n", no_recipe(2, Yaml.CONTROL_CHARACTER, found=0x1B)),
    "written control character": (
        'training:\n  init_from: "a\\e[2Jb"\n',
        problem(2, "training.init_from", Fields.INVALID, found="control characters"),
    ),
    "not UTF-8": (b"training:\n  lr: \xff\xfe\n", no_recipe(None, Yaml.NOT_UTF8, position=16)),
    "UTF-16": ("training: {}\n".encode("utf-16"), no_recipe(None, Yaml.NOT_UTF8, position=0)),
    "not closed": ("training: [1\n", no_recipe(2, Yaml.NOT_YAML)),
    "tab": ("training:\n\tlr: 1\n", no_recipe(2, Yaml.NOT_YAML)),
    "nested lists": ("training: " + "[" * 50_000, no_recipe(1, Yaml.TOO_DEEP, limit=8)),
    "nested mappings": ("training: " + "{a: " * 50_000, no_recipe(1, Yaml.TOO_DEEP)),
    "nested blocks": ("- " * 50_000, no_recipe(1, Yaml.TOO_DEEP)),
    "key that is a list": ("? [a]\n: b\n", no_recipe(1, Yaml.KEY)),
    "min_lr not below lr": (
        "training:\n  lr: 0.01\n  min_lr: 0.01\n",
        problem(3, "training.min_lr", Conflicts.MIN_LR, lr=0.01),
    ),
    "mixup_until above epochs": (
        "training:\n  mixup_until: 9\n  epochs: 8\n",
        problem(2, "training.mixup_until", Conflicts.MIXUP_UNTIL, found=9, epochs=8),
    ),
    "warm-up as long as the run": (
        "training:\n  epochs: 10\n  warmup_epochs: 10\n",
        problem(3, "training.warmup_epochs", Conflicts.WARMUP_LENGTH, epochs=10),
    ),
    "warm-up twice": (
        "training:\n  schedule: one_cycle\n  warmup_epochs: 1\n",
        problem(3, "training.warmup_epochs", Conflicts.WARMUP_WITH_ONE_CYCLE),
    ),
    "nesterov without momentum": (
        "training:\n  momentum: 0\n  nesterov: true\n",
        problem(3, "training.nesterov", Conflicts.NESTEROV),
    ),
    "compiled and reproducible": (
        "training:\n  compile: true\nruntime:\n  reproducible: true\n",
        problem(2, "training.compile", Conflicts.COMPILE),
    ),
    "hflip of organs": (
        "dataset:\n  name: organamnist\naugmentation:\n  hflip: 0.5\n",
        problem(4, "augmentation.hflip", Conflicts.FLIP, dataset="organamnist", field="hflip"),
    ),
    "vflip of organs": (
        "dataset:\n  name: organsmnist\naugmentation:\n  vflip: 0.1\n",
        problem(4, "augmentation.vflip", Conflicts.FLIP, dataset="organsmnist", field="vflip"),
    ),
    "small-image model on large images": (
        "dataset:\n  size: 128\nmodel:\n  name: resnet18_adapted\n",
        problem(4, "model.name", Conflicts.MODEL_SIZE_INSTEAD, found=128, bounds="64", instead="resnet18"),
    ),
    "batch larger than the split": (
        "dataset:\n  name: breastmnist\ntraining:\n  batch_size: 547\n",
        problem(4, "training.batch_size", Conflicts.BATCH_SIZE, images=546, found=547),
    ),
    "batch larger than the limit": (
        "dataset:\n  limit: 10\ntraining:\n  batch_size: 11\n",
        problem(4, "training.batch_size", Conflicts.BATCH_SIZE, found=11, images=10),
    ),
    "cells of another size": (
        "dataset:\n  name: cells\n  size: 64\n",
        problem(3, "dataset.size", Conflicts.SIZE, found=64, expected="28"),
    ),
    "MD5 without an archive": (
        "dataset:\n  md5: '" + "0" * 32 + "'\n",
        problem(2, "dataset.md5", Conflicts.MD5_WITHOUT_ARCHIVE),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_recipe_is_refused_with_a_message_that_states_where_and_what(tmp_path: Path, name: str) -> None:
    text, expected = REFUSED[name]
    path = file_of(tmp_path, text)
    error = refusal(path)
    where = str(path) if expected.line is None else f"{path}: line {expected.line}"
    assert where in str(error)
    if expected.path:
        (found,) = error.problems
        assert (found.line, ".".join(found.path)) == (expected.line, expected.path)
    else:
        found = error
        assert str(error.fields["where"]) == where
    assert found.code == expected.sentence.code, str(error)
    for field, value in expected.fields.items():
        given = found.fields[field]
        assert value in str(given) if isinstance(value, str) else value == given, (field, given)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path)
    assert (error.code, error.fields["where"]) == (Yaml.FOLDER.code, tmp_path)


def test_a_file_larger_than_256_kib_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"# a recipe?\n")
    with path.open("r+b") as file:
        file.truncate(1 << 34)  # sparse; to read it would take far longer
    error = refusal(path)
    assert (error.code, error.fields) == (Yaml.TOO_LARGE.code, {"where": path, "size": 1 << 34})


def test_256_kib_may_be_a_recipe_and_a_byte_more_may_not(tmp_path: Path) -> None:
    text = "training:\n  lr: 0.5\n#"
    assert loaded(file_of(tmp_path, text + "x" * (LIMIT - len(text)))).training.lr == 0.5
    assert refusal(file_of(tmp_path, text + "x" * (LIMIT - len(text) + 1))).fields["size"] == LIMIT + 1


def test_a_billion_laughs_file_is_refused_at_once(tmp_path: Path) -> None:
    laughs = ["a0: &a0 [lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    path = file_of(tmp_path, "\n".join(laughs))
    error = refusal(path)
    assert (error.code, error.fields["where"]) == (Yaml.ALIAS.code, f"{path}: line 1")


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    text = "dataset:\n  size: 32\ntraining:\n  lr: fast\n  epochs: 0\n  epohcs: 3\nrunntime: {}\n"
    error = refusal(file_of(tmp_path, text))
    found = [(problem.line, ".".join(problem.path), problem.code) for problem in error.problems]
    assert found == [
        (2, "dataset.size", Fields.INVALID.code),
        (4, "training.lr", Fields.INVALID.code),
        (5, "training.epochs", Fields.INVALID.code),
        (6, "training.epohcs", Fields.UNKNOWN.code),
        (7, "runntime", Fields.UNKNOWN.code),
    ]
    assert error.code == Recipes.PROBLEMS.code
    for line, path, _ in found:
        assert f"line {line}: {path} " in error.message


@pytest.mark.parametrize("key", ["recipe", "recipes"])
def test_the_file_of_a_suite_or_a_search_is_refused_with_its_command_alone(tmp_path: Path, key: str) -> None:
    (path := tmp_path / "study.yaml").write_text(f"{key}: quickstart\nseeds: 1-3\ntraining.epochs: 3\n")
    error = str(refusal(path))
    assert f"line 1: {key} is unknown; a file with it is a suite or a search: `medtui suite run FILE` or" in error
    assert "seeds" not in error


def test_of_many_problems_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    """23 fields that are none, 20 of them named; the error has all of them."""
    with pytest.raises(RecipeError) as error:
        loaded(file_of(tmp_path, "training:\n" + "".join(f"  nothing_{number}: 1\n" for number in range(23))))
    assert [problem.line for problem in error.value.problems] == list(range(2, 25))
    assert "line 21: " in error.value.message and "line 22: " not in error.value.message
    assert error.value.message.endswith("; and 3 more.")


def test_a_question_ends_with_its_question_mark_and_a_statement_with_a_full_stop(tmp_path: Path) -> None:
    for text, end in [("training: {epohcs: 3}", "epochs?"), ("training: {epochs: 0}", "found 0.")]:
        with pytest.raises(RecipeError) as error:
            loaded(file_of(tmp_path, text))
        assert error.value.message.endswith(end)


@pytest.mark.parametrize(
    ("assignment", "write"),
    [
        ("lr=0.1", "training.lr=0.1"),
        ("dropout = 0.5", "model.dropout=0.5"),
        ("lr", "training.lr=0.01"),  # an example
        ("nothing=1", "training.lr=0.01"),
        ("a.b.c=1", "training.lr=0.01"),
    ],
)
def test_an_assignment_without_its_section_is_refused_with_what_to_write(assignment: str, write: str) -> None:
    with pytest.raises(RecipeError) as error:
        set_value(assignment)
    assert write in error.value.hint


def test_later_layers_win_field_by_field_and_what_is_no_section_stays() -> None:
    below = {"training": {"lr": 0.1, "epochs": 3}, "model": 5}
    above = {"training": {"lr": 0.2}, "model": {"name": "mini_cnn"}, "runtime": {"device": "cpu"}}
    assert layered(below, above) == {
        "training": {"lr": 0.2, "epochs": 3},
        "model": {"name": "mini_cnn"},
        "runtime": {"device": "cpu"},
    }
    assert layered(above, below)["model"] == 5
    assert layered({"training": {"lr": 1}}, {"training": None}) == {"training": None}


def test_every_contradiction_is_named_at_once(tmp_path: Path) -> None:
    text = (
        "dataset:\n  name: organcmnist\naugmentation: {hflip: 1, vflip: 1}\ntraining:\n  min_lr: 1\n  mixup_until: 99\n"
    )
    found = {".".join(problem.path): problem.code for problem in refusal(file_of(tmp_path, text)).problems}
    assert found == {
        "augmentation.hflip": Conflicts.FLIP.code,
        "augmentation.vflip": Conflicts.FLIP.code,
        "training.min_lr": Conflicts.MIN_LR.code,
        "training.mixup_until": Conflicts.MIXUP_UNTIL.code,
    }


def test_the_suggested_fix_of_a_contradiction_is_accepted(tmp_path: Path) -> None:
    found = problem_of(file_of(tmp_path, "training:\n  lr: 1e-3\n  min_lr: 0.01\n"))
    remedy = found.message.split("write `")[1].split("`")[0]
    assert loaded(file_of(tmp_path, f"training:\n  lr: 1e-3\n  {remedy}\n")).training.min_lr < 1e-3


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=60) | st.text("ab:-[]{}#&*!|>'\"%@`?, \n\t.0", max_size=40))
def test_no_text_does_anything_but_load_or_be_refused(text: str) -> None:
    try:
        recipe = build_recipe(read_yaml(text).values)
    except RecipeError as error:
        assert str(error)
    else:
        assert isinstance(recipe, Recipe)


# ---- finding a recipe ---------------------------------------------------------------------------------------------


def test_a_missing_file_suggests_the_nearest_shipped_recipe() -> None:
    with pytest.raises(RecipeError) as error:
        find_recipe("quikstart")
    assert error.value.code == Recipes.NOT_FOUND.code
    assert error.value.fields == {"found": "quikstart", "alternatives": "did you mean quickstart?"}


def test_a_missing_file_suggests_the_nearest_file_in_its_folder(tmp_path: Path) -> None:
    file_of(tmp_path, "model: {}\n")
    with pytest.raises(RecipeError) as error:
        find_recipe(str(tmp_path / "mien.yaml"))
    assert error.value.fields["alternatives"] == f"did you mean {tmp_path / 'mine.yaml'}?"


@pytest.mark.parametrize("text", ["recipe: quickstart\n", '{"recipes": ["a.yaml"]}', "seeds: 1-3\ndatasets: [cells]\n"])
def test_a_missing_file_suggests_no_file_of_a_suite(tmp_path: Path, text: str) -> None:
    (tmp_path / "e8.yaml").write_text(text)
    with pytest.raises(RecipeError) as error:
        find_recipe(str(tmp_path / "something.yaml"))
    assert "e8" not in error.value.fields["alternatives"]


def test_a_path_suggests_a_data_set_only_where_there_are_no_recipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`../cells` may mean the data set, but not next to the user's own recipes: there it is a slip."""
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    with pytest.raises(RecipeError, match=r"did you mean --dataset cells\?"):
        find_recipe("../cells")
    file_of(tmp_path, "model: {}\n")
    with pytest.raises(RecipeError, match="There is no recipe") as error:
        find_recipe("../cells")
    assert "--dataset" not in error.value.message


def test_an_unknown_recipe_lists_those_there_are_and_no_data_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"known: .*quickstart") as error:
        find_recipe("entirely_different")
    assert "cells" not in error.value.message  # a data set that no recipe is shipped for


def test_an_unknown_recipe_lists_no_suite_and_no_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text("recipes: [quickstart]\nseeds: 1-3\n")
    (tmp_path / "tuning.yaml").write_text("recipe: quickstart\nspace:\n  training.lr: [0.1, 0.2]\n")
    (tmp_path / "own.yaml").write_text("model: {}\n")
    with pytest.raises(RecipeError, match=r"known: .*own\.yaml") as error:
        find_recipe("entirely_different")
    assert "study" not in error.value.message and "tuning" not in error.value.message


def test_a_file_in_this_folder_overrides_a_shipped_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").write_text("model: {}\n")
    assert find_recipe("quickstart").resolve() == tmp_path / "quickstart"


@pytest.mark.parametrize("name", ["x" * 300, "~nobody.knows/x.yaml", "a\0b"])
def test_an_impossible_file_name_is_refused_in_the_same_way(name: str) -> None:
    with pytest.raises(RecipeError) as error:
        find_recipe(name)
    assert error.value.code == Recipes.NOT_FOUND.code


NUMBERS = [
    spec.path
    for spec in fields().values()
    if any(variant.get("type") in ("integer", "number") for variant in spec.variants) or spec.path == "dataset.size"
]


def test_every_number_of_a_recipe_has_bounds() -> None:
    assert {"dataset.limit", "training.seed", "runtime.threads", "runtime.checkpoint_minutes"} <= set(NUMBERS)
    for path in set(NUMBERS) - {"dataset.size"}:
        (bounded,) = [v for v in fields()[path].variants if v.get("type") in ("integer", "number")]
        assert {"maximum", "exclusiveMaximum"} & set(bounded), path
        assert {"minimum", "exclusiveMinimum"} & set(bounded), path


@pytest.mark.parametrize("path", NUMBERS)
@pytest.mark.parametrize("value", ["9007199254740993", "-1", "9" * 30, "9" * 5000, "1e300", ".inf"])
def test_an_absurd_number_is_refused_with_a_message_in_every_field(path: str, value: str) -> None:
    section, _, name = path.partition(".")
    with pytest.raises(RecipeError) as error:
        text = read_yaml(f"{section}:\n  {name}: {value}\n", "recipe")
        build_recipe(text.values, source=text.source, lines=text.lines)
    assert len(str(error.value)) < 500


# ---- min_lr -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_min_lr_is_not_compared_where_the_schedule_does_not_use_it(schedule: str) -> None:
    assert build_recipe({"training": {"schedule": schedule, "lr": 1e-6}}).training.lr == 1e-6


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_min_lr_is_below_lr_where_the_schedule_ends_there(schedule: str) -> None:
    with pytest.raises(RecipeError) as error:
        build_recipe({"training": {"schedule": schedule, "lr": 1e-6}})
    assert [problem.code for problem in error.value.problems] == [Conflicts.MIN_LR.code]


def test_an_unknown_data_set_is_told_together_with_fields_that_have_no_shape() -> None:
    """One round of corrections, not two."""
    values = {"dataset": {"name": "brestmnist", "size": 29}, "training": {"lr": "fast"}}
    with pytest.raises(RecipeError) as refusal:
        build_recipe(values)
    assert {problem.path for problem in refusal.value.problems} == {
        ("dataset", "name"), ("dataset", "size"), ("training", "lr")
    }  # fmt: skip
    assert "did you mean breastmnist?" in refusal.value.message
