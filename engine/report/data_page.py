"""What was found in a source of images as one HTML page, which opens without a network: pictures are in it.

Names of classes, files and groups were written by others: each text is escaped where it is put into the page, and the
page forbids itself scripts and whatever is not in it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from engine.contract.data.datasets import SPLITS
from engine.contract.data.exploration import DuplicateSet, Exploration, ImageId
from engine.contract.wire.text import clean, counted, counted_duplicates

Place = tuple[str, int]  # a split, and the number of an image in it
Pictures = Mapping[Place, bytes]  # PNG files

SETS, IN_SET = 40, 6  # sets of duplicates on the page, and images of each
ONES = 60  # images in a list
FILES = 200  # damaged files, groups
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.2rem; } .quiet { opacity: .75; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem .2rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; } thead th { border-bottom: 1px solid; }
figure { display: inline-block; margin: 0 .5rem .6rem 0; vertical-align: top; width: 6.4rem; }
figure img { width: 6rem; height: 6rem; object-fit: contain; image-rendering: pixelated; background: #000; }
figcaption { font-size: 11px; line-height: 1.25; overflow-wrap: anywhere; }
section.set { border-left: 3px solid #888; margin: .6rem 0; padding-left: .7rem; }
"""


def data_page(found: Exploration, samples: Mapping[str, Sequence[ImageId]], pictures: Pictures) -> str:
    """HTML. samples: some images of each class, by its name; pictures: of those that `pictured` names."""
    parts = [
        *_heading(found),
        *_classes(found),
        *_sizes(found),
        *_samples(samples, pictures),
        *_duplicates(found, pictures),
        *_damaged(found),
        *_constant(found, pictures),
        *_groups(found),
        *_doubtful(found, pictures),
    ]
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{_text(found.title)}</title><style>{STYLE}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def pictured(found: Exploration, samples: Mapping[str, Sequence[ImageId]]) -> set[Place]:
    """The images that the page shows."""
    shown = [one for row in samples.values() for one in row]
    shown += [one for found_set in found.duplicates.listed[:SETS] for one in found_set.images[:IN_SET]]
    shown += found.constant.listed[:ONES]
    shown += found.doubtful_labels.listed[:ONES] if found.doubtful_labels is not None else []
    return {(one.split, one.number) for one in shown}


def _text(value: str) -> str:
    return escape(clean(value, 300), quote=True)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _figure(one: ImageId, pictures: Pictures, *lines: str) -> str:
    content = pictures.get((one.split, one.number))
    url = f"data:image/png;base64,{base64.b64encode(content).decode()}" if content is not None else ""
    caption = "<br>".join(_text(line) for line in lines)
    return f'<figure><img alt="{_text(one.name)}" src="{url}"><figcaption>{caption}</figcaption></figure>'


def _more(shown: int, count: int) -> list[str]:
    return [f'<p class="quiet">{count - shown:,} more in the JSON.</p>'] if count > shown else []


def _sides(found: Exploration) -> str:
    """`28–40 × 28 px, used at 64 px`"""
    width, height = (
        f"{low:,}" if low == high else f"{low:,}–{high:,}" for low, _, high in (found.widths, found.heights)
    )
    return f"{width} × {height} px, used at {found.size} px"


def _heading(found: Exploration) -> list[str]:
    total = sum(split.images for split in found.splits.values())
    kind = "grey" if found.channels == 1 else "RGB"
    synthetic = " <strong>Synthetic.</strong>" if found.synthetic else ""
    lines = [
        f"<h1>{_text(found.title)}</h1>",
        f'<p class="quiet">{_text(found.source)}</p>',
        f"<p>{total:,} {kind} images of {len(found.classes)} classes, {_sides(found)}, "
        f"{_text(found.task.replace('_', '-'))}; splits {_text(found.how_split)}; licence {_text(found.licence)}."
        f"{synthetic}</p>",
    ]
    remarks = "".join(f"<li>{_text(remark)}</li>" for remark in found.remarks)
    return [*lines, "<h2>What stands out</h2>", f"<ul>{remarks}</ul>" if remarks else "<p>Nothing.</p>"]


def _classes(found: Exploration) -> list[str]:
    header = ["class", *SPLITS, "of training", "", "mean", "deviation"]
    rows = [
        [
            one.name,
            *(f"{one.images[split]:,}" for split in SPLITS),
            f"{100 * one.fraction:.1f} %",
            "rare" if one.rare else "",
            numbers(one.mean),
            numbers(one.deviation),
        ]
        for one in found.classes
    ]
    splits = [
        [name, f"{split.images:,}", numbers(split.mean), numbers(split.deviation)]
        for name, split in found.splits.items()
    ]
    return [
        "<h2>Classes</h2>",
        _table(header, rows),
        "<h2>Splits</h2>",
        _table(["split", "images", "mean", "deviation"], splits),
        '<p class="quiet">Mean and deviation by channel, as fractions of the brightest value.</p>',
    ]


def numbers(values: Sequence[float] | None) -> str:
    """By channel: `0.33`, `0.79 0.65 0.69`."""
    return "–" if values is None else " ".join(f"{value:.3f}" for value in values)


