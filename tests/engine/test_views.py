"""Test-time views: each one different, none that changes the class; and the mean over them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

from engine.contract.data.datasets import Symmetry, datasets
from engine.evaluate.predict import IDENTITY, activation, predict_scores, views_for
from engine.train.step import Precision

SYMMETRIES: list[Symmetry] = ["all", "mirror", "none"]
CONTEXT = Precision("cpu", None).context


def pictures(n: int = 3, side: int = 28, channels: int = 3) -> torch.Tensor:
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(side))


@pytest.mark.parametrize("side", [28, 64, 128, 224])
@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_every_view_differs_from_every_other_and_keeps_the_shape(symmetry: Symmetry, side: int) -> None:
    images = pictures(2, side)
    views = views_for(symmetry, tta=True)
    assert 2 <= len(views) <= 6
    seen = {view.name: view.of(images) for view in views}
    assert len(seen) == len(views)
    assert torch.equal(seen["identity"], images)
    assert all(picture.shape == images.shape for picture in seen.values())
    pairs = list(combinations(seen, 2))
    assert pairs
    for one, other in pairs:
        for a, b in zip(seen[one], seen[other], strict=True):
            assert not torch.equal(a, b), f"{one} and {other}"


def test_no_view_of_an_orientation_dependent_data_set_is_a_mirror_image_or_a_rotation() -> None:
    oriented = [facts for facts in datasets().values() if facts.name.startswith("organ")]
    assert len(oriented) == 3
    images = pictures(1)
    forbidden = [
        picture for k in range(4) for turned in [images.rot90(k, (-2, -1))] for picture in (turned, turned.flip(-1))
    ]
    for facts in oriented:
        for view in views_for(facts.symmetry, tta=True):
            middle = view.of(images)[..., 4:-4, 4:-4]
            for picture in forbidden[1:]:  # the first is the image itself
                for dy in (-1, 0, 1):
                    for dx in (-1, 0, 1):
                        moved = picture.roll((dy, dx), (-2, -1))[..., 4:-4, 4:-4]
                        assert not torch.equal(middle, moved), view.name


def test_upright_images_are_never_rotated_or_flipped_vertically() -> None:
    images = pictures(1)
    views = {view.name: view.of(images) for view in views_for("mirror", tta=True)}
    assert set(views) == {"identity", "hflip"}
    np.testing.assert_array_equal(views["hflip"].numpy(), images.numpy()[..., ::-1])


def test_flips_and_rotations_are_numpys() -> None:
    images = pictures(1)
    array = images.numpy()
    expected = {
        "identity": array,
        "hflip": array[..., ::-1],
        "vflip": array[..., ::-1, :],
        "rot90": np.rot90(array, 1, (-2, -1)),
        "rot180": np.rot90(array, 2, (-2, -1)),
        "rot270": np.rot90(array, 3, (-2, -1)),
    }
    views = views_for("all", tta=True)
    assert {view.name for view in views} == set(expected)
    for view in views:
        np.testing.assert_array_equal(view.of(images).numpy(), expected[view.name], err_msg=view.name)


@pytest.mark.parametrize(("side", "pixels"), [(28, 1), (64, 2), (128, 5), (224, 8)])
def test_a_shift_moves_by_a_twenty_eighth_of_the_side_and_repeats_the_edge(side: int, pixels: int) -> None:
    images = pictures(1, side)
    array = images.numpy()
    p = pixels
    expected = {
        "identity": array,
        "left": np.pad(array, ((0, 0), (0, 0), (0, 0), (0, p)), mode="edge")[..., p:],
        "right": np.pad(array, ((0, 0), (0, 0), (0, 0), (p, 0)), mode="edge")[..., :-p],
        "up": np.pad(array, ((0, 0), (0, 0), (0, p), (0, 0)), mode="edge")[..., p:, :],
        "down": np.pad(array, ((0, 0), (0, 0), (p, 0), (0, 0)), mode="edge")[..., :-p, :],
    }
    views = views_for("none", tta=True)
    assert {view.name for view in views} == set(expected)
    for view in views:
        np.testing.assert_array_equal(view.of(images).numpy(), expected[view.name], err_msg=view.name)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_without_augmentation_there_is_the_image_alone(symmetry: Symmetry) -> None:
    assert views_for(symmetry, tta=False) == [IDENTITY]


class Corners(nn.Module):
    """Three logits: the first channel's top left, top right and bottom left pixel, times 4."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 4 * torch.stack([images[:, 0, 0, 0], images[:, 0, 0, -1], images[:, 0, -1, 0]], dim=1)


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def batches_of_bytes(n: int = 7, size: int = 3) -> tuple[np.ndarray, list[torch.Tensor]]:
    images = np.random.default_rng(2).integers(0, 256, (n, 3, 28, 28), dtype=np.uint8)
    return images, [torch.from_numpy(images[start : start + size]) for start in range(0, n, size)]


