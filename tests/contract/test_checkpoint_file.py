"""Checkpoint digests without torch: equal for equal content, noticed for one wrong bit, a sentence for any damage.

The files are written with the safetensors library, or by hand where the library would refuse.
"""

from __future__ import annotations

import itertools
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

from engine.contract.sentences import Checkpoint
from engine.contract.store.checkpoint_file import DIGEST, ContentDigest, read_header, verified_digest, weights_digest
from engine.contract.wire.errors import CheckpointError

Tensors = dict[str, np.ndarray]
TENSORS: Tensors = {
    "model/fc.weight": np.arange(12, dtype=np.float32).reshape(3, 4) / 7,
    "model/fc.bias": np.array([1.5, -2.5, 0.25]),
    "model/bn.steps": np.array(17, dtype=np.int64),
    "epoch/order": np.array([3, 1, 2], dtype=np.int32),
    "random/cpu": np.frombuffer(bytes(range(40)), dtype=np.uint8),
    "mask": np.array([True, False, True]),
    "half": np.array([[0.5], [2.0]], dtype=np.float16),
    "empty": np.zeros((0, 3), dtype=np.float32),
}
METADATA = {"format": "medtui-checkpoint-1", "epoch": "4", "state": '{"step": 17, "name": "Größe"}'}
DTYPES = {
    "float64": "F64",
    "int64": "I64",
    "float32": "F32",
    "int32": "I32",
    "float16": "F16",
    "uint8": "U8",
    "bool": "BOOL",
}


def digest_of(tensors: Tensors, metadata: dict[str, str]) -> str:
    """As a writer computes it."""
    digest = ContentDigest()
    for name in sorted(tensors):
        digest.tensor(name, DTYPES[tensors[name].dtype.name], tensors[name].shape)
        digest.data(tensors[name].tobytes())
    digest.metadata(metadata)
    return digest.hex()


def checkpoint(tensors: Tensors = TENSORS, metadata: dict[str, str] = METADATA) -> bytes:
    """A checkpoint as safetensors lays it out, its digest declared."""
    return save(tensors, {**metadata, DIGEST: digest_of(tensors, metadata)})


def by_hand(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A file with any header at all: a JSON value, or bytes that are none."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def laid_out(order: tuple[str, ...], metadata: dict[str, str]) -> bytes:
    """TENSORS with their bytes, and the names in the header, in this order."""
    header: dict[str, Any] = {}
    data = b""
    for name in order:
        array = TENSORS[name]
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"data_offsets": offsets, "shape": list(array.shape), "dtype": DTYPES[array.dtype.name]}
        data += array.tobytes()
    header["__metadata__"] = metadata
    return by_hand(header, data)


def file_of(folder: Path, content: bytes) -> Path:
    path = folder / "last.safetensors"
    path.write_bytes(content)
    return path


# ---- what the digest says -----------------------------------------------------------------------------------------


def test_a_checkpoint_that_safetensors_wrote_is_verified(tmp_path: Path) -> None:
    path = file_of(tmp_path, checkpoint())
    assert verified_digest(path) == digest_of(TENSORS, METADATA)
    assert len(verified_digest(path)) == 32


def test_the_header_matches_what_safetensors_reads(tmp_path: Path) -> None:
    path = file_of(tmp_path, checkpoint())
    header, loaded = read_header(path), load_file(path)
    content = path.read_bytes()
    assert [entry.name for entry in header.entries] == sorted(loaded)
    for entry in header.entries:
        assert entry.shape == loaded[entry.name].shape
        assert content[entry.start : entry.end] == loaded[entry.name].tobytes()
    assert {key: value for key, value in header.metadata.items() if key != DIGEST} == METADATA


def test_the_digest_is_blake2b_of_names_types_shapes_bytes_and_metadata(tmp_path: Path) -> None:
    weights = {"b": np.array([1, 2], dtype=np.uint8), "a": np.array([[7]], dtype=np.int32)}
    hashed = b"\0a\0I32\0[1, 1]\0" + b"\7\0\0\0" + b"\0b\0U8\0[2]\0" + b"\1\2"
    path = file_of(tmp_path, checkpoint(weights, {"epoch": "4"}))
    assert weights_digest(path) == blake2b(hashed, digest_size=16).hexdigest()
    assert verified_digest(path) == blake2b(hashed + b'{"epoch": "4"}', digest_size=16).hexdigest()


