"""The distance from the training images: Mahalanobis's, at every resolution of a model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from engine.contract.models.catalogue import MODELS
from engine.evaluate.features import SHRINKAGE, capturing, fit_space, joined
from engine.model.build import build
from engine.model.plan import ModelPlan


def test_the_distance_is_mahalanobis_by_another_program() -> None:
    random = np.random.default_rng(3)
    mixing = random.normal(size=(6, 6))
    training, validation, new = (random.normal(size=(n, 6)) @ mixing for n in (300, 41, 5))
    space = fit_space([training], [validation])
    assert space is not None
    correlation = np.corrcoef(training.T)
    shrunk = (1 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(6)
    deviation = training.std(axis=0)
    inverse = np.linalg.inv(shrunk * np.outer(deviation, deviation))

    def distances(images: np.ndarray) -> np.ndarray:
        return np.array([mahalanobis(image, training.mean(axis=0), inverse) for image in images])

    np.testing.assert_allclose(space.distances([new]), distances(new) / np.median(distances(validation)), rtol=1e-4)
    assert np.median(space.distances([validation])) == pytest.approx(1.0)


def test_the_largest_distance_of_all_depths_counts() -> None:
    random = np.random.default_rng(4)
    training, validation = ([random.normal(size=(n, 4)) for _ in range(2)] for n in (200, 50))
    space = fit_space(training, validation)
    assert space is not None
    near, far = np.zeros((1, 4)), np.full((1, 4), 30.0)
    assert space.distances([near, far])[0] == space.distances([far * 0, far])[0] > 10
    assert space.distances([near, near])[0] < 1


def test_features_that_are_not_finite_or_never_vary_define_no_space() -> None:
    varying, constant = np.random.default_rng(5).normal(size=(20, 3)), np.ones((20, 3))
    assert fit_space([np.full((20, 3), np.nan)], [varying]) is None
    assert fit_space([constant], [constant]) is None
    assert fit_space([], []) is None


EVERY_DAY = ("resnet18_adapted", "resnet18", "mini_cnn", "mobilenet_v3_large", "vit_s_16", "swin_t")  # all kinds


@pytest.mark.parametrize(
    "spec",
    [pytest.param(s, id=s.name, marks=[] if s.name in EVERY_DAY else [pytest.mark.exhaustive]) for s in MODELS],
)
def test_every_model_has_features_of_its_last_maps(spec) -> None:  # type: ignore[no-untyped-def]
    """The deepest are what the classifier is given, where that is the mean of a map or lies behind further layers; what
    was captured before stays as it is."""
    size = 28 if spec.adapted else 64
    built = build(spec, ModelPlan(5, size, 0.0), ([0.5] * 3, [0.2] * 3))
    classifier = spec.classifier[0].rpartition(".")[0]
    given: list[torch.Tensor] = []
    built.module.eval().get_submodule(classifier).register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    with torch.inference_mode(), capturing(built.module, classifier, spec.channels_last) as passes:
        for _ in range(2):
            built.module(torch.rand(3, 3, size, size))
    assert len(passes) == 2 and len(passes[0]) >= (2 if spec.patches else 3)
    deepest = joined(passes)[-1]
    if spec.name == "vgg16_bn":  # of more features than are used
        assert deepest.shape == (6, 512)
    elif spec.patches or spec.name == "convnext_tiny":  # of the class token, or normalised once more
        assert deepest.shape == torch.cat(given).shape and np.isfinite(deepest).all()
    else:
        np.testing.assert_allclose(deepest, torch.cat(given).numpy(), atol=1e-5)
    with torch.inference_mode():
        built.module(torch.rand(1, 3, size, size))
    assert len(passes) == 2  # nothing is captured any more
