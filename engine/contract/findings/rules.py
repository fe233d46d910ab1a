"""The rules: each a pure function of a run's history, and silent unless it is sure.

A wrong remark costs more than a missing one: after it, no other is read. So each rule wants a minimum of epochs, an
effect that matters, and evidence that chance would hardly give. `tests/contract/test_findings.py` has a healthy run of
each shipped recipe, on which none may fire, and one run per rule that was made to show it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from engine.contract.findings.finding import Finding, Names
from engine.contract.findings.history import RECENT, EpochPoint, RunHistory
from engine.contract.findings.trend import SHORTEST, falls, mean, rises
from engine.contract.sentences import Findings
from engine.contract.wire.protocol import ClassMetrics

YOUNG = 5  # epochs; what a run does before says little
YOUNG_FRACTION = 0.25  # of the planned epochs: within them the rate still warms up


def findings(history: RunHistory) -> tuple[Finding, ...]:
    """What stands out, the most serious first."""
    global _judged  # a screen asks several times per second, of a history that changes once per epoch
    judged = _judged
    if judged[0] is not history:
        judged = (history, tuple(found for rule in RULES if (found := rule(history)) is not None))
        _judged = judged
    return judged[1]


_judged: tuple[RunHistory, tuple[Finding, ...]] = (RunHistory(), ())


# ---- it does not train ----------------------------------------------------------------------------------------------


def non_finite_loss(history: RunHistory) -> Finding | None:
    """The engine ends such a run itself."""
    alarm = history.alarm("non_finite_loss")
    return Finding.of(Findings.NON_FINITE_LOSS, what=alarm.message) if alarm is not None else None


def undefined_auc(history: RunHistory) -> Finding | None:
    undefined = sum(math.isnan(point.val_auc) for point in history.points)
    if not undefined:
        return None
    return Finding.of(Findings.UNDEFINED_AUC, n=undefined, epochs=len(history.points), reason=history.undefined)


def at_chance(history: RunHistory) -> Finding | None:
    """The validation AUC is within two standard errors of 0.5. Why, the training loss tells: does it fall?"""
    points = history.points
    if _is_young(history) or not (error := _chance_error(history)):
        return None
    auc = mean(point.val_auc for point in points[-RECENT:])
    if not auc <= 0.5 + min(2 * error, MOST_CHANCE):  # also when it is NaN
        return None
    first, last = points[0].train_loss, mean(point.train_loss for point in points[-RECENT:])
    sentence = Findings.AT_CHANCE if last < FALLEN * first else Findings.NOT_LEARNING
    return Finding.of(sentence, auc=auc, epochs=RECENT, first=first, last=last)


MOST_CHANCE = 0.1  # above 0.5: a model of AUC 0.6 has learnt something, however few the images
FALLEN = 0.95  # of the first epoch's loss: noise of an epoch's mean is far below 5 %


def _chance_error(history: RunHistory) -> float:
    """The standard error of the mean AUC of scores without meaning; 0 where it is not known.

    Of one class against the rest by the Mann-Whitney statistic; the classes' AUCs are taken as K - 1 independent ones.
    """
    if not history.classes:
        return 0.0
    supports = [row.support for row in history.classes[-1]]
    total = _images(history, supports)
    errors = [math.sqrt((total + 1) / (12 * n * (total - n))) for n in supports if 0 < n < total]
    return mean(errors) / math.sqrt(max(1, len(errors) - 1)) if errors else 0.0


def _images(history: RunHistory, supports: Sequence[int]) -> int:
    """Of the validation split."""
    known = history.started.images.get("val") if history.started is not None else None
    return known if known is not None else sum(supports)


# ---- it trains, but not well ----------------------------------------------------------------------------------------


def loss_spike(history: RunHistory) -> Finding | None:
    """An epoch's mean training loss half above the lowest before, or above guessing, at a rate near its peak.

    A model that knows nothing and says so has a loss of log K, K classes: well above it, steps are too long. Half above
    a loss near 0 is nothing: a few images that are misjudged with confidence.
    """
    points, started = history.points, history.started
    if _is_young(history):
        return None
    peak = started.lr if started is not None else None
    highest = max(point.lr for point in points) if peak is None else peak
    guessing, best = _guessing_loss(history), math.inf
    start = guessing if math.isfinite(guessing) else points[0].train_loss
    found: tuple[float, EpochPoint, float] | None = None
    for point in points:
        level = min(best, guessing)
        ratio = point.train_loss / level if level > 0 else 0.0
        is_spike = ratio >= SPIKE and point.train_loss - level >= RISE * start
        if is_spike and point.lr >= NEAR_PEAK * highest and (found is None or ratio > found[0]):
            found = (ratio, point, level)
        best = min(best, point.train_loss)
    if found is None:
        return None
    _, worst, level = found
    clipped = started is not None and started.clip_norm is not None
    remedy = "training.lr or training.clip_norm" if clipped else "training.lr, or set training.clip_norm"
    return Finding.of(
        Findings.LOSS_SPIKE, epoch=worst.epoch, loss=worst.train_loss, level=level, lr=worst.lr, remedy=remedy
    )


SPIKE = 1.5  # times the level
RISE = 0.25  # of the loss at the start
NEAR_PEAK = 0.5  # of the highest rate


def _guessing_loss(history: RunHistory) -> float:
    """log K; infinite where class weights may have scaled the loss of several labels per image."""
    started = history.started
    if started is None or started.task == "multi_label" or len(started.class_names) < 2:
        return math.inf
    return math.log(len(started.class_names))


def overfitting(history: RunHistory) -> Finding | None:
    """Since its lowest point, the validation loss rises and the training loss falls, both without doubt.

    Where the validation AUC rises with it, the model still orders the images better, and is only more confident.
    """
    points = [point for point in history.points if math.isfinite(point.val_loss)]
    if len(points) <= SHORTEST:
        return None
    lowest = min(range(len(points)), key=lambda at: points[at].val_loss)
    after = points[lowest + 1 :]
    if not (rises([point.val_loss for point in after]) and falls([point.train_loss for point in after])):
        return None
    if rises([point.val_auc for point in after]):
        return None
    near = points[max(0, lowest - 1) : lowest + 2]  # its neighbours too: the lowest of many is low by luck
    before, now = (mean(point.val_loss for point in few) for few in (near, points[-RECENT:]))
    if now < RISEN * before:
        return None
    train_before, train_now = (mean(point.train_loss for point in few) for few in (near, points[-RECENT:]))
    return Finding.of(
        Findings.OVERFITTING,
        epoch=points[lowest].epoch,
        before=before,
        now=now,
        train_before=train_before,
        train_now=train_now,
    )


RISEN = 1.15  # times the lowest level: what a few validation images vary by from epoch to epoch is less


def never_predicted(history: RunHistory) -> Finding | None:
    """Classes that validation has and no image was given. Not of several labels per image: there a rare label's score
    stays below the threshold in good models too."""
    started = history.started
    if _is_young(history) or len(history.classes) < RECENT or started is None or started.task == "multi_label":
        return None
    least = COMMON * sum(row.support for row in history.classes[-1]) / len(history.classes[-1] or "1")
    missing = [
        rows[0].name
        for rows in zip(*history.classes, strict=False)
        if rows[0].support > least and all(map(_is_unpredicted, rows))
    ]
    if not missing:
        return None
    return Finding.of(Findings.NEVER_PREDICTED, classes=Names(missing), epochs=RECENT)


# Of the images that each of K classes would have in equal parts. Below, the other classes' prior outweighs what a good
# model sees: the severest grade of retinamnist, 6 of 120 images, is never the most probable one.
COMMON = 0.5


def _is_unpredicted(row: ClassMetrics) -> bool:
    """No image at all: the precision is then undefined."""
    return row.recall == 0 and math.isnan(row.precision)


# ---- it could train longer, or faster -------------------------------------------------------------------------------


def still_rising(history: RunHistory) -> Finding | None:
    """All planned epochs are done, the last ones are the best, and the second half gained more than chance gives."""
    points = history.points
    if not points or points[-1].epoch != history.planned or points[-1].without_improvement > 1:
        return None
    aucs = [point.val_auc for point in points[len(points) // 2 :]]
    if len(aucs) < SHORTEST or not rises(aucs):
        return None
    third = len(aucs) // 3
    gain = mean(aucs[-third:]) - mean(aucs[:third])
    if not gain >= max(GAIN, _chance_error(history)):
        return None
    return Finding.of(Findings.STILL_RISING, epochs=len(aucs), gain=gain, auc=aucs[-1])


GAIN = 0.01  # of AUC: less is not worth another run


def stopped_before_annealing(history: RunHistory) -> Finding | None:
    """Early stopping ended a run whose schedule had hardly lowered the rate: the gain that comes with it was missed."""
    points, started = history.points, history.started
    if not points or started is None or started.patience is None:
        return None
    last, highest = points[-1], max(point.lr for point in points)
    early = last.without_improvement >= started.patience and last.epoch < history.planned / 2
    constant = all(point.lr == highest for point in points)
    if not early or constant or last.lr < NEAR_PEAK * highest:
        return None
    return Finding.of(
        Findings.STOPPED_BEFORE_ANNEALING, epoch=last.epoch, planned=history.planned, fraction=last.lr / highest
    )


def slowed(history: RunHistory) -> Finding | None:
    """Some epochs in a row at a quarter of the pace that the run itself has shown, long enough to be no hiccup."""
    paces = sorted(point.pace for point in history.points if math.isfinite(point.pace))
    if len(paces) < 2 * RECENT:
        return None
    usual = paces[len(paces) * 3 // 4]
    runs = [run for run in _slow_runs(history.points, usual / SLOW) if _is_long(run)]
    if not runs:
        return None
    worst = max(runs, key=lambda run: sum(point.seconds for point in run))
    return Finding.of(
        Findings.SLOWED,
        first=worst[0].epoch,
        last=worst[-1].epoch,
        pace=median(point.pace for point in worst),
        usual=usual,
    )


SLOW = 4.0  # times slower: a second job on the same cores costs half
LONG = 2.0  # seconds


def _slow_runs(points: Sequence[EpochPoint], pace: float) -> Iterator[list[EpochPoint]]:
    """Neighbouring epochs below a pace."""
    run: list[EpochPoint] = []
    for point in points:
        if point.pace < pace:
            run.append(point)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _is_long(run: Sequence[EpochPoint]) -> bool:
    return len(run) >= RECENT and sum(point.seconds for point in run) >= LONG


def _is_young(history: RunHistory) -> bool:
    return len(history.points) < max(YOUNG, YOUNG_FRACTION * history.planned)


RULES: tuple[Callable[[RunHistory], Finding | None], ...] = (
    non_finite_loss,
    undefined_auc,
    at_chance,
    loss_spike,
    overfitting,
    never_predicted,
    slowed,
    stopped_before_annealing,
    still_rising,
)