def test_equal_content_has_an_equal_digest_however_it_is_laid_out(tmp_path: Path) -> None:
    metadata = {**METADATA, DIGEST: digest_of(TENSORS, METADATA)}
    turned = dict(reversed(metadata.items()))
    orders = list(itertools.islice(itertools.permutations(TENSORS), 0, None, 5000))
    files = {checkpoint(), *(laid_out(order, turned) for order in orders)}
    assert len(files) > 5, "the layouts do not differ"
    assert {verified_digest(file_of(tmp_path, content)) for content in files} == {metadata[DIGEST]}
    assert len({weights_digest(file_of(tmp_path, content)) for content in files}) == 1


def test_equal_weights_have_an_equal_digest_whatever_the_metadata(tmp_path: Path) -> None:
    one = weights_digest(file_of(tmp_path, checkpoint()))
    other = weights_digest(file_of(tmp_path, checkpoint(metadata={"format": "pt"})))
    bare = weights_digest(file_of(tmp_path, save(TENSORS)))
    assert one == other == bare


@pytest.mark.parametrize(
    "change",
    [
        {"mask": np.array([True, True, True])},
        {"epoch/order": np.array([3, 1, 2], dtype=np.uint8)},
        {"model/fc.weight": TENSORS["model/fc.weight"].reshape(4, 3)},
        {"another": np.array([1.0])},
        {"empty": np.zeros((3, 0), dtype=np.float32)},
    ],
    ids=["value", "type", "shape", "one more", "shape of nothing"],
)
def test_other_weights_have_another_digest(tmp_path: Path, change: Tensors) -> None:
    before = weights_digest(file_of(tmp_path, save(TENSORS)))
    assert weights_digest(file_of(tmp_path, save({**TENSORS, **change}))) != before


def test_metadata_changed_after_the_fact_are_noticed(tmp_path: Path) -> None:
    forged = save(TENSORS, {**METADATA, "epoch": "5", DIGEST: digest_of(TENSORS, METADATA)})
    error = refusal(file_of(tmp_path, forged))
    assert error.code == Checkpoint.DAMAGED.code and "digest" in str(error.fields["found"])


def test_a_file_without_a_declared_digest_is_not_verified(tmp_path: Path) -> None:
    error = refusal(file_of(tmp_path, save(TENSORS, METADATA)))
    assert error.code == Checkpoint.DAMAGED.code and "digest" in str(error.fields["found"])


# ---- damage -------------------------------------------------------------------------------------------------------

WHOLE = checkpoint()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


def refusal(path: Path, read: Callable[[Path], object] = verified_digest) -> CheckpointError:
    with pytest.raises(CheckpointError) as error:
        read(path)
    assert error.value.fields["path"] == path
    return error.value


