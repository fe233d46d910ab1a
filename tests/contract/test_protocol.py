"""The protocol between engine and console: golden lines in both directions, and lines that are none of it.

`golden/*.jsonl` were written by hand. A line there may be added, never changed: engines of that version exist.
"""

from __future__ import annotations

import gc
import itertools
import json
import math
import os
import threading
import tracemalloc
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.contract.sentences import Commands
from engine.contract.wire import jobs, protocol
from engine.contract.wire.errors import ProtocolError
from engine.contract.wire.lines import lines_of
from engine.contract.wire.protocol import (
    LINE_LIMIT,
    AnyCommand,
    AnyEvent,
    Log,
    Message,
    PhaseChanged,
    Progress,
    Stop,
    parse_command,
    parse_event,
)

GOLDEN = Path(__file__).parent / "golden"
EVENTS = (GOLDEN / "events.jsonl").read_bytes().splitlines()
COMMANDS = (GOLDEN / "commands.jsonl").read_bytes().splitlines()
MIB = 1024 * 1024  # bytes

# The class that each name on the wire stands for.
EVENT_CLASSES = {
    "hello": protocol.Hello,
    "phase.changed": protocol.PhaseChanged,
    "run.started": protocol.RunStarted,
    "progress": protocol.Progress,
    "resources": protocol.Resources,
    "epoch.finished": protocol.EpochFinished,
    "checkpoint.saved": protocol.CheckpointSaved,
    "evaluation.finished": protocol.EvaluationFinished,
    "artifact.written": protocol.ArtifactWritten,
    "log": protocol.Log,
    "alarm": protocol.Alarm,
    "command.accepted": protocol.CommandAccepted,
    "command.rejected": protocol.CommandRejected,
    "diagnosis": protocol.Diagnosis,
    "run.finished": protocol.RunFinished,
}
COMMAND_CLASSES = {
    "start": jobs.Start,
    "pause": protocol.Pause,
    "resume": protocol.Resume,
    "stop": protocol.Stop,
    "abort": protocol.Abort,
    "checkpoint": protocol.SaveCheckpoint,
    "diagnose": protocol.Diagnose,
    "shutdown": protocol.Shutdown,
}
# The class of each job, and what only some jobs take of what a `start` line may hold.
JOB_CLASSES = {
    "train": (jobs.Train, {"recipe", "resume", "allow_drift", "on_disconnect"}),
    "evaluate": (jobs.Evaluate, {"run", "tta"}),
    "evaluate.features": (jobs.EvaluateFeatures, {"run", "method", "neighbours"}),
    "report": (jobs.Report, {"run", "everything"}),
    "score": (jobs.Score, {"file"}),
    "predict": (jobs.Predict, {"model", "images", "root", "output", "format", "tta", "pictures"}),
    "export": (jobs.Export, {"run", "output", "formats", "int8", "replace"}),
    "data.explore": (jobs.Explore, {"dataset", "output", "model"}),
    "data.import": (jobs.ImportData, {"file", "replace"}),
    "data.export": (jobs.ExportData, {"dataset", "output", "replace"}),
    "data.synth": (jobs.Synthesise, {"dataset", "size", "limit", "output", "replace"}),
    "table": (jobs.Table, {"name", "rows", "notes", "output"}),
    "curves": (jobs.Curves, {"title", "ylabel", "note", "panels", "output"}),
    "search.figure": (
        jobs.SearchFigure,
        {"title", "ylabel", "higher_is_better", "trials", "importances", "output"},
    ),
    "data.fetch": (jobs.Fetch, {"dataset", "size", "replace"}),
    "data.verify": (jobs.Verify, {"dataset", "size"}),
}
OF_SOME_JOBS = set[str]().union(*(own for _, own in JOB_CLASSES.values()))


def strict_json(line: bytes) -> Any:
    """JSON as RFC 8259 has it: bare NaN and Infinity are none."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(line, parse_constant=refuse)


def assert_nothing_is_lost(written: bytes, golden: bytes) -> None:
    """What an older side sent is preserved; fields that it did not know may be added."""
    told, said = strict_json(written), strict_json(golden)
    assert known_to(said, told) == said


def known_to(said: Any, told: Any) -> Any:
    """`told` without the fields that `said` has not, at any depth."""
    if isinstance(said, dict) and isinstance(told, dict):
        return {name: known_to(value, told[name]) for name, value in said.items()}
    if isinstance(said, list) and isinstance(told, list) and len(said) == len(told):
        return [known_to(*pair) for pair in zip(said, told, strict=True)]
    return told


def name_of(line: bytes, key: str) -> str:
    return str(json.loads(line)[key])


def class_of(line: bytes) -> type[Message]:
    """The class that a command's line stands for."""
    name = name_of(line, "command")
    return JOB_CLASSES[name_of(line, "job")][0] if name == "start" else COMMAND_CLASSES[name]


