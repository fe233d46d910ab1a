"""What is said to somebody who typed what cannot be: which fields conflict, where they stand, what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.contract.files.folders import Folder
from engine.contract.wire.errors import OutputError, RecipeError, UsageError
from engine.contract.wire.text import counted
from medtui.cli.compose import compose
from medtui.cli.data_prune import _lines
from medtui.cli.errors import in_plain_words
from medtui.cli.run import split_arguments
from medtui.client.output_file import check_new_output
from medtui.client.run_filter import parse_filter
from medtui.machine.caches import DecodedCopy


def refusal(*assignments: str, recipe: str = "quickstart") -> str:
    with pytest.raises(RecipeError) as error:
        compose(recipe, {}, list(assignments))
    return error.value.message


def test_a_conflict_names_the_fields_that_conflict_and_what_to_type() -> None:
    found = refusal("training.optimizer=nadamw", "training.nesterov=true", "training.epochs=3")
    assert found.startswith("training.nesterov=true, training.optimizer=nadamw: training.nesterov ")
    assert found.endswith("write `training.nesterov=false`.") and "epochs" not in found


def test_a_conflict_with_a_value_of_the_recipe_says_the_value_and_its_line(tmp_path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("dataset:\n  name: cells\ntraining:\n  ema_decay: 0.99\n")
    found = refusal("training.swa_start=2", recipe=str(recipe))
    assert "training.ema_decay, which is 0.99" in found
    assert found.endswith(f"({recipe} has training.ema_decay at line 4).")


def test_freeze_says_what_it_needs_and_how_many_stages_there_are() -> None:
    scratch = ("model.name=mini_cnn", "model.pretrained=false")
    assert "training.init_from" in refusal(*scratch, "training.freeze=head")
    found = refusal(*scratch, "training.init_from=some-run", "training.freeze=9")
    assert found.endswith("found 9: write `training.freeze=3`.")


def test_a_path_that_is_not_there_is_no_misspelt_recipe() -> None:
    assert "there is no such file or folder" in refusal(recipe="some/nope/")


def test_a_file_that_is_not_called_like_a_recipe_says_what_can_be_run_unless_it_is_one(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Cells\n\n* [One](a): `b`: c\n")
    (tmp_path / "cells.png").write_bytes(b"\x89PNG\r\n")
    for name in ("README.md", "cells.png"):
        found = refusal(recipe=str(tmp_path / name))
        assert found == f"Expected a recipe, a table, an archive or a folder of images, found {tmp_path / name}."
    (tmp_path / "mine.yaml").write_text("training: [1\n")
    assert "line 2: not YAML" in refusal(recipe=str(tmp_path / "mine.yaml"))
    (tmp_path / "mine.txt").write_text("training: {epochs: 3}\n")
    assert compose(str(tmp_path / "mine.txt"), {}, [])[0].training.epochs == 3


def test_a_field_without_a_value_is_no_second_recipe() -> None:
    with pytest.raises(UsageError) as error:
        split_arguments(["quickstart", "training.epochs"], None)
    assert str(error.value).startswith("Expected a value for training.epochs, found none.")


@pytest.mark.parametrize(
    "term",
    ["date>yesterday", "date<=2026-13-1x", "date>=2026-13", "date<2026-02-30", "date:2026-00-01", "date:tomorrow"],
)
def test_what_is_no_date_is_refused(term: str) -> None:
    with pytest.raises(UsageError, match="Expected a date after date"):
        parse_filter(term)


@pytest.mark.parametrize(
    "term",
    [
        "date>2026",
        "date>=2026-11",
        "date<2026-11-20",
        'date>="2026-11-20 10:30"',
        "date>2026-1",
        "date:2026-1",
        "date:2026-11,2026-1",
        "date=2024-02-29",
    ],
)
def test_a_date_may_be_as_short_as_it_is_typed(term: str) -> None:
    assert parse_filter(term).terms


def test_one_is_singular() -> None:
    assert [counted(n, "epoch") for n in (0, 1, 1200)] == ["0 epochs", "1 epoch", "1,200 epochs"]
    assert counted(3, "batch", "batches") == "3 batches"


def test_a_number_that_is_none_is_told_without_the_words_of_a_parser() -> None:
    words = "Invalid value for '--epochs': Input should be a valid integer, unable to parse string as an integer"
    assert in_plain_words(words) == "Invalid value for '--epochs': expected a whole number"
    assert in_plain_words("'abc' is not a valid float.") == "'abc' is not a valid float"


def test_the_console_names_no_option_for_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("kept")
    with pytest.raises(OutputError) as error:
        check_new_output(tmp_path / "page.html")
    assert "--force" not in str(error.value) and "Choose another name" in str(error.value)
    check_new_output(tmp_path / "new.html")


def test_copies_that_read_alike_are_one_line(tmp_path: Path) -> None:
    copies = [DecodedCopy(Folder(tmp_path).file(f"breastmnist-64-{md5}"), md5, 1_500_000) for md5 in "ab"]
    (line,) = _lines(copies)
    assert line.strip().startswith("3.0 MB") and "(2 copies)" in line
