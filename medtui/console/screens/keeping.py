"""Results: tag, note, archive, delete, evaluate again. Each asks first, and says in words what was done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from engine.contract.errors import UsageError
from engine.contract.resumable import check_resumable
from engine.contract.run_directory import RunDirectory
from medtui.client import keeping
from medtui.client.evaluate import evaluate_run, later_evaluations
from medtui.client.journal import replay
from medtui.client.state import RunState
from medtui.console.engines import who
from medtui.console.host import Host
from medtui.console.screens.dialogs import AskText, Question
from medtui.text import clean, number

Ask = Callable[[Host, RunDirectory], Awaitable[str | None]]  # None: nothing was done
DELETE = "delete"  # what has to be typed


async def tag(host: Host, run: RunDirectory) -> str | None:
    tags = " ".join(keeping.read_labels(run).tags)
    answer = await host.push_screen_wait(AskText(f"Tags of {clean(run.name)}, with spaces between:", tags))
    if answer is None or answer == tags:
        return None
    labels = keeping.set_tags(run, answer.split())
    return f"Tags of {run.name}: {' '.join(labels.tags) or 'none'}"


async def note(host: Host, run: RunDirectory) -> str | None:
    before = keeping.read_labels(run).note
    answer = await host.push_screen_wait(AskText(f"A note on {clean(run.name)}:", before))
    if answer is None or answer == before:
        return None
    keeping.set_note(run, answer.strip())
    return f"Noted on {run.name}."


async def archive(host: Host, run: RunDirectory) -> str | None:
    keeping.refuse_living(run, host.workspace)
    back = f"medtui runs unarchive {clean(run.name)}"
    words = f"Move {clean(run.name)} to outputs/{keeping.ARCHIVE}? It is not listed there; {back} brings it back."
    if await host.push_screen_wait(Question(words, [("no", "no"), ("yes", "move it")])) != "yes":
        return None
    place = await asyncio.to_thread(keeping.archive, run, host.workspace)
    return f"Moved to {place}; {back} brings it back."


async def delete(host: Host, run: RunDirectory) -> str | None:
    keeping.refuse_living(run, host.workspace)
    size = await asyncio.to_thread(keeping.size_of, run)
    words = f"{clean(run.name)} and its {size / 1e6:,.0f} MB will be gone for ever. Type {DELETE} to delete it:"
    if (await host.push_screen_wait(AskText(words, "")) or "").strip() != DELETE:
        return None
    await asyncio.to_thread(keeping.delete, run, host.workspace)
    return f"Deleted {run.name}."


async def resume(host: Host, run: RunDirectory) -> str | None:
    """Hours of work may begin: first it is said where. What cannot go on is refused before that."""
    keeping.refuse_living(run, host.workspace)
    check_resumable(run, host.workspace)
    where = where_it_goes_on(await asyncio.to_thread(replay, run.journal))
    question = Question(f"Go on with {clean(run.name)} {where}?", [("no", "cancel"), ("yes", "go on")])
    if await host.push_screen_wait(question) != "yes":
        return None
    if (refused := host.resume_run(run)) is not None:
        raise UsageError(refused)
    return f"Going on with {run.name}."


def where_it_goes_on(state: RunState) -> str:
    """In words; the epoch and the step that are counted from 1, as everywhere on the screen."""
    saved, started = state.last_checkpoint, state.started
    if saved is None or started is None:
        return "from its start: it saved no checkpoint"
    epoch, step = saved.position.epoch, saved.position.step
    waited = state.epochs[-1].without_improvement if state.epochs else 0
    if epoch >= started.epochs or (started.patience is not None and waited >= started.patience):
        return f"with its evaluation: training was done after epoch {epoch}"
    where = f"step {step} of {started.steps_per_epoch}" if step else "its first step"
    return f"from its last checkpoint: epoch {epoch + 1} of {started.epochs}, {where}"


async def evaluate_again(host: Host, run: RunDirectory) -> str | None:
    keeping.refuse_living(run, host.workspace)
    answers = [("no", "no"), ("as", "by its recipe"), ("plain", "without TTA")]
    question = Question(f"Evaluate the test split of {clean(run.name)} again?", answers)
    answer = await host.push_screen_wait(question)
    if answer not in ("as", "plain"):
        return None
    host.say(f"Evaluating {run.name} …")
    tta = False if answer == "plain" else None
    job = partial(evaluate_run, tta=tta, by=who(), given_up=lambda: not host.is_running)
    result = await asyncio.to_thread(job, run, host.workspace, host.data)
    folder = later_evaluations(run)[-1].folder
    return f"AUC {number(result.metrics.auc)}, ACC {number(result.metrics.acc)}; in {folder}."
