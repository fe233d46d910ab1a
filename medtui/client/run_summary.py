"""All that is known of one run, as `medtui show` prints it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engine.contract.data.published import Published, published_for, remarks
from engine.contract.findings.history import history_from
from engine.contract.findings.rules import findings
from engine.contract.store.journal import describe_damage
from engine.contract.store.run_directory import RunDirectory, attempts_of
from engine.contract.store.run_record import RunRecord, own_recipe, read_run, resolved_of_run
from medtui.client.artifacts import artifacts_there
from medtui.client.labels import read_labels
from medtui.client.runs import suite_of


def summary(run: RunDirectory) -> dict[str, Any]:
    """The object that `show --json` prints; paths absolute, for the place where the run lies now."""
    record = read_run(run, "untrusted")
    found, damage = record.summary, list(dict.fromkeys([*record.damage, *_damage_of_journal(record)]))
    shown = found.model_dump()
    shown |= {"run": run.name, "run_dir": str(run.root), "state": record.state, **asdict(read_labels(run))}
    if run.recipe.is_regular and own_recipe(run) is None and not any(run.recipe.name in what for what in damage):
        damage.append(f"{run.recipe.name} is damaged")  # lists do not parse it
    resolved, resolved_hash = resolved_of_run(record)
    shown |= {"resolved": resolved.model_dump(mode="json") if resolved else None, "resolved_hash": resolved_hash}
    shown |= {"outcome": record.outcome, "weights": record.weights, "damage": damage}
    comparable = not (found.synthetic or found.limit is not None)
    published = published_for(found.dataset or "", found.size or 0) if comparable else []
    shown["published"] = [_published_values(one, published) for one in published]
    shown["findings"] = _findings(run)
    shown["artifacts"] = {name: str(run.root / path) for name, path in artifacts_there(run, found.artifacts).items()}
    shown["checkpoints"] = _checkpoints(run)
    shown["job_logs"] = _job_logs(record)
    shown["suite"] = suite_of(record.manifest or {})
    return shown


def _checkpoints(run: RunDirectory) -> list[str]:
    """The files of its checkpoints that are there now; none where they cannot be listed."""
    try:
        return sorted(name for name in run.checkpoints.names() if name.endswith(".safetensors") and name[0] != ".")
    except OSError:
        return []


def _job_logs(record: RunRecord) -> list[str]:
    """The files with the output of the scheduler's jobs that did it, oldest first."""
    logs = (attempt.get("job_log") for attempt in attempts_of(record.manifest or {}))
    return list(dict.fromkeys(log for log in logs if isinstance(log, str)))


def _findings(run: RunDirectory) -> list[dict[str, Any]]:
    """What stands out; nothing where the journal cannot be read, which is reported as damage."""
    try:
        return [finding.values() for finding in findings(history_from(run.journal))]
    except OSError:
        return []


def _published_values(one: Published, among: list[Published]) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in ("method", "size", "protocol", "auc", "auc_sd", "acc", "acc_sd")}
    return values | {"source": one.source.citation, "remarks": remarks(one, among)}


def _damage_of_journal(record: RunRecord) -> list[str]:
    """Of a run whose engine may be writing the last line just now: nothing."""
    try:
        damage = describe_damage(record.run.journal) if not record.alive else ""
    except OSError:  # reported by the record
        return []
    return [damage] if damage else []
