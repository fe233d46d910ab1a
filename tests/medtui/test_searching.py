"""What a search asks, prunes and reports, by the real questions to Optuna, with a formula in place of training."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.yaml_reader import read_yaml
from engine.contract.store.workspace import Workspace
from engine.contract.wire.protocol import EpochFinished, Metrics
from medtui.plain.search import describe_budget
from medtui.search.asking import importances
from medtui.search.definition import Search, defined, defined_before
from medtui.search.planner import SearchPlanner
from medtui.search.results import best_text, csv_of, ranked
from medtui.search.search_file import search_from
from medtui.search.trials import Trials, best_of
from medtui.suites.work import Event, Item, Work

pytest.importorskip("optuna")

# By the recipe of a run: its objective epoch by epoch
Train = Callable[[Item], list[float]]
OPTIMUM = 0.003  # of the learning rate
COSINE = "training.schedule: cosine\n"  # with one_cycle there is no warm-up
LR = "space:\n  training.lr: {from: 0.00001, to: 1, log: true}\n"


class CheapTrials(Trials):
    """Runs whose epochs are computed instead of trained."""

    def __init__(self, search: Search, train: Train) -> None:
        super().__init__(search, Workspace(Path("/nowhere")))
        self._train = train

    def epochs(self, item: Item) -> list[EpochFinished]:
        values = self._train(item) if item.run is not None else []
        best, epochs = -math.inf, []
        for epoch, value in enumerate(values, 1):
            epochs.append(finished(epoch, value, best=value > best))
            best = max(best, value)
        return epochs


def finished(epoch: int, value: float, *, best: bool) -> EpochFinished:
    nothing = {"step": epoch, "seconds": 1.0, "images_per_second": 1.0, "lr": 0.1, "train_loss": 1.0, "train_acc": 0.5}
    metrics = Metrics(loss=1.0, auc=value, acc=0.5, f1=0.5)
    rest = {"per_class": [], "best_epoch": None, "best_auc": None, "without_improvement": 0, "curve": []}
    return EpochFinished(time=0.0, epoch=epoch, validation=metrics, best=best, **nothing, **rest)  # type: ignore[arg-type]


def search_of(text: str) -> Search:
    return defined(search_from(read_yaml(f"recipe: quickstart\n{text}", "s.yaml"), "s", Path("/nowhere")))


def lr_of(item: Item) -> float:
    return float(item.recipe["training"]["lr"])


def planted(item: Item) -> list[float]:
    """One-dimensional, with one optimum."""
    return [1.0 - 0.1 * abs(math.log10(lr_of(item) / OPTIMUM))]


def do(planner: SearchPlanner, work: Work, outcome: str = "completed") -> list[Event]:
    """Do the next trial as a runner does; what was asked for."""
    events = planner.next_events(work)
    for event in events:
        work.apply(event)
    while (item := work.next) is not None:
        work.apply({"event": "started", "id": item.id, "run": f"run{item.id}"})
        if (pruned := planner.judged(work, work.items[item.id], None)) is not None:
            work.apply(pruned)
        stopped = "stopped" if work.items[item.id].pruned else outcome
        work.apply({"event": "ended", "id": item.id, "outcome": stopped, "run": f"run{item.id}"})
    return events


def done(text: str, train: Train) -> tuple[SearchPlanner, Work]:
    search = search_of(text)
    planner, work = SearchPlanner(search, CheapTrials(search, train)), Work()
    while not planner.is_over(work):
        do(planner, work)
    return planner, work


def test_a_search_finds_a_planted_optimum_more_surely_than_random_search() -> None:
    """Twenty repetitions of 16 runs each. Found: a trial so near the optimum that random search has one in half of its
    repetitions, by the formula of 16 independent draws."""
    near = 5 * (1 - 0.5 ** (1 / 16)) / 2  # decades to either side, of five
    found = dict.fromkeys(("tpe", "random"), 0)
    better_half = dict.fromkeys(("tpe", "random"), 0)
    for sampler in found:
        for repetition in range(20):
            text = f"{LR}budget: {{runs: 16}}\nsampler: {sampler}\nrandom_seed: {1000 * repetition}\npruning: none\n"
            _, work = done(text, planted)
            away = [abs(math.log10(lr_of(item) / OPTIMUM)) for item in work.items.values()]
            assert len(away) == 16
            found[sampler] += min(away) < near
            better_half[sampler] += sum(one < 1.25 for one in away)  # the half of the range about the optimum
    print(f"optimum found in {found} of 20 repetitions, trials in the better half {better_half} of 320")
    assert found["tpe"] > found["random"]
    assert better_half["tpe"] > 1.2 * better_half["random"]


def test_a_search_that_begins_anew_at_any_moment_asks_as_one_that_does_not() -> None:
    text = (
        f"{LR}  training.batch_size: [8, 16, 32]\n  training.warmup_epochs: {{from: 0, to: 4}}\nbudget: {{runs: 14}}\n"
    )
    _, undisturbed = done(f"{COSINE}training.epochs: 6\n{text}", planted)
    search, journal = search_of(f"{COSINE}training.epochs: 6\n{text}"), list[str]()
    for _ in range(14):  # each trial by a new process, which knows the journal and the folders of the runs
        work = Work()
        for line in journal:
            work.apply(json.loads(line))
        planner = SearchPlanner(search, CheapTrials(search, planted))
        events = do(planner, work)
        ended = [{"event": "ended", "id": one["item"]["id"], "outcome": "completed", "run": "r"} for one in events]
        journal += [json.dumps(event) for event in (*events, *ended)]
    found = {item.id: item.recipe for item in work.items.values()}
    assert found == {item.id: item.recipe for item in undisturbed.items.values()} and len(found) == 14


def test_a_run_is_pruned_below_the_median_of_five_completed_ones_and_no_run_of_its_trial_is_begun() -> None:
    """Curves by hand: five trials with 0.1 … 0.5 at every epoch, whose median is 0.3; the sixth has 0.35, 0.35, 0.2.
    Its best so far counts, so it is not pruned; the seventh has 0.25 and is, at the first epoch after the warm-up."""
    level = iter((0.1, 0.2, 0.3, 0.4, 0.5, 0.35, 0.25))
    curves: dict[int, list[float]] = {}

    def train(item: Item) -> list[float]:
        number = int(item.id.partition("-")[0])
        if number not in curves:
            curves[number] = [next(level)] * 10
        return [*curves[number][:2], 0.2, *curves[number][3:]] if number == 6 else curves[number]

    search = search_of(f"training.epochs: 20\nseeds: 1-2\n{LR}budget: {{runs: 14}}\n")
    planner, work = SearchPlanner(search, CheapTrials(search, train)), Work()
    for _ in range(7):
        do(planner, work)
    trials = planner.trials.of(work)
    assert [trial.state for trial in trials] == ["completed"] * 6 + ["pruned"]
    assert trials[6].pruned == (1, 2) and trials[6].judged_curve == {1: 0.25, 2: 0.25}  # a tenth of 20 epochs first
    assert [item.id for item in trials[6].items] == ["7-1"]
    assert trials[0].value == 0.1 and trials[0].results == {1: 0.1, 2: 0.1}
    assert planner.is_over(work)  # one of 14 runs is left, and a trial takes two
    assert [trial.number for trial in ranked(search, trials)] == [5, 4, 6, 3, 2, 1, 7]


def test_no_pruning_where_the_file_says_so() -> None:
    _, work = done(f"training.epochs: 20\n{LR}budget: {{runs: 9}}\npruning: none\n", lambda item: planted(item) * 10)
    assert all(item.state == "completed" for item in work.items.values())


def test_of_few_choices_each_is_tried_once_and_then_the_search_is_over() -> None:
    text = (
        "space:\n  training.batch_size: [8, 16, 32]\n  training.warmup_epochs: {from: 0, to: 1}\nbudget: {hours: 9}\n"
    )
    planner, work = done(f"{COSINE}training.epochs: 3\n{text}", planted)
    values = [tuple(trial.values.values()) for trial in planner.trials.of(work)]
    assert sorted(values) == [(size, epochs) for size in (8, 16, 32) for epochs in (0, 1)]


def test_a_search_of_few_choices_plans_no_more_runs_than_there_are_and_says_when_all_were_tried() -> None:
    text = "training.epochs: 3\nseeds: 1-2\nspace:\n  training.batch_size: [8, 16, 32]\nbudget: {runs: 20}\n"
    assert describe_budget(search_of(text)) == "at most 6 runs"
    assert describe_budget(search_of(f"{LR}budget: {{runs: 20}}\n")) == "at most 20 runs"
    planner, work = done(text, planted)
    assert len(work.items) == 6 and planner.describe_end(work) == "All 3 choices of its space were tried."
    assert SearchPlanner(planner.search, CheapTrials(planner.search, planted)).describe_end(Work()) == ""


def test_five_failed_trials_in_a_row_end_a_search() -> None:
    search = search_of(f"{LR}budget: {{runs: 50}}\n")
    planner, work = SearchPlanner(search, CheapTrials(search, planted)), Work()
    for _ in range(5):
        assert not planner.is_over(work)
        do(planner, work, "failed")
    assert planner.is_over(work) and planner.next_events(work) == []


def test_values_that_no_recipe_has_together_make_a_failed_trial() -> None:
    """Each is possible with the first values of the others, but AdamW has no Nesterov momentum."""
    text = "space:\n  training.optimizer: [sgd, adamw]\n  training.nesterov: [false, true]\nbudget: {runs: 4}\n"
    planner, work = done(text, planted)
    states = {tuple(trial.values.values()): trial.state for trial in planner.trials.of(work)}
    assert len(states) == 4 and states.pop(("adamw", True)) == "failed"
    assert set(states.values()) == {"completed"}


def test_a_run_that_was_pruned_is_neither_resumed_nor_begun() -> None:
    search, work = search_of(f"seeds: 1-3\n{LR}budget: {{runs: 9}}\n"), Work()
    for item in search.items(1, {"training.lr": 0.1}):
        work.apply({"event": "added", "item": item.values()})
    work.apply({"event": "claimed", "id": "1-1", "slot": 1, "runner": "r"})
    work.apply({"event": "claimed", "id": "1-2", "slot": 2, "runner": "r"})
    work.apply({"event": "started", "id": "1-1", "run": "one"})
    work.apply({"event": "pruned", "id": "1-1", "epoch": 3, "others": ["1-2", "1-3"]})
    assert list(work.items) == ["1-1", "1-2"] and work.next is None  # the third was not begun
    work.apply({"event": "interrupted", "id": "1-1", "at": None})
    work.apply({"event": "released", "id": "1-2"})
    assert {item.id: (item.state, item.pruned) for item in work.items.values()} == {"1-1": ("stopped", 3)}


@pytest.mark.slow
def test_importances_name_the_field_that_matters() -> None:
    space = f"{LR}  training.weight_decay: {{from: 0.0001, to: 0.1}}\n"
    planner, work = done(f"{space}budget: {{runs: 30}}\nsampler: random\npruning: none\n", planted)
    found = importances(planner.search, planner.trials.of(work))
    assert found["training.lr"] > 0.8 and math.isclose(sum(found.values()), 1.0)
    assert importances(planner.search, planner.trials.of(work)[:3]) == {}


def test_the_best_is_a_recipe_with_its_evidence() -> None:
    noise = random.Random(4)
    offsets = {seed: noise.uniform(0, 0.01) for seed in (3, 4)}
    text = f"seeds: [3, 4]\n{LR}budget: {{runs: 8}}\n"
    planner, work = done(text, lambda item: [planted(item)[0] + offsets[int(item.recipe["training"]["seed"])]])
    trials = planner.trials.of(work)
    best = best_of(planner.search, trials)[0]
    written = best_text(planner.search, trials, best)
    recipe = build_recipe(read_yaml(written).values)
    assert recipe.training.lr == best.values["training.lr"] and recipe.evaluation.test and recipe.training.seed == 3
    assert abs(math.log10(recipe.training.lr / OPTIMUM)) == min(
        abs(math.log10(trial.values["training.lr"] / OPTIMUM)) for trial in trials
    )
    mean = sum(best.results.values()) / 2
    for evidence in (f"trial {best.number} (of 4 trials: 4 completed)", f"{mean:.4f} ± ", "(seed 3)", "1.0e-05 to 1.0"):
        assert evidence in written, written
    rows = csv_of(planner.search, trials).splitlines()
    assert len(rows) == 5 and rows[0].endswith(",training.lr") and rows[1].startswith(f"{best.number},completed,2,")


def test_a_damaged_journal_is_a_search_without_what_was_damaged() -> None:
    planner, work = done(f"{LR}budget: {{runs: 2}}\n", planted)
    work.apply({"event": "added", "item": {"id": "x", "label": "", "recipe": {}}})
    work.apply({"event": "added", "item": {"id": "3-1", "label": "", "recipe": {"training": 4}}})
    assert [trial.number for trial in planner.trials.of(work)] == [1, 2]
    assert defined_before(Work(), "s") is None
    assert defined_before(Work(definition={"source": 1, "values": 2}), "s") is None
