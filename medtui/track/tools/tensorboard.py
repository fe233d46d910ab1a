"""TensorBoard: one event file in the run's folder, `tensorboard/`.

The file is a function of the journal and the figures: what it holds is compared with what it should hold, and only the
rest is added. So a follower that was killed, even within a record, leaves nothing behind that is there twice.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData
from tensorboard.summary.writer.record_writer import RecordWriter

from engine.contract.recipe.yaml_reader import written
from medtui.track.records import Artifact, End, Record, Row, RunFacts
from medtui.track.tracker import Source

FOLDER = "tensorboard"
FILE = "events.out.tfevents.0000000000.medtui"  # TensorBoard reads what has the second and third part in its name
IMAGE_LIMIT = 16 * 1024 * 1024  # bytes of a figure


class TensorBoard:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._file = source.run.folder.file(FOLDER) / FILE
        self._events = _Events()
        self._is_compared = False

    @property
    def where(self) -> str:
        return str(self._file.parent)

    def begin(self, facts: RunFacts) -> None:
        self._events.add(facts.time, file_version="brain.Event:2")
        self._add_text("recipe", _table(facts.parameters), 0, facts.time)
        self._add_text("run", _table(facts.tags), 0, facts.time)

    def write(self, records: Sequence[Record]) -> None:
        for record in records:
            self._add(record)
        content = self._events.take()
        if self._is_compared:
            self._file.append(content)
        else:
            self._file.parent.make_folder(exist_ok=True)
            self._file.extend_to(content, durable=False)
        self._is_compared = True

    def close(self, end: End | None) -> None:
        pass  # it is among the records

    def _add(self, record: Record) -> None:
        match record:
            case Row():
                values = [Summary.Value(tag=tag, simple_value=value) for tag, value in record.values.items()]
                self._events.add(record.time, step=record.at, summary=Summary(value=values))
            case Artifact() if record.path.endswith(".png"):
                self._add_image(record)
            case End():
                text = f"{record.outcome}. {record.error}".strip()
                self._add_text("outcome", text, 0, record.time)

    def _add_image(self, artifact: Artifact) -> None:
        file = self._source.file(artifact)
        content = file.content(IMAGE_LIMIT) if file is not None else b""
        size = _png_size(content)
        if size is None:
            return
        image = Summary.Image(width=size[0], height=size[1], colorspace=4, encoded_image_string=content)
        summary = Summary(value=[Summary.Value(tag=artifact.name, image=image)])
        self._events.add(artifact.time, step=artifact.epoch, summary=summary)

    def _add_text(self, tag: str, text: str, step: int, time: float) -> None:
        plugin = SummaryMetadata.PluginData(plugin_name="text", content=TextPluginData(version=0).SerializeToString())
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()], tensor_shape=shape)
        value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=tensor)
        self._events.add(time, step=step, summary=Summary(value=[value]))


class _Events:
    """Events as the bytes of their file."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()

    def add(self, time: float, **fields: Any) -> None:
        event = Event(wall_time=time, **fields)
        RecordWriter(self._bytes).write(event.SerializeToString(deterministic=True))

    def take(self) -> bytes:
        """Those that were added since the last time."""
        taken, self._bytes = self._bytes.getvalue(), io.BytesIO()
        return taken


def _table(values: dict[str, Any]) -> str:
    """As Markdown, which TensorBoard shows."""
    rows = [f"| {name} | {str(written(value)).replace('|', chr(92) + '|')} |" for name, value in values.items()]
    return "\n".join(["| | |", "| --- | --- |", *rows])


def _png_size(content: bytes) -> tuple[int, int] | None:
    """Width and height; None for what is no PNG."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR" or len(content) < 24:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return width, height