def _sizes(found: Exploration) -> list[str]:
    notes = "".join(f"<li>{counted(n, 'image')}: {_text(note)}</li>" for note, n in found.notes.items())
    rows = [
        [one.name, *map(str, one.widths or ("–",) * 3), *map(str, one.heights or ("–",) * 3)] for one in found.classes
    ]
    if found.widths[0] == found.widths[2] and found.heights[0] == found.heights[2]:
        return ["<h2>Sizes</h2>", f"<p>All are {found.widths[0]} × {found.heights[0]} px.</p>", f"<ul>{notes}</ul>"]
    header = ["class", "narrowest", "median", "widest", "lowest", "median", "highest"]
    return ["<h2>Sizes in pixels, before resizing</h2>", _table(header, rows), f"<ul>{notes}</ul>"]


def _samples(samples: Mapping[str, Sequence[ImageId]], pictures: Pictures) -> list[str]:
    parts = ["<h2>Samples</h2>"]
    for name, images in samples.items():
        parts.append(f"<h3>{_text(name)}</h3><div>")
        parts += [_figure(one, pictures, one.name) for one in images]
        parts.append("</div>")
    return parts


def _duplicates(found: Exploration, pictures: Pictures) -> list[str]:
    of = found.duplicates
    parts = [
        "<h2>Duplicates</h2>",
        f"<p>{counted_duplicates(of.exact, of.near)} in {counted(of.sets, 'set')}; {of.across_splits:,} with "
        f"images in more than one split, {of.other_label:,} with different labels.</p>",
    ]
    for one in of.listed[:SETS]:
        figures = "".join(
            _figure(each, pictures, f"{each.split}: {each.name}", each.label) for each in one.images[:IN_SET]
        )
        left = f" ({one.count - IN_SET} more)" if one.count > IN_SET else ""
        parts.append(f'<section class="set"><p>{describe_set(one)}{left}</p>{figures}</section>')
    return parts + _more(min(SETS, of.sets), of.sets)


def describe_set(one: DuplicateSet) -> str:
    """`nearly the same, across splits, with different labels`."""
    said = ["the same pixels" if one.exact else "nearly the same"]
    said += ["across splits"] if one.across_splits else []
    said += ["with different labels"] if one.other_label else []
    return ", ".join(said)


def _damaged(found: Exploration) -> list[str]:
    of = found.damaged
    left = "".join(f"<li>left out: {_text(what)} ({n:,})</li>" for what, n in of.left_out.items())
    rows = [[one.file, one.reason] for one in of.listed[:FILES]]
    table = [_table(["file", "why"], rows)] if rows else ["<p>None.</p>"]
    return ["<h2>Files that cannot be used</h2>", *table, f"<ul>{left}</ul>", *_more(len(rows), of.count)]


def _constant(found: Exploration, pictures: Pictures) -> list[str]:
    of = found.constant
    figures = [_figure(one, pictures, f"{one.split}: {one.name}", one.label) for one in of.listed[:ONES]]
    return ["<h2>Images of one colour</h2>", *(figures or ["<p>None.</p>"]), *_more(len(figures), of.count)]


def _groups(found: Exploration) -> list[str]:
    of = found.groups
    if of is None:
        return ["<h2>Groups</h2>", "<p>No groups are known (dataset.group defines them).</p>"]
    rows = [[one.group, *(f"{one.images.get(split, 0):,}" for split in SPLITS)] for one in of.listed[:FILES]]
    table = [_table(["group", *SPLITS], rows)] if rows else []
    said = f"<p>{counted(of.count, 'group')}; {of.across_splits:,} with images in more than one split.</p>"
    return ["<h2>Groups</h2>", said, *table, *_more(len(rows), of.across_splits)]


def _doubtful(found: Exploration, pictures: Pictures) -> list[str]:
    of = found.doubtful_labels
    if of is None:
        return []
    figures = [
        _figure(
            one,
            pictures,
            f"{one.split}: {one.name}",
            f"{one.label}: {one.probability:.2g}",
            f"model: {one.predicted}, {one.confidence:.2f}",
        )
        for one in of.listed[:ONES]
    ]
    threshold = "a label less probable than 0.5" if found.task == "multi_label" else "another class is more probable"
    said = (
        f"<p>{of.doubted:,} of {of.scored:,} training and validation images are predicted as something else "
        f"({threshold}) by "
        f"{_text(of.model)}; those with the least probable labels first. A model may be wrong where a label is "
        "right.</p>"
    )
    for name, n in of.never_predicted.items():
        said += f"<p>Not judged: {n:,} images of {_text(name)}, a class that the model never predicts.</p>"
    if of.at_chance and of.auc is not None:
        said += (
            f"<p><strong>The model predicts no better than chance</strong> (AUC {of.auc:.2f} on the validation "
            "images): its doubts say nothing about the labels.</p>"
        )
    return ["<h2>Labels that the model doubts</h2>", said, *figures, *_more(len(figures), of.doubted)]