def without_other_jobs(line: bytes) -> bytes:
    """A line as it is without the fields of other jobs: every `start` line once held those of all jobs."""
    values = json.loads(line)
    own = JOB_CLASSES[values["job"]][1] if values["command"] == "start" else set()
    return json.dumps(
        {name: value for name, value in values.items() if name in own or name not in OF_SOME_JOBS}
    ).encode()


# ---- golden lines -------------------------------------------------------------------------------------------------


def test_every_event_and_command_has_a_golden_line() -> None:
    assert {name_of(line, "event") for line in EVENTS} == set(EVENT_CLASSES)
    assert {name_of(line, "command") for line in COMMANDS} == set(COMMAND_CLASSES)
    assert set(get_args(get_args(AnyEvent)[0])) == set(EVENT_CLASSES.values())
    assert {name_of(line, "job") for line in COMMANDS if name_of(line, "command") == "start"} == set(JOB_CLASSES)
    assert set(get_args(AnyCommand)) == set(COMMAND_CLASSES.values())
    assert {name: job for name, (job, _) in JOB_CLASSES.items()} == jobs.JOBS


def test_no_event_or_command_is_left_out_of_what_is_parsed() -> None:
    """A class that is written but not in the union could never be read."""

    def leaves(base: type[Message]) -> set[type[Message]]:
        below = base.__subclasses__()
        return set().union(*map(leaves, below)) if below else {base}

    assert leaves(protocol.Event) == set(EVENT_CLASSES.values())
    of_jobs = {job for job, _ in JOB_CLASSES.values()}
    assert leaves(protocol.Command) == set(COMMAND_CLASSES.values()) - {jobs.Start} | of_jobs


def test_two_jobs_cannot_have_one_name() -> None:
    with pytest.raises(TypeError, match="two jobs are named 'train'"):

        class Another(jobs.Start):
            job: Literal["train"] = "train"

    assert jobs.JOBS["train"] is jobs.Train
    gc.collect()  # the refused class is no command that other tests find


def test_only_training_stops_when_its_client_leaves_and_only_if_it_is_to() -> None:
    assert jobs.Train(id="c", on_disconnect="stop").stops_when_left
    assert not jobs.Train(id="c").stops_when_left
    assert jobs.Score(id="c", file="scores.csv").stops_when_left is False


def test_the_job_of_a_command_is_known_by_class_by_name_and_by_default() -> None:
    assert jobs.job_of(jobs.Score(id="c", file="scores.csv")) == "score"
    assert jobs.job_of({"job": "evaluate"}) == "evaluate"
    assert jobs.job_of({}) == "train"


@pytest.mark.parametrize("line", EVENTS, ids=lambda line: name_of(line, "event"))
def test_a_golden_event_is_read_and_written_back(line: bytes) -> None:
    event = parse_event(line)
    assert type(event) is EVENT_CLASSES[name_of(line, "event")]
    assert_nothing_is_lost(event.line(), line)


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: name_of(line, "command"))
def test_a_golden_command_is_read_and_written_back(line: bytes) -> None:
    command = parse_command(line)
    assert type(command) is class_of(line)
    assert_nothing_is_lost(command.line(), without_other_jobs(line))


@pytest.mark.parametrize("line", EVENTS + COMMANDS, ids=lambda line: json.loads(line).get("event", "command"))
def test_a_message_is_one_line_of_utf8(line: bytes) -> None:
    message = parse_event(line) or parse_command(line)
    written = message.line()
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    assert b"\x1b" not in written, "control characters travel escaped"
    written.decode("utf-8")


def test_text_with_line_breaks_stays_on_its_line() -> None:
    message = "one\ntwo\r\nthree\u2028four\0"
    line = Log(time=0.0, message=message).line()
    assert line.count(b"\n") == 1
    assert parse_event(line).message == message


# ---- numbers that JSON does not have ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "travels_as"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (0.1, 0.1)]
)
def test_nan_and_infinities_travel_as_text(value: float, travels_as: object) -> None:
    line = Progress(time=0.0, phase="training", activity="", done=0, total=0, loss=value).line()
    assert strict_json(line)["loss"] == travels_as
    assert repr(parse_event(line).loss) == repr(value)


@settings(max_examples=100, deadline=None)
@given(value=st.floats())
def test_every_float_arrives_as_it_was_sent(value: float) -> None:
    line = Progress(time=0.0, phase="training", activity="", done=0, total=0, loss=value).line()
    strict_json(line)
    assert repr(parse_event(line).loss) == repr(value)


