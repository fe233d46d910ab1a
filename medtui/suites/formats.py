"""The table of a suite as CSV, Markdown and LaTeX, and as rows for a workbook."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from engine.contract.data.published import Published, remarks, sources
from engine.contract.wire.text import without_formula
from medtui.suites.groups import METRICS, RULE, Block, Group
from medtui.suites.statistics import Summary
from medtui.text import UNDEFINED, clean

Value = str | int | float | None
DIGITS = 4


def mean_and_sd(summary: Summary, digits: int = DIGITS) -> str:
    """`0.9130 ± 0.0041`; of one seed only `0.9130`: it has no deviation."""
    if summary.mean is None:
        return UNDEFINED
    sd = "" if summary.sd is None else f" ± {summary.sd:.{digits}f}"
    return f"{summary.mean:.{digits}f}{sd}"


def mean_interval(summary: Summary, digits: int = DIGITS) -> str:
    return f"{summary.ci95[0]:.{digits}f} to {summary.ci95[1]:.{digits}f}" if summary.ci95 is not None else UNDEFINED


def published_name(one: Published) -> str:
    return f"{one.method} ({one.source.name})"


def published_value(one: Published, metric: str, digits: int = 3) -> str:
    value, sd = getattr(one, metric), getattr(one, f"{metric}_sd")
    if value is None:
        return UNDEFINED
    return f"{value:.{digits}f}" + ("" if sd is None else f" ± {sd:.{digits}f}")


def footnotes(blocks: Sequence[Block]) -> list[str]:
    """How the numbers are meant, and where published ones come from."""
    return [RULE, *sources([one for block in blocks for one in block.published])]


# ---- rows -----------------------------------------------------------------------------------------------------------

COLUMNS: tuple[str, ...] = ("dataset", "size", "kind", "name", "n", "planned", "failed")
COLUMNS += tuple(f"{metric}_{part}" for metric in METRICS for part in ("n", "mean", "sd", "low", "high", "best"))
COLUMNS += ("notes", "seeds", "runs")


def rows(blocks: Sequence[Block]) -> Iterator[dict[str, Value]]:
    """One for each group and published value, by `COLUMNS`; numbers in full, None where there is none."""
    for block in blocks:
        for group in block.groups:
            yield {"dataset": block.dataset, "size": block.size, "kind": "group", **_row(group, block)}
        for one in block.published:
            given: dict[str, Value] = {
                "dataset": block.dataset,
                "size": block.size,
                "kind": "published",
                "name": published_name(one),
            }
            values = {f"{name}_mean": getattr(one, name) for name in METRICS}
            values |= {f"{name}_sd": getattr(one, f"{name}_sd") for name in METRICS}
            yield {**given, **values, "notes": "; ".join(remarks(one, list(block.published)))}


def _row(group: Group, block: Block) -> dict[str, Value]:
    done = [run for run in group.runs if run.state == "completed"]
    values: dict[str, Value] = {"name": group.label, "n": len(done), "planned": len(group.runs)}
    values["failed"] = group.count("failed")
    for metric in METRICS:
        found = group.summary(metric)
        low, high = found.ci95 or (None, None)
        parts = {"n": found.n, "mean": found.mean, "sd": found.sd, "low": low, "high": high}
        values |= {f"{metric}_{part}": value for part, value in parts.items()}
        values[f"{metric}_best"] = "yes" if metric in group.best else ""
    marks = [block.title.partition(", ")[2]] if block.limited else []
    values["notes"] = "; ".join([*marks, *group.notes])
    values["seeds"] = " ".join(str(run.seed) for run in done)
    values["runs"] = " ".join(str(run.run) for run in done)
    return values


def csv_of(blocks: Sequence[Block]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows(blocks):
        writer.writerow([_exported(row.get(name)) for name in COLUMNS])
    return text.getvalue()


def _exported(value: Value) -> str:
    if isinstance(value, str):
        return without_formula(clean(value, 4000))
    return "" if value is None else repr(value)


# ---- Markdown -------------------------------------------------------------------------------------------------------


def markdown_of(blocks: Sequence[Block], title: str) -> str:
    parts = [f"# {_plain(title)}"]
    for block in blocks:
        lines = [f"## {_plain(block.title)}", "", "| | n | AUC | 95 % | ACC | 95 % | notes |"]
        lines += ["| --- | ---: | --- | --- | --- | --- | --- |", *(_markdown_row(group) for group in block.groups)]
        for one in block.published:
            values = [f"{published_value(one, name)} | " for name in METRICS]
            note = "; ".join(["published", *remarks(one, list(block.published))])
            lines.append(f"| {_plain(published_name(one))} | | {' | '.join(values)} | {_plain(note)} |")
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, *map(_plain, footnotes(blocks))]) + "\n"


def _markdown_row(group: Group) -> str:
    cells = [_plain(group.label), f"{group.count('completed')}/{len(group.runs)}"]
    for metric in METRICS:
        found = group.summary(metric)
        value = mean_and_sd(found)
        cells += [f"**{value}**" if metric in group.best else value, mean_interval(found)]
    return f"| {' | '.join([*cells, _plain('; '.join(group.notes))])} |"


def _plain(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|~" else letter for letter in clean(text, 2000))


# ---- LaTeX ----------------------------------------------------------------------------------------------------------

_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_LATEX |= {"–": "--", "√": r"$\sqrt{}$", "<": r"$<$", ">": r"$>$"} | {letter: f"\\{letter}" for letter in "&%$#_{}"}
_LATEX |= {letter: f"{{{letter}}}" for letter in "[*"}  # else they would be arguments of the line break before


def latex_of(blocks: Sequence[Block], title: str) -> str:
    """A `table` for the package booktabs, UTF-8; best values bold."""
    lines = ["% needs \\usepackage{booktabs}", "\\begin{table}", "\\centering", f"\\caption{{{_tex(title)}}}"]
    lines += ["\\begin{tabular}{lrllll}", "\\toprule", " & $n$ & AUC & 95\\,\\% & ACC & 95\\,\\% \\\\"]
    marks: list[str] = []
    for block in blocks:
        lines += ["\\midrule", f"\\multicolumn{{6}}{{l}}{{\\emph{{{_tex(block.title)}}}}} \\\\"]
        for group in block.groups:
            lines.append(_latex_row(group, marks))
        for one in block.published:
            auc, acc = (_tex(published_value(one, metric)) for metric in METRICS)
            lines.append(f"{_tex(published_name(one))} & & {auc} & & {acc} & \\\\")
    lines += ["\\bottomrule", "\\end{tabular}", ""]
    notes = [f"\\textsuperscript{{{at}}}{_tex(words)}." for at, words in enumerate(marks, 1)]
    lines += [f"\\par\\footnotesize {note}" for note in [*notes, *map(_tex, footnotes(blocks))]]
    return "\n".join([*lines, "\\end{table}"]) + "\n"


def _latex_row(group: Group, marks: list[str]) -> str:
    mark = ""
    if words := "; ".join(group.notes):
        if words not in marks:
            marks.append(words)
        mark = f"\\textsuperscript{{{marks.index(words) + 1}}}"
    cells = [_tex(group.label) + mark, f"{group.count('completed')}/{len(group.runs)}"]
    for metric in METRICS:
        found = group.summary(metric)
        value = _tex(mean_and_sd(found))
        cells += [f"\\textbf{{{value}}}" if metric in group.best else value, _tex(mean_interval(found))]
    return " & ".join(cells) + " \\\\"


def _tex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in clean(text, 2000))
