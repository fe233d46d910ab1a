"""A search's file: what it means, and one sentence with its line for everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.contract.recipe.yaml_reader import read_yaml
from engine.contract.wire.errors import RecipeError, UsageError
from medtui.search.definition import Search, defined, defined_before, refuse_other
from medtui.search.search_file import search_from
from medtui.search.space import Choice, Range
from medtui.suites.work import Work

SPACE = "space:\n  training.lr: {from: 0.0001, to: 0.1, log: true}\n"


def search_of(text: str, folder: Path) -> Search:
    return defined(search_from(read_yaml(text, "lr.yaml"), "lr", folder))


def test_a_search_says_what_is_chosen_by_what_and_how_often(tmp_path: Path) -> None:
    search = search_of(
        "recipe: breastmnist\nmodel: mini_cnn\ntraining.schedule: cosine\ntraining.epochs: 7\nseeds: 1-3\n"
        "objective: val_loss\nepoch: last\n"
        "budget: {runs: 40, hours: 1.5}\n"
        "space:\n"
        "  training.lr: {from: 0.0001, to: 1, log: true}\n"
        "  training.warmup_epochs: {from: 0, to: 5}\n"
        "  size: [28, 64]\n"
        "  training.nesterov: [true, false]\n",
        tmp_path,
    )
    assert [(type(one), one.path) for one in search.file.space] == [
        (Range, "training.lr"),
        (Range, "training.warmup_epochs"),
        (Choice, "dataset.size"),
        (Choice, "training.nesterov"),
    ]
    assert search.seeds == (1, 2, 3) and search.objective == "loss" and not search.higher_is_better
    assert (search.file.runs, search.file.hours, search.file.epoch) == (40, 1.5, "last")
    values = {"training.lr": 0.01, "training.warmup_epochs": 2, "dataset.size": 28, "training.nesterov": True}
    items = search.items(4, values)
    assert [item.id for item in items] == ["4-1", "4-2", "4-3"]
    made = search.recipe(values, 2)
    assert items[1].recipe == made.model_dump(mode="json") and search.values_of(items[1]) == values
    training = made.training
    assert (training.lr, training.warmup_epochs, training.epochs, training.seed) == (0.01, 2, 7, 2)
    assert training.monitor == "loss" and made.evaluation.test is False and made.model.name == "mini_cnn"


@pytest.mark.parametrize(
    ("space", "code", "line"),
    [
        ("training.lrr: {from: 0.1, to: 1}", "suitefields.unknown", 4),
        ("training.lr: {from: 1, to: 0.1}", "searchfields.empty", 4),
        ("training.lr: {from: 0.1, to: 0.1}", "searchfields.empty", 4),
        ("training.lr: {from: 0, to: 0.1, log: true}", "searchfields.log", 4),
        ("training.lr: {from: a, to: 0.1}", "searchfields.not_a_range", 4),
        ("training.lr: {from: 0.01}", "searchfields.not_a_range", 4),
        ("training.lr: {from: 0.01, to: 0.1, step: 2}", "searchfields.not_a_range", 4),
        ("training.lr: 0.1", "searchfields.not_a_range", 4),
        ("training.lr: [0.1]", "searchfields.too_few", 4),
        ("training.lr: {from: 0.1, to: 100}", "fields.invalid", 4),
        ("training.lr: [0.1, fast]", "fields.invalid", 4),
        ("training.warmup_epochs: {from: 0, to: 2.5}", "searchfields.not_integers", 4),
        ("training.optimizer: {from: 1, to: 2}", "searchfields.only_values", 4),
        ("training.optimizer: [sgd, adam]", "fields.invalid", 4),
        ("training.seed: [1, 2]", "searchfields.not_searched", 4),
        ("training.monitor: [auc, loss]", "searchfields.not_searched", 4),
        ("evaluation.tta: [true, false]", "searchfields.not_searched", 4),
        ("runtime.threads: [1, 2]", "searchfields.not_searched", 4),
        ("dataset: [breastmnist, pneumoniamnist]", "searchfields.not_searched", 4),
        ("training.epochs: [10, 20]", "suitefields.twice", 4),
    ],
)
def test_a_space_that_no_trial_could_have_is_one_sentence_with_its_line(
    tmp_path: Path, space: str, code: str, line: int
) -> None:
    text = f"recipe: quickstart\ntraining.epochs: 3\nspace:\n  {space}\nbudget: {{runs: 5}}\n"
    with pytest.raises(RecipeError) as caught:
        search_of(text, tmp_path)
    assert [(one.code, one.line) for one in caught.value.problems] == [(code, line)], caught.value.message
    assert f"line {line}: " in caught.value.message and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("rest", "code", "line"),
    [
        ("budget: {runs: 5}\nobjective: test_auc", "searchfields.choice", 5),
        ("budget: {runs: 5}\nepoch: first", "searchfields.choice", 5),
        ("budget: {runs: 5}\nevaluation.test: true", "searchfields.decided", 5),
        ("budget: {runs: 5}\nobjective: auc\ntraining.monitor: loss", "searchfields.decided", 6),
        ("budget: {runs: 5}\npruning: hyperband", "searchfields.choice", 5),
        ("budget: {runs: 5}\nsampler: grid", "searchfields.choice", 5),
        ("budget: {runs: 5}\nrandom_seed: -1", "searchfields.choice", 5),
        ("budget: {runs: 5}\nmodels: [mini_cnn, resnet18]", "searchfields.one_value", 5),
        ("budget: {runs: 5}\nseeds: 1-6", "searchfields.trial", 4),
        ("budget: {runs: 5}\nseeds: [-1]", "fields.invalid", 5),
        ("budget: {runs: 5}\nepochs: 3", "suitefields.unknown", 5),
        ("budget: {trials: 5}", "searchfields.budget", 4),
        ("budget: {hours: 0}", "searchfields.budget", 4),
        ("budget: 5", "searchfields.budget", 4),
        ("objective: auc", "searchfields.budget", None),
    ],
)
def test_what_else_is_wrong_with_a_search_is_said_with_its_line(
    tmp_path: Path, rest: str, code: str, line: int | None
) -> None:
    with pytest.raises(RecipeError) as caught:
        search_of(f"recipe: quickstart\n{SPACE}{rest}\n", tmp_path)
    assert [(one.code, one.line) for one in caught.value.problems] == [(code, line)], caught.value.message


def test_a_search_without_a_recipe_or_a_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        search_of("name: x\nbudget: {runs: 5}\n", tmp_path)
    assert {one.code for one in caught.value.problems} == {"suitefields.no_recipe", "searchfields.no_space"}


def test_values_that_contradict_the_recipe_are_found_before_anything_starts(tmp_path: Path) -> None:
    """`nesterov` is for SGD only: the second optimizer cannot be tried."""
    text = (
        "recipe: quickstart\ntraining.nesterov: true\nspace:\n  training.optimizer: [sgd, adamw]\nbudget: {runs: 5}\n"
    )
    with pytest.raises(RecipeError) as caught:
        search_of(text, tmp_path)
    assert caught.value.problems[0].line == 4


def test_a_conflict_with_the_recipe_is_blamed_on_the_line_of_the_range(tmp_path: Path) -> None:
    """`min_lr` must be below `lr`."""
    space = "space:\n  training.batch_size: [8, 16]\n  training.lr: {from: 0.0001, to: 0.1, log: true}\n"
    with pytest.raises(RecipeError) as caught:
        search_of(
            f"recipe: breastmnist\ntraining.schedule: cosine\ntraining.min_lr: 0.0001\n{space}budget: {{runs: 5}}\n",
            tmp_path,
        )
    assert [(one.path, one.line) for one in caught.value.problems] == [(("training", "min_lr"), 6)]


def test_a_journal_gives_the_search_back_and_another_search_of_its_name_is_refused(tmp_path: Path) -> None:
    text = f"recipe: quickstart\nseeds: 1-2\n{SPACE}  model: [Mini-CNN, resnet18_adapted]\nbudget: {{runs: 10}}\n"
    search, work = search_of(text, tmp_path), Work()
    work.apply(search.event())
    before = defined_before(work, "lr")
    assert before is not None and before.base == search.base and before.seeds == search.seeds
    assert before.file.space[1] == Choice("model.name", ("mini_cnn", "resnet18_adapted"))
    refuse_other(search, before)
    refuse_other(search_of(text.replace("runs: 10", "runs: 90") + "pruning: none\n", tmp_path), before)
    for change, what in (
        (("0.0001", "0.001"), "space"),
        (("seeds: 1-2", "seeds: 1-3"), "list of seeds"),
        (("seeds:", "training.epochs: 4\nseeds:"), "recipe"),
        (("seeds:", "epoch: last\nseeds:"), "objective"),
        (("seeds:", "sampler: random\nseeds:"), "sampler"),
    ):
        with pytest.raises(UsageError) as caught:
            refuse_other(search_of(text.replace(*change), tmp_path), before)
        assert caught.value.code == "searches.other" and f"another {what}," in caught.value.message


def test_an_unknown_word_is_answered_by_all_that_it_may_be_once(tmp_path: Path) -> None:
    text = "recipe: quickstart\nspace:\n  training.lr: [0.1, 0.2]\nbudget: {runs: 5}\nsampler: "
    with pytest.raises(RecipeError) as unknown:
        search_of(f"{text}grid\n", tmp_path)
    assert "sampler must be tpe or random, found 'grid'. " in str(unknown.value)
    with pytest.raises(RecipeError) as slip:
        search_of(f"{text}randon\n", tmp_path)
    assert "found 'randon'; did you mean random?" in str(slip.value)


def test_what_a_search_may_have_is_found_in_its_own_help(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as wrong:
        search_of("recipe: quickstart\nbugdet: {runs: 5}\n", tmp_path)
    assert wrong.value.hint.count("`medtui search run --help`") == 1
    assert "recipe schema" not in str(wrong.value)
