"""Which runs a published row needs, and the verdict on their means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.contract.data.datasets import datasets
from engine.contract.data.published import ENLARGED, published_for, remarks
from engine.contract.recipe.identity import resolved_hash
from engine.contract.recipe.reproduction import TABLES, recipe_for
from engine.contract.wire.errors import UsageError
from engine.contract.wire.resolved import Resolved, StartingWeights
from medtui.cli import reproduce as command
from medtui.cli.reproduce import _print_plan
from medtui.client.labels import Labels
from medtui.client.reproduce import found_run, planned, targets, verdicts
from medtui.client.run_row import RunRow

BREAST, RETINA = TABLES["medmnist_v2"]


def run_of(target: Any = BREAST, seed: int = 1, **changes: Any) -> RunRow:
    """A completed run of the plan, on another machine's device, with whatever is otherwise."""
    resolved = Resolved(
        data=target.data_md5,
        device="cuda",
        precision="bfloat16",
        weights=StartingWeights(kind="scratch"),
        hflip=0.0,
        views=("identity",),
        best_by="auc_then_loss",
    )
    unknown = (
        "started",
        "epochs_done",
        "epochs_planned",
        "validation_auc",
        "test_auc_ci95",
        "test_acc_ci95",
        "seconds",
    )
    row = RunRow(
        run=f"{target.dataset}_{seed}",
        run_dir=Path("outputs"),
        state="completed",
        dataset=target.dataset,
        size=28,
        synthetic=False,
        limit=None,
        model="resnet18_adapted",
        weights="from scratch",
        test_auc=0.9,
        test_acc=0.86,
        labels=Labels(),
        resolved=resolved,
        resolved_hash=resolved_hash(recipe_for(target, seed), resolved),
        **dict.fromkeys(unknown),  # type: ignore[arg-type]
    )
    return replace(row, **changes)


def test_the_rows_are_those_of_the_table() -> None:
    """As printed: BreastMNIST 0.901 and 0.863, RetinaMNIST 0.717 and 0.524; none of an enlarged column."""
    values = [(row.dataset, row.published.auc, row.published.acc) for row in TABLES["medmnist_v2"]]
    assert values == [("breastmnist", 0.901, 0.863), ("retinamnist", 0.717, 0.524)]
    assert not any(row.published.remark for row in TABLES["medmnist_v2"])


@pytest.mark.parametrize("dataset", [name for name, facts in datasets().items() if not facts.synthetic])
def test_columns_called_224_are_said_to_be_enlarged_and_the_highest_to_be_chosen(dataset: str) -> None:
    """Wherever values are shown: every list is made of these remarks."""
    found = published_for(dataset, 28)
    called = [one for one in found if "(224)" in one.method]
    assert len(called) == 2 and all(one.remark == ENLARGED for one in called)
    chosen = [one for one in found if any("chosen on the test split" in words for words in remarks(one, found))]
    assert chosen and all(one.auc == max(other.auc or 0 for other in found) for one in chosen)
    assert not [one for one in published_for(dataset, 224) if "(224)" in one.method]


def test_a_run_that_is_there_is_used_whichever_machine_it_was_made_on() -> None:
    runs = [run_of(), run_of(seed=2), run_of(RETINA)]
    plan = planned([BREAST, RETINA], [1, 2], runs)
    found = [(one.target.dataset, one.seed, one.found and one.found.run) for one in plan]
    assert found == [
        ("breastmnist", 1, "breastmnist_1"),
        ("breastmnist", 2, "breastmnist_2"),
        ("retinamnist", 1, "retinamnist_1"),
        ("retinamnist", 2, None),
    ]
    newer = replace(run_of(), run="newer")
    assert found_run(recipe_for(BREAST, 1), BREAST, [run_of(), newer]) == newer


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "stopped"},
        {"limit": 64},
        {"test_auc": None},
        {"resolved_hash": None},
        {"resolved_hash": "0" * 32},
        {"resolved": None},
        {"resolved": run_of(RETINA).resolved},  # other images under this name
    ],
)
def test_another_experiment_or_an_unfinished_one_is_not(changes: dict[str, Any]) -> None:
    assert found_run(recipe_for(BREAST, 1), BREAST, [run_of(**changes)]) is None


