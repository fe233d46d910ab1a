"""Results: tag, note, archive, delete, evaluate again. Each asks first, and reports what was done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from shlex import quote

from engine.contract.store.resumable import check_resumable
from engine.contract.store.run_directory import ARCHIVE, RunDirectory
from engine.contract.wire.text import format_bytes
from medtui.client import run_management
from medtui.client.evaluate import evaluate_run, later_evaluations
from medtui.client.journal import replay
from medtui.client.labels import read_labels, set_note, set_tags, tags_of
from medtui.client.state import RunState
from medtui.console.shell.app_context import AppContext
from medtui.console.shell.dialogs import Answer, AskText, Question
from medtui.console.shell.engines import who
from medtui.text import clean, number

Ask = Callable[[AppContext, RunDirectory], Awaitable[str | None]]  # None: nothing was done
DELETE = "delete"  # what has to be typed


async def tag(context: AppContext, run: RunDirectory) -> str | None:
    tags = " ".join(read_labels(run).tags)
    answer = await context.push_screen_wait(AskText(f"Tags of {clean(run.name)}, separated by spaces:", tags))
    if answer is None or answer == tags:
        return None
    labels = set_tags(run, tags_of(answer))
    return f"Tags of {run.name}: {' '.join(labels.tags) or 'none'}"


async def note(context: AppContext, run: RunDirectory) -> str | None:
    before = read_labels(run).note
    answer = await context.push_screen_wait(AskText(f"Note on {clean(run.name)}:", before))
    if answer is None or answer == before:
        return None
    set_note(run, answer.strip())
    return f"Saved the note on {run.name}."


async def archive(context: AppContext, run: RunDirectory) -> str | None:
    run_management.refuse_living(run, context.workspace)
    back = f"`medtui runs unarchive {quote(clean(run.name))}`"
    words = f"Move {clean(run.name)} to outputs/{ARCHIVE}? Archived runs are not listed; {back} restores it."
    question = Question(words, [("no", "leave it"), ("yes", "move it")], likely="yes")
    if await context.push_screen_wait(question) != "yes":
        return None
    archived = await asyncio.to_thread(run_management.archive, run, context.workspace)
    return f"Moved to {archived}; {back} restores it."


async def delete(context: AppContext, run: RunDirectory) -> str | None:
    run_management.refuse_living(run, context.workspace)
    size = await asyncio.to_thread(run_management.size_of, run)
    words = f"{clean(run.name)} and its {format_bytes(size)} will be deleted permanently. Type {DELETE} to confirm:"
    if (await context.push_screen_wait(AskText(words, "")) or "").strip() != DELETE:
        return None
    await asyncio.to_thread(run_management.delete, run, context.workspace)
    return f"Deleted {run.name}."


async def resume(context: AppContext, run: RunDirectory) -> str | None:
    """Hours of training may begin: the question says from where. A run that cannot be resumed is refused before."""
    run_management.refuse_living(run, context.workspace)
    check_resumable(run, context.workspace)
    where = describe_resume_point(await asyncio.to_thread(replay, run.journal))
    question = Question(f"Resume {clean(run.name)} {where}?", [("no", "not now"), ("yes", "resume")], likely="yes")
    if await context.push_screen_wait(question) != "yes":
        return None
    context.resume_run(run)
    return f"Resuming {run.name}."


def describe_resume_point(state: RunState) -> str:
    """Epoch and step are counted from 1, as everywhere on the screen."""
    saved, started = state.last_checkpoint, state.started
    if saved is None or started is None:
        return "from the start: it has no checkpoint"
    epoch, step = saved.position.epoch, saved.position.step
    waited = state.epochs[-1].without_improvement if state.epochs else 0
    if epoch >= started.epochs or (started.patience is not None and waited >= started.patience):
        return f"with its evaluation: training ended after epoch {epoch}"
    where = f"step {step} of {started.steps_per_epoch}" if step else "first step"
    return f"from its last checkpoint: epoch {epoch + 1} of {started.epochs}, {where}"


async def evaluate_again(context: AppContext, run: RunDirectory) -> str | None:
    run_management.refuse_living(run, context.workspace)
    answers: list[Answer] = [("no", "not now"), ("as", "as in its recipe"), ("plain", "without TTA")]
    question = Question(f"Evaluate the test split of {clean(run.name)} again?", answers, likely="as")
    answer = await context.push_screen_wait(question)
    if answer not in ("as", "plain"):
        return None
    context.show_toast(f"Evaluating {run.name} …")
    tta = False if answer == "plain" else None
    job = partial(evaluate_run, tta=tta, by=who(), cancelled=lambda: not context.is_running)
    result = await asyncio.to_thread(job, run, context.workspace, context.data)
    folder = later_evaluations(run)[-1].folder
    return f"AUC {number(result.metrics.auc)}, ACC {number(result.metrics.acc)}; in {folder}."
