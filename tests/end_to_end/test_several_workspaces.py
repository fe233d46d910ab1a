"""Runs of several workspaces as one list, and one run among them: `--workspace` repeated, and `--all`."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from driving import medtui
from ended_runs import ended_run

SAME = "20261121_breastmnist_resnet18-adapted_aaaaaa"
OLDER = "20261120_breastmnist_resnet18-adapted_bbbbbb"
NEWEST = "20261122_breastmnist_resnet18-adapted_cccccc"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a user with two workspaces, which have a run of one name; nothing is remembered yet."""
    monkeypatch.setenv("MEDTUI_SETTINGS", str(tmp_path / "config" / "settings.yaml"))
    first, second = tmp_path / "first" / "work", tmp_path / "second" / "work"
    ended_run(first / "outputs", SAME, auc=0.91, settings={"training.cutmix_alpha": "1.0"})
    ended_run(first / "outputs", NEWEST, started="2026-11-22T00:00:00.000+00:00")
    ended_run(second / "outputs", SAME, auc=0.92, seed=2)
    ended_run(second / "outputs", OLDER, "failed", started="2026-11-20T00:00:00.000+00:00")
    return tmp_path


def run(home: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return medtui(*words, cwd=home / "first" / "work")


def both(home: Path) -> list[str | Path]:
    return ["--workspace", home / "first/work", "--workspace", home / "second/work"]


def listed(home: Path, *words: str | Path) -> list[tuple[str, str]]:
    done = run(home, "runs", "list", *words, "--json")
    assert done.returncode == 0, done.stderr
    return [(Path(row["workspace"]).parent.name, row["run"]) for row in json.loads(done.stdout)]


def test_the_runs_of_both_are_one_list_in_the_order_of_their_starts(home: Path) -> None:
    expected = [("second", OLDER), ("first", SAME), ("second", SAME), ("first", NEWEST)]
    assert listed(home, *both(home)) == expected
    assert listed(home, *both(home), "--workspace", home / "first/../second/work") == expected
    (home / "alias").symlink_to(home / "first/work")
    assert len(listed(home, *both(home), "--workspace", home / "alias")) == 4
    assert listed(home, *both(home), "workspace:second") == [("second", OLDER), ("second", SAME)]
    assert listed(home, "--workspace", home / "second/work") == [("second", OLDER), ("second", SAME)]
    before = run(home, *both(home), "runs", "--json")
    assert len(json.loads(before.stdout)) == 4, "options before the command"


def test_a_table_says_whose_each_run_is_and_csv_has_the_whole_path(home: Path) -> None:
    text = run(home, "runs", *both(home)).stdout.splitlines()
    assert text[0].split()[:3] == ["run", "workspace", "outcome"]
    assert [line.split()[:2] for line in text[1:]] == [
        [OLDER, "second/work"],
        [SAME, "first/work"],
        [SAME, "second/work"],
        [NEWEST, "first/work"],
    ]
    assert "workspace" not in run(home, "runs").stdout
    rows = list(csv.DictReader(io.StringIO(run(home, "runs", *both(home), "--csv").stdout)))
    assert {row["workspace"] for row in rows} == {str(home / "first/work"), str(home / "second/work")}


def test_all_are_those_in_which_runs_were_listed_or_trained(home: Path) -> None:
    assert listed(home, "--all") == [("first", SAME), ("first", NEWEST)]
    assert listed(home, *both(home)) == listed(home, "--all")
    shutil.rmtree(home / "second")
    assert listed(home, "--all") == [("first", SAME), ("first", NEWEST)]
    (home / "config/workspaces.json").write_text("{")
    assert listed(home, "--all") == [("first", SAME), ("first", NEWEST)]


def test_a_workspace_that_cannot_be_read_is_told_and_the_others_are_listed(home: Path) -> None:
    listed(home, *both(home))
    outputs = home / "second/work/outputs"
    shutil.rmtree(outputs)
    outputs.symlink_to("/not/mounted")
    done = run(home, "runs", "--all")
    assert done.returncode == 2 and "/not/mounted" in done.stderr
    assert SAME in done.stdout and NEWEST in done.stdout and OLDER not in done.stdout
    named = run(home, "runs", *both(home))
    assert named.returncode == 2 and named.stdout == "", "what was named is not left out"
    missing = run(home, "runs", "--workspace", home / "first/work", "--workspace", home / "nothing")
    assert missing.returncode == 2 and str(home / "nothing") in missing.stderr


def test_show_finds_a_run_in_any_and_asks_where_several_have_it(home: Path) -> None:
    shown = run(home, "show", OLDER, *both(home), "--json")
    assert json.loads(shown.stdout)["run_dir"] == str(home / "second/work/outputs" / OLDER)
    listed(home, *both(home))
    for words in (both(home), ["--all"]):
        ambiguous = run(home, "show", SAME, *words)
        assert ambiguous.returncode == 2
        assert all(str(home / one / "work/outputs" / SAME) in ambiguous.stderr for one in ("first", "second"))
    by_folder = run(home, "show", home / "second/work/outputs" / SAME, "--all", "--json")
    assert json.loads(by_folder.stdout)["test"]["auc"] == 0.92
    newest = run(home, "show", "last", *both(home), "--json")
    assert json.loads(newest.stdout)["run"] == NEWEST
    unknown = run(home, "show", "nothing_like_it", *both(home))
    assert unknown.returncode == 2 and "None of 2 workspaces" in unknown.stderr
    part = run(home, "show", "2026112", *both(home))
    assert part.returncode == 2 and f"{SAME}, {NEWEST}" in part.stderr, "several in one of them"


def test_a_command_that_changes_runs_takes_one_workspace(home: Path) -> None:
    for words in ((*both(home), "runs", "tag", SAME, "x"), ("runs", *both(home), "tag", SAME, "x")):
        done = run(home, *words)
        assert done.returncode == 2 and "takes one --workspace, found 2" in done.stderr
    assert run(home, "--workspace", home / "second/work", "runs", "tag", SAME, "x").returncode == 0
    assert not (home / "first/work/outputs" / SAME / "labels.json").exists()
    refused = run(home, "runs", "--all", "tag", SAME, "x")
    assert refused.returncode == 2 and "has no option --all" in refused.stderr


def test_columns_may_be_fields_of_recipes(home: Path) -> None:
    columns = "name,workspace,training.lr,training.cutmix_alpha,dataset.name,training.patience"
    rows = list(csv.DictReader(io.StringIO(run(home, "runs", *both(home), "--csv", "--columns", columns).stdout)))
    assert [row["training.cutmix_alpha"] for row in rows] == ["0.0", "1.0", "0.0", "0.0"]
    assert {row["training.lr"] for row in rows} == {"0.008"}
    assert {(row["dataset.name"], row["training.patience"]) for row in rows} == {("breastmnist", "15")}
    values = json.loads(run(home, "runs", "--columns", "training.cutmix_alpha", "--json").stdout)
    assert values == [{"training.cutmix_alpha": 1.0}, {"training.cutmix_alpha": 0.0}]
    text = run(home, "runs", "--columns", "training.cutmix_alpha").stdout
    assert text.split() == ["training.cutmix_alpha", "1.0", "0.0"]
    wrong = run(home, "runs", "--columns", "training.cutmx_alpha")
    assert wrong.returncode == 2 and "training.cutmix_alpha" in wrong.stderr