@settings(max_examples=400, deadline=None)
@given(bit=st.integers(0, len(WHOLE) * 8 - 1))
def test_one_flipped_bit_anywhere_is_noticed(folder: Path, bit: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[bit // 8] ^= 1 << bit % 8
    refusal(file_of(folder, bytes(damaged)))


@settings(max_examples=150, deadline=None)
@given(length=st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_anywhere_is_noticed(folder: Path, length: int) -> None:
    refusal(file_of(folder, WHOLE[:length]))


def entry(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


class Disguised:
    """A pickle that would run a command, were it ever loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('the pickle was loaded')",))


EIGHT = b"8 bytes."
NOT_CHECKPOINTS = {
    "nothing": b"",
    "seven bytes": b"7 bytes",
    "only a length": by_hand(b"", length=2),
    "a header of 2**60 bytes": by_hand(entry(), EIGHT, length=2**60),
    "a header of 2**64 - 1 bytes": by_hand(entry(), EIGHT, length=2**64 - 1),
    "a header of no bytes": by_hand(entry(), EIGHT, length=0),
    "a header that ends early": by_hand(entry(), EIGHT, length=10),
    "a header that is no JSON": by_hand(b"{" + b"x" * 40, EIGHT),
    "a header that is no UTF-8": by_hand(b'{"\xff": 1}', EIGHT),
    "a header that is a list": by_hand([1, 2, 3], EIGHT),
    "a header that is a number": by_hand(12345, EIGHT),
    "a header that is deep": by_hand(b"[" * 100_000, EIGHT),
    "a number of 5000 digits": by_hand(b'{"a": ' + b"9" * 5000 + b"}", EIGHT),
    "an entry that is a number": by_hand({"a": 3}, EIGHT),
    "an entry without a shape": by_hand({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, EIGHT),
    "a negative offset": by_hand(entry(data_offsets=[-8, 0]), EIGHT),
    "an end before its start": by_hand(entry(data_offsets=[8, 0]), EIGHT),
    "an end beyond the file": by_hand(entry(shape=[4], data_offsets=[0, 16]), EIGHT),
    "a start beyond the file": by_hand(entry(data_offsets=[100, 108]), EIGHT),
    "tensors that overlap beyond the file": by_hand(
        entry() | {"b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, EIGHT
    ),
    "offsets of 2**62": by_hand(entry(data_offsets=[2**62, 2**62 + 8]), EIGHT),
    "one offset": by_hand(entry(data_offsets=[0]), EIGHT),
    "three offsets": by_hand(entry(data_offsets=[0, 4, 8]), EIGHT),
    "offsets that are null": by_hand(entry(data_offsets=None), EIGHT),
    "a shape of another size": by_hand(entry(shape=[3]), EIGHT),
    "a negative shape": by_hand(entry(shape=[-1, -2]), EIGHT),
    "a shape of 2**62": by_hand(entry(shape=[2**62, 4]), EIGHT),
    "an unknown type": by_hand(entry(dtype="F33"), EIGHT),
    "a type that is a list": by_hand(entry(dtype=["F32"]), EIGHT),
    "metadata that are no text": by_hand({"__metadata__": {"epoch": 4}, **entry()}, EIGHT),
    "metadata that are a list": by_hand({"__metadata__": ["epoch"], **entry()}, EIGHT),
    "metadata that are null": by_hand({"__metadata__": None, **entry()}, EIGHT),
    "a pickle": pickle.dumps({"model": Disguised()}),
    "an old pickle": pickle.dumps({"model": Disguised()}, protocol=0),
    "a zip of torch": b"PK\x03\x04" + bytes(200),
    "text": b"format: safetensors\n" * 20,
    "an offset without end": by_hand(entry(data_offsets=[0, float("inf")]), EIGHT),
    "a shape without end": by_hand(entry(shape=[float("inf")]), EIGHT),
    "a name that is half a surrogate": by_hand({"\ud800": entry()["a"], "__metadata__": {DIGEST: "0" * 32}}, EIGHT),
    "a shape that is a fraction": by_hand(entry(shape=[2.5]), EIGHT),
    "a shape that is text": by_hand(entry(shape="2"), EIGHT),
}


@pytest.mark.parametrize("name", NOT_CHECKPOINTS)
@pytest.mark.parametrize("read", [verified_digest, weights_digest], ids=["verified", "weights"])
def test_a_file_that_is_not_a_checkpoint_is_refused_with_a_message(
    tmp_path: Path, name: str, read: Callable[[Path], object]
) -> None:
    refusal(file_of(tmp_path, NOT_CHECKPOINTS[name]), read)


def test_the_same_files_without_the_fault_are_read(tmp_path: Path) -> None:
    """So the refusals above are for the fault and for nothing else."""
    hashed = b"\0a\0F32\0[2]\0" + EIGHT
    path = file_of(tmp_path, by_hand(entry(), EIGHT))
    assert weights_digest(path) == blake2b(hashed, digest_size=16).hexdigest()


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused_and_do_nothing_else(folder: Path, content: bytes) -> None:
    refusal(file_of(folder, content))
    refusal(file_of(folder, by_hand(content, EIGHT)))


NUMBERS = st.integers() | st.floats()
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(
    dtype=st.just("F32") | JSON_VALUES,
    shape=st.just([2]) | st.lists(NUMBERS, max_size=3) | JSON_VALUES,
    offsets=st.just([0, 8]) | st.lists(NUMBERS, min_size=2, max_size=2) | JSON_VALUES,
)
@example(dtype="F32", shape=[float("-inf")], offsets=[0, 8])
def test_no_header_raises_any_other_error(folder: Path, dtype: Any, shape: Any, offsets: Any) -> None:
    path = file_of(folder, by_hand(entry(dtype=dtype, shape=shape, data_offsets=offsets), EIGHT))
    try:
        assert len(weights_digest(path)) == 32
    except CheckpointError as error:
        assert (error.code, error.fields["path"]) == (Checkpoint.DAMAGED.code, path)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "missing.safetensors").code == Checkpoint.UNREADABLE.code
    assert refusal(tmp_path).code == Checkpoint.UNREADABLE.code


def test_a_digest_can_be_checked_without_torch(tmp_path: Path) -> None:
    path = file_of(tmp_path, WHOLE)
    program = (
        "import sys; from pathlib import Path; from engine.contract.store.checkpoint_file import verified_digest\n"
        "print(verified_digest(Path(sys.argv[1])), 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [digest_of(TENSORS, METADATA), "False", "False"]
