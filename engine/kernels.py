"""Which kernels this CPU runs: another set of vector instructions rounds the last bits otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import torch

# What decides, besides the CPU itself, which kernels oneDNN, MKL, OpenBLAS and NumPy choose; ATen says what it chose.
VARIABLES = (
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_CPU_ISA_HINTS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_DEBUG_CPU_TYPE",
    "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
)
NAMES = ("CPU capability", "oneDNN", "CPU kernel variables", "CPU vector units")
_UNITS = ("sse4", "avx", "fma", "f16c", "amx", "asimd", "sve", "bf16", "i8mm")


def cpu_kernels() -> dict[str, str]:
    """By name, each as a text to compare: what ATen uses, oneDNN, what the environment limits, and what there is."""
    set_ = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
    mkldnn = torch.backends.mkldnn
    values = (
        torch.backends.cpu.get_cpu_capability(),
        "used" if mkldnn.is_available() and mkldnn.enabled else "not used",
        " ".join(set_) or "none",
        " ".join(_vector_units()) or "unknown",
    )
    return dict(zip(NAMES, values, strict=True))


def _vector_units() -> list[str]:
    """The CPU's vector instructions, as the kernel names them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "").partition(":")[2].split()
    return sorted({flag for flag in flags if flag.startswith(_UNITS)})
