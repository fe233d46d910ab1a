"""What to try next, what to prune and which fields matter, by Optuna (the extra `medtui[search]`): imported here only.

Nothing of Optuna's lasts: each question makes a study in memory of the trials as they are, with a sampler whose seed
is that of the search plus the number of the trial. So a search that was killed asks as one that was not.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

from engine.contract.wire.errors import UsageError
from medtui.search.definition import Search
from medtui.search.space import Choice, Range, Values
from medtui.search.trials import Curve, Trial
from medtui.sentences import Searches

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

JUDGES = 5  # completed trials before any is pruned
AGAIN = 20  # other seeds that are tried where a trial was done before
MOST_LISTED = 10_000  # combinations


@cache
def require_optuna() -> None:
    """Raises UsageError where it is not installed."""
    try:
        import optuna
    except ImportError:
        raise UsageError(Searches.NO_OPTUNA) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def ask(search: Search, trials: Sequence[Trial], number: int) -> Values:
    """The values of trial `number`, none that was tried where others are left. `trials`: all before it."""
    tried = [trial.values for trial in trials]
    for attempt in range(AGAIN):
        study = _study(search, trials, search.file.random_seed + number + attempt * 1_000_003)
        values = _values(search, study.ask(_distributions(search)).params)
        if values not in tried:
            return values
    if search.most_trials <= MOST_LISTED:
        spans = [
            one.values if isinstance(one, Choice) else range(int(one.low), int(one.high) + 1)
            for one in search.file.space
        ]
        paths = [one.path for one in search.file.space]
        left = (dict(zip(paths, one, strict=True)) for one in product(*spans))
        return next((one for one in left if one not in tried), values)
    return values


def is_pruned(search: Search, trials: Sequence[Trial], seed: int, curve: Curve) -> bool:
    """Is the newest epoch of a run's curve worse than the median of completed trials at that epoch, with that seed?

    Optuna's MedianPruner: the best value of the run so far counts, against what the others had at that epoch.
    """
    from optuna.trial import TrialState, create_trial

    done = [trial for trial in trials if trial.state == "completed"]
    if len(done) < JUDGES or not curve:
        return False
    study = _study(search, done, 0, seed)
    judged = create_trial(state=TrialState.RUNNING, intermediate_values=dict(curve))
    return bool(study.pruner.prune(study, judged))


def importances(search: Search, trials: Sequence[Trial]) -> dict[str, float]:
    """How much of the variance each field explains, by fANOVA over completed trials; none where they are too few."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    done = [trial for trial in trials if trial.state == "completed"]
    if len(done) < 4 or len({trial.value for trial in done}) < 2:
        return {}
    found = get_param_importances(_study(search, done, 0), evaluator=FanovaImportanceEvaluator(seed=0))
    return {path: float(value) for path, value in found.items()}


def warm_up_epochs(search: Search) -> int:
    """In which no run is pruned."""
    return max(1, search.base.training.epochs // 10)


def _study(search: Search, trials: Sequence[Trial], sampler_seed: int, seed: int | None = None) -> Study:
    """`seed`: of the runs whose curves completed trials get."""
    require_optuna()
    import optuna

    sampler: Any = optuna.samplers.RandomSampler(sampler_seed)
    if search.file.sampler == "tpe":
        first = min(10, max(5, 2 * len(search.file.space)))
        sampler = optuna.samplers.TPESampler(seed=sampler_seed, n_startup_trials=first, constant_liar=True)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=JUDGES, n_warmup_steps=warm_up_epochs(search))
    direction = (
        optuna.study.StudyDirection.MAXIMIZE if search.higher_is_better else optuna.study.StudyDirection.MINIMIZE
    )
    study = optuna.create_study(direction=direction, sampler=sampler, pruner=pruner)
    for trial in trials:
        study.add_trial(_frozen(search, trial, seed))
    return study


def _frozen(search: Search, trial: Trial, seed: int | None) -> FrozenTrial:
    """A failed trial is one that was pruned without a value: worse than every other."""
    from optuna.trial import TrialState, create_trial

    given: dict[str, Any] = {"params": _parameters(search, trial.values), "distributions": _distributions(search)}
    if trial.value is not None:
        curve = trial.curves.get(seed, {}) if seed is not None else {}
        return create_trial(state=TrialState.COMPLETE, value=trial.value, intermediate_values=dict(curve), **given)
    if trial.state == "open":
        return create_trial(state=TrialState.RUNNING, **given)
    return create_trial(state=TrialState.PRUNED, intermediate_values=dict(trial.judged_curve), **given)


def _distributions(search: Search) -> dict[str, Any]:
    """A choice is the number of its value: what Optuna keeps need not be what a recipe has."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for one in search.file.space:
        if isinstance(one, Choice):
            found[one.path] = CategoricalDistribution(range(len(one.values)))
        elif one.integer:
            found[one.path] = IntDistribution(int(one.low), int(one.high), log=one.log)
        else:
            found[one.path] = FloatDistribution(one.low, one.high, log=one.log)
    return found


def _values(search: Search, parameters: dict[str, Any]) -> Values:
    return {
        one.path: one.rounded(parameters[one.path]) if isinstance(one, Range) else one.values[parameters[one.path]]
        for one in search.file.space
    }


def _parameters(search: Search, values: Values) -> dict[str, Any]:
    return {
        one.path: values[one.path] if isinstance(one, Range) else _number(one, values[one.path])
        for one in search.file.space
    }


def _number(choice: Choice, value: Any) -> int:
    """1 and true are two values."""
    return next(
        at for at, one in enumerate(choice.values) if one == value and isinstance(one, bool) == isinstance(value, bool)
    )
