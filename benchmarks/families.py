"""A training epoch of one model of each family, compared with a bare loop of it; ResNet and the small net: `epochs`."""

from __future__ import annotations

from benchmarks.epochs import Case, row_of
from benchmarks.rows import Effort, Row

GOAL = 0.95
MODELS = (
    "densenet121",
    "vgg16_bn",
    "efficientnet_v2_s",
    "convnext_tiny",
    "mobilenet_v3_large",
    "vit_s_16",
    "swin_t",
)


def measure(effort: Effort) -> list[Row]:
    few = effort.at_most(1 if effort.quick else 5)
    return [row_of("families", Case(model, 2, GOAL, batch=8), few) for model in MODELS]