# ---- what is not (yet) the protocol -------------------------------------------------------------------------------


@pytest.mark.parametrize("line", EVENTS, ids=lambda line: name_of(line, "event"))
def test_unknown_fields_of_a_newer_engine_are_ignored(line: bytes) -> None:
    newer = json.dumps({**json.loads(line), "mood": {"deep": [1]}}).encode()
    assert parse_event(newer).line() == parse_event(line).line()


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: name_of(line, "command"))
def test_unknown_fields_of_a_newer_console_are_ignored(line: bytes) -> None:
    newer = json.dumps({**json.loads(line), "mood": {"deep": [1]}}).encode()
    assert parse_command(newer) == parse_command(line)


def test_an_event_of_a_newer_engine_is_skipped() -> None:
    assert parse_event(b'{"event":"mood.changed","time":1.0,"seq":4}') is None


def test_an_unknown_command_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(ProtocolError) as error:
        parse_command(b'{"command":"dance","id":"c-1"}')
    assert error.value.code == Commands.INVALID.code
    for name in ("dance", *COMMAND_CLASSES):
        assert name in str(error.value.fields["reason"])


def test_an_unknown_job_is_refused_in_one_sentence_that_lists_the_known_ones() -> None:
    for job in ("explore", None, ["train"], {"job": "train"}, 7):
        with pytest.raises(ProtocolError) as error:
            parse_command(json.dumps({"command": "start", "id": "c-1", "job": job}).encode())
        assert "\n" not in str(error.value)
        assert (error.value.code, error.value.fields["known"]) == (Commands.UNKNOWN_JOB.code, ", ".join(JOB_CLASSES))


def test_a_start_without_a_job_trains() -> None:
    command = parse_command(b'{"command":"start","id":"c-1","recipe":{"dataset":{"name":"cells"}}}')
    assert (type(command), command.recipe) == (jobs.Train, {"dataset": {"name": "cells"}})


@pytest.mark.parametrize("job", ["evaluate", "report", "score", "data.fetch", "data.verify"])
def test_a_job_without_its_subject_is_refused_and_the_field_named(job: str) -> None:
    needed = {"score": "file", "data.fetch": "dataset", "data.verify": "dataset"}.get(job, "run")
    with pytest.raises(ProtocolError) as error:
        parse_command(json.dumps({"command": "start", "id": "c-1", "job": job}).encode())
    assert error.value.code == Commands.INVALID_FIELD.code
    assert str(error.value.fields["field"]).endswith(f"{job}.{needed}")


def test_the_fields_of_each_job_are_in_its_class_alone() -> None:
    for name, (job, own) in JOB_CLASSES.items():
        assert set(job.model_fields) - set(jobs.Start.model_fields) == own - set(jobs.Start.model_fields), name
        assert not set(job.model_fields) & (OF_SOME_JOBS - own), name


def test_a_command_without_an_id_is_refused_and_the_field_named() -> None:
    with pytest.raises(ProtocolError) as error:
        parse_command(b'{"command":"stop"}')
    assert (error.value.code, error.value.fields["field"]) == (Commands.INVALID_FIELD.code, "stop.id")


def test_a_command_of_more_than_1_mib_is_refused() -> None:
    line = json.dumps({"command": "start", "id": "c-1", "recipe": {"x": "y" * (2 * MIB)}}).encode()
    with pytest.raises(ProtocolError) as error:
        parse_command(line)
    assert (error.value.code, error.value.fields) == (Commands.TOO_LONG.code, {"size": len(line)})


def nothing_else_happens(line: bytes) -> None:
    """Every line is a message or none; no other exception."""
    event = parse_event(line)
    assert event is None or isinstance(event, protocol.Event)
    try:
        command = parse_command(line)
    except ProtocolError as error:
        assert str(error)
    else:
        assert isinstance(command, protocol.Command)


