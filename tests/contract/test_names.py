"""What an unknown name suggests leads to what was meant, and never to another data set."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.contract.data.datasets import datasets
from engine.contract.models.catalogue import models
from engine.contract.recipe.aliases import ALIASES
from engine.contract.recipe.names import alternatives, distance
from engine.contract.recipe.reader import build_recipe, find_recipe
from engine.contract.recipe.schema import fields, section_titles
from engine.contract.sentences import Fields, Recipes
from engine.contract.wire.errors import RecipeError

DATA_SETS = list(datasets())


def answer_to(name: str) -> str:
    """What a recipe that names this data set is offered instead."""
    with pytest.raises(RecipeError) as error:
        build_recipe({"dataset": {"name": name}})
    (found,) = error.value.problems
    assert found.code == Fields.UNKNOWN_DATASET.code
    return str(found.fields["alternatives"])


def suggested(name: str) -> set[str]:
    """The data sets that are suggested; those that are only listed are not."""
    _, _, after = answer_to(name).partition("did you mean ")
    return {one for one in DATA_SETS if one in after}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("organmnist_axial", "organamnist"),  # MedMNIST v1
        ("organmnist_coronal", "organcmnist"),
        ("organmnist_sagittal", "organsmnist"),
        ("OrganMNIST-Axial", "organamnist"),
        ("OrganMNISTCoronal", "organcmnist"),
        ("BreastMNIST", "breastmnist"),
        ("breast", "breastmnist"),
        ("Breast-MNIST", "breastmnist"),
        ("OCT", "octmnist"),
        ("bloodmist", "bloodmnist"),
        ("pathmnits", "pathmnist"),
        ("pnuemoniamnist", "pneumoniamnist"),
    ],
)
def test_another_name_of_a_data_set_suggests_that_one(name: str, meant: str) -> None:
    assert suggested(name) == {meant}


@pytest.mark.parametrize("name", ["organmnist", "organs", "organxmnist"])
def test_a_name_that_may_mean_three_sets_suggests_all_three(name: str) -> None:
    assert suggested(name) == {"organamnist", "organcmnist", "organsmnist"}


@pytest.mark.parametrize("kind", ["organ", "nodule", "adrenal", "fracture", "vessel", "synapse"])
@pytest.mark.parametrize("form", ["{}mnist3d", "{}MNIST3D", "{}mnist_3d", "{}mnist3d_64"])
def test_a_3d_set_is_reported_as_unsupported_and_nothing_is_suggested(kind: str, form: str) -> None:
    told = answer_to(form.format(kind))
    assert "3D sets of MedMNIST are not supported" in told
    assert "did you mean" not in told


@pytest.mark.parametrize("name", ["mnist", "emnist", "kmnist", "notmnist", "fashionmnist", "cifar10", "imagenet", "x"])
def test_another_well_known_data_set_is_not_mistaken_for_one_of_ours(name: str) -> None:
    assert "did you mean" not in answer_to(name)
    assert "known: cells, pathmnist" in answer_to(name)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("breastmnist_224", "dataset.name=breastmnist dataset.size=224"),
        ("breastmnist-64", "dataset.name=breastmnist dataset.size=64"),
        ("BreastMNIST 128px", "dataset.name=breastmnist dataset.size=128"),
        ("octmnist64", "dataset.name=octmnist dataset.size=64"),
        ("organmnist_axial_64", "dataset.name=organamnist dataset.size=64"),
    ],
)
def test_a_size_in_the_name_of_a_data_set_is_answered_with_what_to_write(name: str, written: str) -> None:
    assert f"did you mean {written}?" in answer_to(name)
    values = dict(part.split("=") for part in written.split())
    recipe = {"name": values["dataset.name"], "size": int(values["dataset.size"])}
    build_recipe({"dataset": recipe, "model": {"name": "resnet18"}})


@pytest.mark.parametrize(("name", "sizes"), [("breastmnist_32", "28, 64, 128, 224 px"), ("cells_64", "28 px")])
def test_a_size_that_a_data_set_lacks_is_answered_with_those_it_has(name: str, sizes: str) -> None:
    assert f"is available at {sizes}" in answer_to(name)


@settings(max_examples=300, deadline=None)
@given(name=st.text("abcdeghilmnoprstuv_-3", min_size=1, max_size=16))
def test_a_suggested_data_set_is_at_most_three_typos_away(name: str) -> None:
    """Of any name: what is further away is another word, and is listed among all."""
    told = alternatives("data set", name, DATA_SETS)
    _, _, after = told.partition("did you mean ")
    for one in (one for one in DATA_SETS if one in after and not ALIASES["data set"].get(name.strip("_-"))):
        plain = name.replace("_", "").replace("-", "")
        assert min(distance(plain, one), distance(plain, one.removesuffix("mnist"))) <= 3


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("cells", "--dataset cells"),  # a data set without a recipe
        ("Cells", "--dataset cells"),
        ("octmnst", "octmnist"),
        ("organmnist_axial", "organamnist"),
        ("BreastMNIST", "breastmnist"),
        ("breastmnist_224", "breastmnist dataset.size=224"),
        ("pathmnist_64", "pathmnist dataset.size=64"),
        ("Quick-Start", "quickstart"),
    ],
)
def test_an_unknown_recipe_suggests_no_recipe_of_another_data_set(
    name: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as error:
        find_recipe(name)
    assert error.value.code == Recipes.NOT_FOUND.code
    assert error.value.fields == {"found": name, "alternatives": f"did you mean {meant}?"}


OTHERS = ["resnet101", "ResNet-152", "resnext50", "vgg19", "densenet169", "vit_l_16", "swin_b", "mobilenet_v2"]


@pytest.mark.parametrize("name", OTHERS)
def test_an_unsupported_model_is_not_mistaken_for_a_supported_one(name: str) -> None:
    with pytest.raises(RecipeError) as error:
        build_recipe({"model": {"name": name}})
    (found,) = error.value.problems
    assert (found.code, found.fields["found"]) == (Fields.UNKNOWN_MODEL.code, name)
    assert "write `timm/NAME`; known: resnet18_adapted, resnet18, mini_cnn" in str(found.fields["alternatives"])


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("training.learning_rate", "training.lr"),
        ("training.num_epochs", "training.epochs"),
        ("training.batchsize", "training.batch_size"),
        ("training.wd", "training.weight_decay"),
        ("augmentation.horizontal_flip", "augmentation.hflip"),
        ("dataset.image_size", "dataset.size"),
        ("training.dropout", "model.dropout"),
        ("model.nme", "model.name"),
    ],
)
def test_an_unknown_field_suggests_the_one_of_its_meaning_as_it_is_typed(path: str, meant: str) -> None:
    section, field = path.split(".")
    with pytest.raises(RecipeError) as error:
        build_recipe({section: {field: 1}})
    (found,) = error.value.problems
    assert (found.code, found.fields) == (Fields.UNKNOWN.code, {"alternatives": f"did you mean {meant}?"})


@pytest.mark.parametrize(("typed", "meant"), [("continue", "run --resume"), ("logs", "attach"), ("ls", "runs")])
def test_another_word_for_a_command_suggests_it_with_its_options(typed: str, meant: str) -> None:
    assert f"did you mean {meant}?" in alternatives("command", typed, ["run", "runs", "attach"])


@pytest.mark.parametrize("count", [3, 4, 20, 21, 25])
def test_a_long_list_of_names_ends_with_how_many_more_there_are(count: int) -> None:
    """Of runs the three newest, of other names the first twenty."""
    names = [f"name{number:02}" for number in range(count)]
    told = alternatives("model", "entirely different", names)
    more = f" and {count - 20} more" if count > 20 else ""
    assert told.endswith("known: " + ", ".join(names[:20]) + more)
    told = alternatives("run", "entirely different", names)
    newest = f"{names[-1]}, {names[-2]}, {names[-3]}"
    assert told.endswith(f"known: {newest}" if count == 3 else f"the newest of {count}: {newest}")


def by_definition(one: str, other: str) -> int:
    """Optimal string alignment: the least of deletion, insertion, substitution and transposition of neighbours."""
    if not one or not other:
        return len(one) + len(other)
    least = min(
        by_definition(one[:-1], other) + 1,
        by_definition(one, other[:-1]) + 1,
        by_definition(one[:-1], other[:-1]) + (one[-1] != other[-1]),
    )
    if len(one) > 1 and len(other) > 1 and one[-2:] == other[-2:][::-1]:
        least = min(least, by_definition(one[:-2], other[:-2]) + 1)
    return least


def test_a_distance_is_that_of_its_definition() -> None:
    words = ["".join(letters) for length in range(5) for letters in itertools.product("ab", repeat=length)]
    assert all(distance(one, other) == by_definition(one, other) for one in words for other in words)
    assert (distance("", "abc"), distance("abcd", "acbd"), distance("ca", "abc")) == (3, 1, 3)


def test_every_alias_leads_to_a_name_that_exists() -> None:
    known = {"data set": DATA_SETS, "model": models(), "section": section_titles()}
    known["field"] = [spec.name for spec in fields().values()]
    for what, names in known.items():
        assert ALIASES[what], what
        for word, targets in ALIASES[what].items():
            assert set(targets) <= set(names), word
            assert word == word.lower() and word.isalnum(), f"{word}: keys are squeezed"


RUNS = [f"202611{day:02}_breastmnist_resnet18-adapted_{day:02}a2b3" for day in range(1, 30)]


def test_an_unknown_run_names_a_few_never_every_run() -> None:
    for word in ("nosuch", "brestmnist", "20261101_breastmnist_resnet18-adapted_01a2b4"):
        told = alternatives("run", word, RUNS)
        assert 1 <= sum(run in told for run in RUNS) <= 3, told
    assert told == "did you mean 20261101_breastmnist_resnet18-adapted_01a2b3?"
    assert RUNS[-1] in alternatives("run", "nosuch", RUNS), "the newest is among them"


@pytest.mark.parametrize("name", ["a" * 200_000, "a_" * 100_000, "a" + "_" * 200_000 + "x", "ab12" * 50_000])
def test_a_name_of_any_length_is_answered_at_once(name: str) -> None:
    began = time.process_time()
    told = alternatives("field", name, [spec.name for spec in fields().values()])
    assert "did you mean" not in answer_to(name)
    assert len(told) < 1000
    assert time.process_time() - began < 0.5  # seconds of this process


def test_one_of_ten_thousand_runs_is_found_within_a_second() -> None:
    runs = [f"20261122_breastmnist_resnet18-adapted_{number:06x}" for number in range(10_000)]
    began = time.process_time()
    told = alternatives("run", "20261122_breastmnist_resnet18-adapted_00270x", runs)
    assert time.process_time() - began < 1
    assert "did you mean" in told


@pytest.mark.parametrize(("typed", "there"), [("exp_12", "exp_13"), ("lr1e-3", "lr1e-4"), ("seed7", "seed1")])
def test_a_recipe_that_differs_in_a_digit_is_another_experiment(
    typed: str, there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{there}.yaml").write_text("training: {epochs: 1}\n")
    (tmp_path / "experiment.yaml").write_text("training: {epochs: 1}\n")
    with pytest.raises(RecipeError) as error:
        find_recipe(f"{typed}.yaml")
    assert "did you mean" not in str(error.value.fields["alternatives"])
    with pytest.raises(RecipeError) as error:
        find_recipe("experimnt.yaml")
    assert error.value.fields["alternatives"] == "did you mean experiment.yaml?"


def test_where_there_are_no_names_none_are_said_to_be_known() -> None:
    """As where a command without options is given one."""
    assert alternatives("option", "--json", {}) == "there are none"
