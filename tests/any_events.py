"""Any events at all, for Hypothesis: every field sampled by its type, NaN and infinities among the floats."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from hypothesis import HealthCheck
from hypothesis import strategies as st

from engine.contract.wire.protocol import AnyEvent, ClassMetrics, ErrorInfo, Metrics, Position
from engine.contract.wire.resolved import Resolved, StartingWeights

EVENT_CLASSES = get_args(get_args(AnyEvent)[0])
for part in (*EVENT_CLASSES, ErrorInfo, Metrics, ClassMetrics, Position, StartingWeights, Resolved):
    part.model_rebuild()  # what may stand in it is read from its signature, which it has once it is built


def events_of(event_class: Any) -> st.SearchStrategy[Any]:
    """Events of a class with every field sampled by its type, NaN and infinities among the floats."""
    drawn = {
        name: st.from_type(Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation)
        for name, field in event_class.model_fields.items()
        if name not in ("event", "seq", "v")
    }
    few = {"epoch": st.integers(0, 6), "resumed_from": st.none() | st.builds(Position, epoch=st.integers(0, 6))}
    return st.builds(event_class, seq=st.integers(0, 40) | st.none(), **drawn | {k: few[k] for k in few if k in drawn})


POOL = st.sampled_from(EVENT_CLASSES).flatmap(events_of)


def in_order(events: list[Any]) -> list[Any]:
    """As an engine sends them: state events are numbered from 1."""
    return [event.model_copy(update={"seq": number}) for number, event in enumerate(events, 1)]


STORIES = st.lists(POOL, max_size=8).flatmap(lambda events: st.sampled_from([events, in_order(events)]))
CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