GARBAGE = {
    "nothing": b"",
    "blank": b" \t",
    "no JSON": b"Traceback (most recent call last):",
    "no object": b"[1, 2]",
    "null": b"null",
    "empty object": b"{}",
    "wrong kind": b'{"event":3,"command":[]}',
    "wrong field": b'{"event":"log","time":"soon","message":1,"command":"stop","id":7}',
    "no UTF-8": b'{"event":"log","time":1,"message":"\xff\xfe","command":"stop","id":"\xff"}',
    "half a surrogate": b'{"event":"log","time":1,"message":"\\ud800","command":"stop","id":"\\ud800"}',
    "long id": json.dumps({"command": "stop", "id": "x" * 201}).encode(),
    "2 MiB": b"x" * (2 * MIB),
    "2 MiB of brackets": b"[" * (2 * MIB),
    "deep": b'{"command":"start","id":"c","recipe":' + b'{"a":' * 10_000,
    "deep and closed": b'{"command":"start","id":"c","recipe":' + b'{"a":' * 1000 + b"1" + b"}" * 1001,
    "long number": b'{"command":"start","id":"c","recipe":{"a":' + b"9" * 5000 + b"}}",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_not_an_event_and_refused_as_a_command(name: str) -> None:
    assert parse_event(GARBAGE[name]) is None
    with pytest.raises(ProtocolError):
        parse_command(GARBAGE[name])


@settings(max_examples=200, deadline=None)
@given(line=st.binary(max_size=200))
def test_no_bytes_do_harm(line: bytes) -> None:
    nothing_else_happens(line)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), line=st.sampled_from(EVENTS + COMMANDS))
def test_no_damage_to_a_line_does_harm(data: st.DataObject, line: bytes) -> None:
    start = data.draw(st.integers(0, len(line)))
    end = data.draw(st.integers(start, min(len(line), start + 8)))
    nothing_else_happens(line[:start] + data.draw(st.binary(max_size=8)) + line[end:])


@pytest.mark.parametrize("line", EVENTS + COMMANDS, ids=lambda line: json.loads(line).get("event", "command"))
def test_half_a_line_is_not_a_message(line: bytes) -> None:
    for length in range(len(line)):
        assert parse_event(line[:length]) is None
    with pytest.raises(ProtocolError):
        parse_command(line[:-1])


# ---- lines of a descriptor ----------------------------------------------------------------------------------------


def lines_through_a_pipe(*pieces: bytes) -> list[bytes]:
    """What a reader gets while another thread writes these pieces and closes the pipe."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            for piece in pieces:
                left = memoryview(piece)
                while left:
                    left = left[pipe.write(left) :]

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return list(lines_of(reading))
    finally:
        os.close(reading)
        writer.join(10)


def test_lines_arrive_complete_however_they_were_written() -> None:
    assert lines_through_a_pipe(b"on", b"e\ntw", b"o\n", b"\nfour\n") == [b"one", b"two", b"", b"four"]


def test_a_half_last_line_is_dropped() -> None:
    assert lines_through_a_pipe(b"one\n", b'{"event":"lo') == [b"one"]
    assert lines_through_a_pipe(b"half") == []
    assert lines_through_a_pipe() == []


@pytest.mark.parametrize("excess", [1, 65_536, 2 * MIB])
def test_a_line_over_1_mib_is_skipped_and_the_next_arrives(excess: int) -> None:
    long = b"x" * (MIB + excess) + b"\n"
    assert LINE_LIMIT == MIB
    assert lines_through_a_pipe(b"before\n", long, b"after\n") == [b"before", b"after"]
    assert lines_through_a_pipe(long, long, b"after\nlast\n") == [b"after", b"last"]


def test_a_line_of_1_mib_arrives() -> None:
    assert lines_through_a_pipe(b"x" * MIB + b"\nafter\n") == [b"x" * MIB, b"after"]


def test_a_long_line_without_an_end_is_not_a_line() -> None:
    assert lines_through_a_pipe(b"before\n", b"x" * (3 * MIB)) == [b"before"]


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    pieces = [b"x" * MIB] * 24
    tracemalloc.start()
    try:
        assert lines_through_a_pipe(*pieces, b"\nafter\n") == [b"after"]
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


@settings(max_examples=40, deadline=None)
@given(text=st.binary(max_size=400).map(lambda data: data.replace(b"x", b"\n")), cuts=st.lists(st.integers(0, 400)))
def test_lines_do_not_depend_on_how_they_were_cut(text: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(edges)]
    assert lines_through_a_pipe(*pieces) == text.split(b"\n")[:-1]


def test_an_engine_that_writes_garbage_in_between_is_still_understood() -> None:
    stream = PhaseChanged(time=1.0, seq=1, phase="training").line()
    nonsense = b"libgomp: warning\n\xff\xfe\n" + b"#" * (2 * MIB) + b"\n"
    events = [parse_event(line) for line in lines_through_a_pipe(stream, nonsense, stream, b'{"event"')]
    assert [event.phase for event in events if event] == ["training", "training"]


def test_a_command_line_that_was_written_is_read_by_the_other_side() -> None:
    command = Stop(id="c-1", by="ada", engine="9f8e")
    assert [parse_command(line) for line in lines_through_a_pipe(command.line())] == [command]
