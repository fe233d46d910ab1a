"""The ONNX file of a model: made, quantised, run. Its packages are the extra `medtui[export]`, imported here only."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from engine.contract.files.folders import File
from engine.contract.wire.errors import InstallationError
from engine.run.deployed import INPUT, OPSET, OUTPUTS
from engine.sentences import Exports

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
QUANTISED = ["Conv", "Gemm", "MatMul"]


def require_packages() -> None:
    """Raises InstallationError."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise InstallationError(Exports.NO_ONNX, packages=", ".join(missing))


def onnx_bytes(program: torch.export.ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """The model as an ONNX file that describes itself."""
    (example,), _ = program.example_inputs
    with _quiet():
        made = torch.onnx.export(
            program,
            (example,),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert made is not None
    proto = made.model_proto
    for name, value in metadata.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = name, value
    content: bytes = proto.SerializeToString()
    return content


def quantised(content: bytes, images: np.ndarray, folder: File) -> bytes:
    """The same model with weights and activations of 8 bits, their ranges taken from training images.

    images: uint8 [N, S, S, C]. folder: where temporary files may be made.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches = iter(np.array_split(images, max(1, len(images) // 16)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return None if batch is None else {INPUT: batch}

    with folder.temporary_folder() as temporary, _quiet():
        source, prepared, target = (f"{temporary}/{name}.onnx" for name in ("source", "prepared", "int8"))
        onnx.save(onnx.load_from_string(content), source)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            Images(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTISED,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # 7 bits of weight: processors without VNNI would overflow with 8
        )
        made = onnx.load(target)
    kept = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    for name, value in kept.items():
        if name not in {entry.key for entry in made.metadata_props}:
            entry = made.metadata_props.add()
            entry.key, entry.value = name, value
    result: bytes = made.SerializeToString()
    return result


class Session:
    """An ONNX file, run on the CPU."""

    def __init__(self, content: bytes, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores and probabilities, float32 [N, K] each. images: uint8 [N, S, S, C]."""
        scores, probabilities = self._session.run(list(OUTPUTS), {INPUT: images})
        return scores, probabilities


@contextlib.contextmanager
def _quiet() -> Iterator[Any]:
    """The packages' advice to their own developers is not for our users."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
