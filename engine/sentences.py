"""What only the engine can find wrong, and how it reads. Groups are alphabetical; a code is `group.name`."""

from __future__ import annotations

from engine.contract.wire.sentences import Sentence


class Alarms:
    """What a run continues without, or with."""

    ARTIFACT_NOT_WRITTEN = Sentence(
        "{artifact} was not written: {reason}", "When that is fixed, `medtui report {run}` writes it."
    )
    AUC_UNDEFINED = Sentence("The validation AUC of epoch {epoch} is undefined: {reason}.")
    CHECKPOINT_ALTERED = Sentence("{file} does not hold what was written to it; {kept} are kept.", "Check the disk.")
    PREVIOUS_CHECKPOINT_USED = Sentence(
        "{trouble} Using the previous one: epoch {epoch}, step {step}.", "Check the disk."
    )
    TABLE_NOT_EXTENDED = Sentence("{table} cannot be extended: {reason}", "The missing rows follow once that is fixed.")


class Archive:
    CHANGED = Sentence("{path} changed while it was read.", "Try again when nothing is writing to it.")