def predicted(model: nn.Module, batches: list[torch.Tensor], task, symmetry: Symmetry, tta: bool) -> np.ndarray:
    return predict_scores(
        model, batches, lambda x: x.float() / 255, task, views_for(symmetry, tta), CONTEXT, lambda done: None
    )


def test_scores_are_the_mean_of_the_softmax_over_the_views() -> None:
    images, batches = batches_of_bytes()
    corners = images[:, 0].astype(np.float64) / 255
    a, b, c, d = corners[:, 0, 0], corners[:, 0, -1], corners[:, -1, 0], corners[:, -1, -1]
    seen = [  # top left, top right, bottom left of each view
        (a, b, c),
        (b, a, d),  # hflip
        (c, d, a),  # vflip
        (b, d, a),  # a quarter turn against the clock: the right side comes on top
        (d, c, b),  # half a turn
        (c, a, d),  # a quarter turn with the clock
    ]
    expected = np.mean([softmax(4 * np.stack(view, axis=1)) for view in seen], axis=0)
    scores = predicted(Corners(), batches, "multi_class", "all", tta=True)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    mirrored = np.mean([softmax(4 * np.stack(view, axis=1)) for view in seen[:2]], axis=0)
    np.testing.assert_allclose(predicted(Corners(), batches, "ordinal", "mirror", tta=True), mirrored, atol=1e-6)
    plain = softmax(4 * np.stack(seen[0], axis=1))
    np.testing.assert_allclose(predicted(Corners(), batches, "binary", "all", tta=False), plain, atol=1e-6)


def test_scores_of_multi_label_sets_are_the_mean_of_one_sigmoid_per_label() -> None:
    images, batches = batches_of_bytes()
    corners = images[:, 0].astype(np.float64) / 255
    one = np.stack([corners[:, 0, 0], corners[:, 0, -1], corners[:, -1, 0]], axis=1)
    other = np.stack([corners[:, 0, -1], corners[:, 0, 0], corners[:, -1, -1]], axis=1)
    expected = np.mean([1 / (1 + np.exp(-4 * logits)) for logits in (one, other)], axis=0)
    scores = predicted(Corners(), batches, "multi_label", "mirror", tta=True)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_an_activation_survives_large_logits() -> None:
    logits = torch.tensor([[1000.0, -1000.0], [-1000.0, -1000.0]])
    assert activation(logits, "binary").tolist() == [[1.0, 0.0], [0.5, 0.5]]
    assert activation(logits, "multi_label").tolist() == [[1.0, 0.0], [0.0, 0.0]]


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 26 * 26, 3)
    )


@pytest.mark.parametrize("training", [True, False])
def test_prediction_changes_no_weight_or_buffer_and_restores_the_mode(training: bool) -> None:
    model = small_model().train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    _, batches = batches_of_bytes()
    first = predicted(model, batches, "multi_class", "all", tta=True)
    assert model.training is training
    assert len(before) == 9
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    np.testing.assert_array_equal(predicted(model, batches, "multi_class", "all", tta=True), first)  # no dropout


def test_scores_do_not_depend_on_how_images_are_batched() -> None:
    model = small_model()
    sizes = [predicted(model, batches_of_bytes(size=size)[1], "binary", "none", tta=True) for size in (1, 3, 7)]
    np.testing.assert_allclose(sizes[0], sizes[1], atol=1e-6)
    np.testing.assert_allclose(sizes[0], sizes[2], atol=1e-6)


def test_before_each_batch_on_progress_receives_the_number_of_images_done() -> None:
    told: list[int] = []
    _, batches = batches_of_bytes()
    predict_scores(Corners(), batches, torch.Tensor.float, "binary", [IDENTITY], CONTEXT, told.append)
    assert told == [0, 3, 6]


def test_on_progress_can_end_the_pass_and_the_mode_is_restored() -> None:
    class Aborted(Exception):
        pass

    def abort(done: int) -> None:
        if done:
            raise Aborted

    model = small_model().train()
    _, batches = batches_of_bytes()
    with pytest.raises(Aborted):
        predict_scores(model, batches, torch.Tensor.float, "binary", [IDENTITY], CONTEXT, abort)
    assert model.training
