"""The table of a suite: groups, what is marked as best, what is said of missing runs, and its formats."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from engine.contract.data.published import published_for
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.recipe import Recipe
from engine.contract.wire.errors import UsageError
from medtui.cli.suite_table import _format
from medtui.plain.suite_table import print_table
from medtui.rich_output import CleanConsole
from medtui.suites.formats import COLUMNS, csv_of, latex_of, markdown_of, mean_and_sd, rows
from medtui.suites.groups import Block, SeedRun, blocks_of
from medtui.suites.statistics import summarise

GOOD = {1: 0.901, 2: 0.915, 3: 0.92, 4: 0.93}
WORSE = {1: 0.881, 2: 0.893, 3: 0.902, 4: 0.909}
NEAR = {1: 0.911, 2: 0.90, 3: 0.93, 4: 0.90}


def recipe(seed: int, model: str, dataset: str = "breastmnist", **training: float) -> Recipe:
    values = {"dataset": {"name": dataset}, "model": {"name": model}}
    return build_recipe({**values, "training": {"seed": seed, **training}})


def group(model: str, aucs: dict[int, float], dataset: str = "breastmnist") -> list[tuple[Recipe, SeedRun]]:
    return [
        (recipe(seed, model, dataset), SeedRun(seed, "", "completed", f"run{seed}", auc, 0.8, data="d"))
        for seed, auc in aucs.items()
    ]


def marked(blocks: list[Block]) -> dict[str, set[str]]:
    return {one.label: set(one.best) for block in blocks for one in block.groups}


def test_runs_that_differ_only_in_the_seed_are_a_group_and_groups_on_the_same_data_a_block() -> None:
    runs = group("mini_cnn", GOOD) + group("resnet18", GOOD) + group("mini_cnn", GOOD, "pneumoniamnist")
    runs += [(recipe(1, "mini_cnn", lr=0.1), SeedRun(1, "", "pending", None))]
    found = blocks_of(runs)
    labels = ["mini_cnn, lr 0.008", "resnet18, lr 0.008", "mini_cnn, lr 0.1"]
    assert [one.label for one in found[0].groups] == labels
    assert [block.title for block in found] == ["breastmnist 28 px", "pneumoniamnist 28 px"]
    assert [len(one.runs) for block in found for one in block.groups] == [4, 4, 1, 4]


def test_the_highest_mean_is_marked_only_where_the_paired_test_says_so() -> None:
    assert stats.ttest_rel([*GOOD.values()], [*WORSE.values()]).pvalue < 0.05
    assert stats.ttest_rel([*GOOD.values()], [*NEAR.values()]).pvalue > 0.05
    clear = blocks_of(group("mini_cnn", GOOD) + group("resnet18", WORSE))
    assert marked(clear) == {"mini_cnn": {"auc"}, "resnet18": set()}  # their ACC is equal
    near = blocks_of(group("mini_cnn", GOOD) + group("resnet18", NEAR) + group("resnet50", WORSE))
    assert not any(marked(near).values())


def test_two_common_seeds_mark_nothing() -> None:
    one, other = {1: 0.9, 2: 0.9001, 5: 0.9}, {1: 0.1, 2: 0.1001, 6: 0.1}
    assert not any(marked(blocks_of(group("mini_cnn", one) + group("resnet18", other))).values())


def test_a_group_without_a_value_leaves_the_others_unmarked() -> None:
    missing = [(recipe(seed, "resnet50"), SeedRun(seed, "", "pending", None)) for seed in GOOD]
    found = blocks_of(group("mini_cnn", GOOD) + group("resnet18", WORSE) + missing)
    assert not any(marked(found).values())
    assert found[0].groups[2].notes == ["4 of 4 missing"]


def test_notes_say_what_is_missing_failed_from_scratch_or_mixed() -> None:
    of = [recipe(seed, "mini_cnn") for seed in range(1, 7)]
    states = ["completed", "completed", "failed", "stopped", "pending", "running"]
    runs = [SeedRun(at, "", state, f"run{at}", 0.9, 0.8, data="d") for at, state in enumerate(states)]
    runs[1] = SeedRun(1, "", "completed", "run1", float("nan"), 0.8, True, True, "e")
    [block] = blocks_of(list(zip(of, runs, strict=True)))
    [found] = block.groups
    assert found.notes == [
        "2 of 6 missing",
        "1 failed",
        "1 stopped",
        "1 from scratch and 1 not: not one experiment",
        "of different data files: not one experiment",
        "AUC undefined in some",
    ]
    assert (found.summary("auc").n, found.summary("acc").n) == (1, 2)


def test_published_values_stand_next_to_results_on_the_same_data_only() -> None:
    [full] = blocks_of(group("mini_cnn", GOOD))
    fair = [one for one in published_for("breastmnist", 28) if not one.remark]
    assert list(full.published) == fair and fair
    subset = build_recipe({"dataset": {"name": "breastmnist", "limit": 50}, "training": {"batch_size": 32}})
    [limited] = blocks_of([(subset, SeedRun(1, "", "completed", "r", 0.9, 0.8))])
    assert limited.published == () and limited.title == "breastmnist 28 px, at most 50 images per split"


def test_one_seed_claims_no_deviation_in_any_format() -> None:
    blocks = blocks_of(group("mini_cnn", {1: 0.9}))
    assert mean_and_sd(summarise([0.9])) == "0.9000"
    own = [line for line in text_of(blocks).splitlines() if "mini_cnn" in line]
    assert own and "±" not in own[0] and own[0].rstrip().endswith("–")
    [row] = [row for row in rows(blocks) if row["kind"] == "group"]
    assert (row["auc_mean"], row["auc_sd"], row["auc_low"], row["auc_high"]) == (0.9, None, None, None)
    for text in (markdown_of(blocks, "t"), latex_of(blocks, "t")):
        [line] = [line for line in text.splitlines() if "mini" in line]
        assert "±" not in line and "pm" not in line


def text_of(blocks: list[Block], width: int = 80) -> str:
    text = io.StringIO()
    print_table(CleanConsole(text, width=width, force_terminal=True, no_color=True, legacy_windows=False), blocks, [])
    return re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue())


def test_an_unknown_format_says_which_there_are() -> None:
    with pytest.raises(UsageError, match=r"no format 'pdf'; known: text, csv, markdown, latex, xlsx\."):
        _format("pdf", None)


def test_the_text_fits_eighty_columns() -> None:
    blocks = blocks_of(group("mini_cnn", GOOD) + group("resnet18_adapted", WORSE))
    lines = text_of(blocks).splitlines()
    assert max(map(len, lines)) <= 80
    [line] = [line for line in lines if "mini_cnn" in line]
    mean, sd = stats.tmean([*GOOD.values()]), stats.tstd([*GOOD.values()])
    assert f"4/4  {mean:.4f} ± {sd:.4f} *" in line


def test_csv_has_every_number_in_full() -> None:
    blocks = blocks_of(group("mini_cnn", GOOD) + group("resnet18", WORSE))
    first, *_ = csv.DictReader(io.StringIO(csv_of(blocks)))
    assert tuple(first) == COLUMNS
    assert float(first["auc_mean"]) == pytest.approx(stats.tmean([*GOOD.values()]), rel=1e-15)
    low, high = stats.t.interval(0.95, 3, loc=float(first["auc_mean"]), scale=stats.sem([*GOOD.values()]))
    assert (float(first["auc_low"]), float(first["auc_high"])) == pytest.approx((low, high), rel=1e-9)
    assert (first["auc_best"], first["acc_best"], first["seeds"]) == ("yes", "", "1 2 3 4")


def test_latex_is_balanced_and_escapes_what_means_something_there() -> None:
    text = latex_of(blocks_of(group("mini_cnn", GOOD) + group("resnet18", WORSE)), r"50 % of {a_b} & $c \d")
    assert r"\caption{50 \% of \{a\_b\} \& \$c \textbackslash{}d}" in text
    assert r"\textbf{0.9165 $\pm$ 0.0121}" in text
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    begun, ended = re.findall(r"\\begin{(\w+)}", text), re.findall(r"\\end{(\w+)}", text)
    assert begun == ["table", "tabular"] and ended == begun[::-1]
    table = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    cells = [line for line in table.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert len(cells) > 2 and {len(re.findall(r"(?<!\\)&", line)) for line in cells} == {5}


def test_markdown_has_as_many_cells_in_every_row() -> None:
    text = markdown_of(blocks_of(group("mini_cnn", GOOD) + group("resnet18", WORSE)), "Suite a|b")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) > 3 and {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {8}
    assert "**0.9165 ± 0.0121**" in text


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex here (Debian: texlive-latex-base)")
def test_latex_compiles(tmp_path: Path) -> None:
    """Also with what means something to TeX where a row or a word begins."""
    labels = iter(["[0.1] *x a^b \\c {d} #1 $2 %3 &4 <5> µ é ~", "*resnet18"])
    blocks = [
        replace(block, groups=tuple(replace(one, label=next(labels)) for one in block.groups))
        for block in blocks_of(group("mini_cnn", GOOD) + group("resnet18", WORSE))
    ]
    table = latex_of(blocks, r"50 % of {a_b} & $c \d [e] –")
    assert table.count("x a") == table.count("{*}resnet18") == 1
    document = f"\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{table}\\end{{document}}\n"
    (tmp_path / "table.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "table.pdf").stat().st_size > 1000
