"""The table of a suite as values: runs that differ only in the seed are a group; groups on the same data, a block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from engine.contract.data.published import Published, references
from engine.contract.recipe.identity import canonical_json, hash_of, identity
from engine.contract.recipe.reader import recipe_from_values
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sources import facts_of
from engine.contract.store.run_record import read_run
from engine.contract.store.workspace import Workspace
from medtui.suites.plan import labels_of, without_seed
from medtui.suites.statistics import Summary, is_better, summarise
from medtui.suites.store import run_directory
from medtui.suites.work import Item
from medtui.text import data_marks

METRICS = ("auc", "acc")  # of the test split
RULE = (
    "± is the standard deviation over seeds (n - 1), 95 % the t-interval of the mean, cut at 0 and 1. * marks the "
    "highest mean of a block if a two-sided paired t-test over at least 3 common seeds tells it from each of the "
    "others (p < 0.05)."
)


@dataclass(frozen=True)
class SeedRun:
    """One run of a group; metrics None where it has none yet."""

    seed: int
    label: str
    state: str
    run: str | None
    auc: float | None = None
    acc: float | None = None
    from_scratch: bool = False  # it started from random weights
    fell_back: bool = False  # although published ones were asked for, or might have been used
    data: str | None = None  # fingerprint of its images


@dataclass(frozen=True)
class Group:
    label: str  # without data set and seed
    recipe: Recipe
    runs: tuple[SeedRun, ...]
    best: frozenset[str] = frozenset()  # metrics in which it is marked

    def values(self, metric: str) -> dict[int, float]:
        """By seed, of completed runs; an undefined value is none."""
        found = {run.seed: getattr(run, metric) for run in self.runs if run.state == "completed"}
        return {seed: value for seed, value in found.items() if value is not None and value == value}

    def summary(self, metric: str) -> Summary:
        return summarise(list(self.values(metric).values()), (0.0, 1.0))

    def count(self, state: str) -> int:
        return sum(run.state == state for run in self.runs)

    @property
    def notes(self) -> list[str]:
        """What must be known next to its numbers."""
        missing = [run for run in self.runs if run.state not in ("completed", "failed", *_ENDED_EARLY)]
        found = [f"{len(missing)} of {len(self.runs)} missing"] * bool(missing)
        found += [f"{self.count(state)} {state}" for state in ("failed", *_ENDED_EARLY) if self.count(state)]
        done = [run for run in self.runs if run.state == "completed"]
        fallen, scratch = [run for run in done if run.fell_back], [run for run in done if run.from_scratch]
        if fallen and len(fallen) < len(done):
            found.append(f"{len(fallen)} from scratch and {len(done) - len(fallen)} not: not one experiment")
        elif scratch:
            found.append("from scratch")
        if len({run.data for run in done if run.data is not None}) > 1:
            found.append("of different data files: not one experiment")
        if not self.recipe.evaluation.test:
            return [*found, "test split not evaluated"]
        undefined = [name.upper() for name in METRICS if len(self.values(name)) < len(done)]
        return found + [f"{' and '.join(undefined)} undefined in some"] * bool(undefined)


_ENDED_EARLY = ("stopped", "aborted", "killed")


@dataclass(frozen=True)
class Block:
    """Groups that were tested on the same images."""

    title: str
    dataset: str
    size: int
    limited: bool  # on a subset, or on generated images: published values are of something else
    groups: tuple[Group, ...]
    published: tuple[Published, ...] = field(default=())


def table_of(items: Iterable[Item], workspace: Workspace) -> list[Block]:
    """Reads the newest of every run."""
    pairs = [(item, recipe_from_values(item.recipe)) for item in items]
    runs = [(recipe, seed_run(item, recipe, workspace)) for item, recipe in pairs]
    return blocks_of(runs)


def seed_run(item: Item, recipe: Recipe, workspace: Workspace) -> SeedRun:
    if item.run is None:
        return SeedRun(recipe.training.seed, item.label, item.state, None)
    found = read_run(run_directory(workspace, item.run)).summary
    weights = found.resolved.weights if found.resolved is not None else None
    scratch = weights is not None and weights.kind == "scratch"
    return SeedRun(
        seed=recipe.training.seed,
        label=item.label,
        state=item.state if found.run is not None or item.state != "completed" else "missing",
        run=item.run,
        auc=found.test.auc if found.test is not None else None,
        acc=found.test.acc if found.test is not None else None,
        from_scratch=scratch,
        fell_back=scratch and weights is not None and bool(weights.note),
        data=found.resolved.data if found.resolved is not None else None,
    )


def blocks_of(runs: Sequence[tuple[Recipe, SeedRun]]) -> list[Block]:
    """Pure. Blocks and groups in the order of their first runs."""
    by_group: dict[str, list[tuple[Recipe, SeedRun]]] = {}
    for recipe, run in runs:
        by_group.setdefault(without_seed(recipe), []).append((recipe, run))
    recipes = [members[0][0] for members in by_group.values()]
    labels = labels_of(recipes, with_seed=False)
    by_block: dict[str, list[Group]] = {}
    for label, members in zip(labels, by_group.values(), strict=True):
        recipe = members[0][0]
        group = Group(label.partition(", ")[2], recipe, tuple(run for _, run in members))
        key = hash_of(canonical_json({path: one for path, one in identity(recipe).items() if path.startswith("data")}))
        by_block.setdefault(key, []).append(group)
    return [_block(groups) for groups in by_block.values()]


def _block(groups: Sequence[Group]) -> Block:
    section = groups[0].recipe.dataset
    facts = facts_of(section)
    marks = data_marks(facts.synthetic, section.limit)
    limited = bool(marks)
    title = ", ".join([f"{facts.name} {section.size} px", *marks])
    published = () if limited else tuple(references(facts.name, section.size))
    return Block(title, facts.name, section.size, limited, marked(groups), published)


def marked(groups: Sequence[Group]) -> tuple[Group, ...]:
    """With the best ones marked: of each metric the highest mean that a test tells from every other group."""
    best: dict[int, set[str]] = {at: set() for at in range(len(groups))}
    for metric in METRICS:
        means = {at: mean for at, group in enumerate(groups) if (mean := group.summary(metric).mean) is not None}
        if len(groups) < 2 or len(means) < len(groups):
            continue
        top = max(means, key=lambda at: means[at])
        of_top = groups[top].values(metric)
        if all(is_better(of_top, other.values(metric)) for at, other in enumerate(groups) if at != top):
            best[top].add(metric)
    return tuple(Group(group.label, group.recipe, group.runs, frozenset(best[at])) for at, group in enumerate(groups))