def test_the_mean_of_the_seeds_is_held_to_the_tolerance_in_both_directions() -> None:
    """0.901 ± 0.04: means of 0.861 and 0.941 are within, 0.8609 and 0.9411 are not."""

    def auc_within(*aucs: float) -> bool:
        runs = [run_of(seed=seed, test_auc=auc) for seed, auc in enumerate(aucs)]
        auc, acc = verdicts(planned([BREAST], range(len(aucs)), runs))
        assert (auc.metric, acc.metric, acc.within) == ("AUC", "ACC", True)
        return auc.within

    assert auc_within(0.861) and auc_within(0.841, 0.881) and auc_within(0.941)
    assert not auc_within(0.8609) and not auc_within(0.9411) and not auc_within(0.9, float("nan"))


def test_there_is_no_verdict_on_a_row_that_lacks_a_run() -> None:
    assert verdicts(planned([BREAST], [1, 2], [run_of()])) == []


def test_unknown_tables_and_sets_are_refused_with_what_there_is() -> None:
    assert targets("medmnist_v2", []) == [BREAST, RETINA] and targets("medmnist_v2", ["retinamnist"]) == [RETINA]
    with pytest.raises(UsageError, match="medmnist_v2"):
        targets("medmnist_v3", [])
    with pytest.raises(UsageError) as refused:
        targets("medmnist_v2", ["bloodmnist"])
    assert "'bloodmnist'" in refused.value.message and "breastmnist, retinamnist" in refused.value.hint


def test_the_plan_says_what_is_here_and_what_is_missing(capfd: pytest.CaptureFixture[str]) -> None:
    _print_plan(planned([BREAST], [1, 2], [run_of()]))
    assert capfd.readouterr().out.splitlines() == [
        "breastmnist, 28 px, ResNet-18: AUC 0.901 ± 0.04, ACC 0.863 ± 0.04",
        "  seed 1: breastmnist_1",
        "  seed 2: to be trained",
        "Published in Yang et al., MedMNIST v2, Scientific Data 10, 41 (2023), Table 3.",
        "2 runs: 1 found here, 1 to be trained.",
    ]


@pytest.mark.parametrize(("auc", "code"), [(0.9, 0), (0.95, 1)])
def test_only_what_is_missing_is_trained_and_the_exit_code_is_the_verdict(
    auc: float, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs, trained = [run_of(seed=1, test_auc=auc)], []

    def train(one: Any, *_: Any, **__: Any) -> int:
        trained.append(one.seed)
        runs.append(run_of(seed=one.seed, test_auc=auc))
        return 0

    monkeypatch.setattr("medtui.client.run_index.run_rows", lambda outputs: runs)
    monkeypatch.setattr(command, "_train", train)
    assert command.reproduce("medmnist_v2", "breastmnist", "3,1", dry_run=True, workspace=tmp_path) == 0
    assert trained == []
    assert command.reproduce("medmnist_v2", "breastmnist", "3,1", workspace=tmp_path) == code
    assert command.reproduce("medmnist_v2", "breastmnist", "3,1", workspace=tmp_path) == code
    assert trained == [3]


def test_a_run_that_fails_ends_it_with_its_own_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    monkeypatch.setattr(command, "_train", lambda one, *_, **__: asked.append(one.seed) or 4)
    assert command.reproduce("medmnist_v2", "breastmnist", workspace=tmp_path) == 4
    assert asked == [1]


@pytest.mark.parametrize("text", ["", "1,", "1;2", "-1", "4294967296", "one"])
def test_seeds_are_whole_numbers_with_commas(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        command.reproduce("medmnist_v2", None, text, workspace=tmp_path)
