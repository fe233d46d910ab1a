"""Recipes sampled from the schema: every field by its JSON Schema, so that a new field cannot be left out.

A field of a kind that stands in no branch here raises: it must be given a strategy before it can be tested.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from engine.contract.data.datasets import datasets
from engine.contract.models.catalogue import spec_of
from engine.contract.recipe.schema import FieldSpec, fields
from engine.contract.recipe.sources import DEFAULT_KEY, KINDS

Values = dict[str, dict[str, Any]]  # section, field

DESCRIBING = {"title", "description", "default", "expected", "identity", "unit", "path", "advanced", "examples"}
OWN_IMAGES = {  # the fields that only a user's own images have
    f"dataset.{name}" for key, kind in KINDS.items() if key != DEFAULT_KEY for name in (key, *kind.own)
}
BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
PRINTABLE = st.text(max_size=12).filter(str.isprintable)
AWKWARD = st.sampled_from(
    [
        "null",
        "~",
        "true",
        "off",
        "Yes",
        "n",
        "1e-3",
        "010",
        "0x1F",
        ".inf",
        "a: b",
        "# x",
        "-",
        "${data}/x.npz",
        "'",
        '"',
        "\\",
        "<<",
        "=",
        "*a",
        "&a",
        "!x",
        "%",
        "@",
        "`",
        "[",
        "{",
        "2026-11-22",
        "12:30",
        "1_000",
        "Å/é-日本",
        " ",
        "",
    ]
)


def variant_values(variant: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Valid values of one variant of a JSON Schema. Raises NotImplementedError for a kind that is unknown here."""
    kind, rest = variant.get("type"), set(variant) - DESCRIBING - {"type"}
    if rest == {"enum"}:
        return st.sampled_from(variant["enum"])
    if rest == {"const"}:
        return st.just(variant["const"])
    if kind == "null" and not rest:
        return st.none()
    if kind == "boolean" and not rest:
        return st.booleans()
    if kind == "integer" and rest <= {"minimum", "maximum"}:
        return st.integers(variant.get("minimum"), variant.get("maximum"))
    if kind == "number" and rest <= BOUNDS:
        return st.floats(
            variant.get("minimum", variant.get("exclusiveMinimum")),
            variant.get("maximum", variant.get("exclusiveMaximum")),
            exclude_min="exclusiveMinimum" in variant,
            exclude_max="exclusiveMaximum" in variant,
            allow_nan=False,
            allow_infinity=False,
        )
    if kind == "string" and rest == {"pattern"}:
        pattern = variant["pattern"]
        return st.from_regex(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern, fullmatch=True)
    if kind == "string" and not rest:
        return AWKWARD | PRINTABLE
    raise NotImplementedError(f"no strategy for the variant {variant}: give it one")


def field_values(spec: FieldSpec) -> st.SearchStrategy[Any]:
    """Values that the schema allows for a field, whatever the other fields."""
    if spec.path == "dataset.name":
        return st.sampled_from(sorted(datasets()))  # the schema says text; a cross-field rule says which
    if spec.path == "dataset.class_names":
        names = st.text("abc é日.-", min_size=1, max_size=6).map(str.strip).filter(bool)
        return st.none() | st.lists(names, min_size=2, max_size=5, unique=True).map(", ".join)
    if spec.path == "dataset.delimiter":
        return st.none() | st.sampled_from(";,|:")
    return st.one_of([variant_values(variant) for variant in spec.variants])


STRATEGIES = {path: field_values(spec) for path, spec in fields().items()}


@st.composite
def agreeing_values(draw: st.DrawFn) -> Values:
    """Every field of a valid recipe. Values that would contradict each other are made to agree."""
    values: Values = {}
    for path, strategy in STRATEGIES.items():
        section, name = path.split(".")
        values.setdefault(section, {})[name] = draw(strategy)
    dataset, training, augmentation = values["dataset"], values["training"], values["augmentation"]
    dataset |= {path.partition(".")[2]: fields()[path].default for path in OWN_IMAGES}
    facts = datasets()[dataset["name"]]
    if facts.synthetic:
        dataset["size"], dataset["archive"] = 28, None
    if dataset["archive"] is None:
        dataset["md5"] = None
    _agree_on_the_model(values)
    if facts.symmetry == "none":
        augmentation["hflip"], augmentation["vflip"] = "auto", 0.0
    images = min(facts.splits["train"], dataset["limit"] or facts.splits["train"])
    if training["batch_size"] != "auto":
        training["batch_size"] = min(training["batch_size"], images)
    smallest = 2 if training["batch_size"] == "auto" else training["batch_size"]
    training["accumulate"] = min(training["accumulate"], images // smallest)
    runtime = values["runtime"]
    alone = runtime["device"] == "mps" or ":" in runtime["device"]
    runtime["processes"] = 1 if alone else min(runtime["processes"], max(1, smallest // 2))
    if facts.task == "multi_label":
        training["sampling"] = "shuffled"
    if training["sampling"] == "balanced":
        training["class_weights"] = "none"
    if training["swa_start"] is not None:
        training["swa_start"], training["ema_decay"] = min(training["swa_start"], training["epochs"]), None
    if training["schedule"] in ("cosine", "plateau") and training["min_lr"] >= training["lr"]:
        training["min_lr"] = training["lr"] / 2
    if training["mixup_until"] is not None:
        training["mixup_until"] = min(training["mixup_until"], training["epochs"])
    if training["schedule"] == "one_cycle" or training["warmup_epochs"] >= training["epochs"]:
        training["warmup_epochs"] = 0
    if training["optimizer"] != "sgd" or training["momentum"] == 0:
        training["nesterov"] = False
    if values["runtime"]["reproducible"]:
        training["compile"] = False
    return values


def _agree_on_the_model(values: Values) -> None:
    """It is one for the size, has the weights that it is to start from, and what is frozen was trained."""
    model, training, size = values["model"], values["training"], values["dataset"]["size"]
    if model["name"] == "resnet18_adapted" and size > 64:
        model["name"] = "resnet18"
    spec = spec_of(model["name"])
    if spec.stochastic_depth is None:
        model["stochastic_depth"] = None
    if model["input_size"] is not None and (model["input_size"] < size or not spec.fits(model["input_size"])):
        model["input_size"] = None
    if training["init_from"] is not None:
        model["weights"] = None
    if training["init_from"] is None and model["weights"] is None:
        if model["pretrained"] is True and not spec.has_weights:
            model["pretrained"] = "auto"
        if model["pretrained"] is False or not spec.has_weights:
            training["freeze"] = None
    if spec.stages and isinstance(training["freeze"], int) and training["freeze"] > len(spec.stages):
        training["freeze"] = "head"


def of_own_images(values: Values, path: str) -> Values:
    """The values with a table of own images, or another source that has the field, in the place of the named set."""
    key = path.partition(".")[2] if path.partition(".")[2] in KINDS else "csv"
    dataset = values["dataset"] | {"name": None, "archive": None, "md5": None, key: f"my/images.{key}"}
    dataset |= {"val_fraction": 0.1, "test_fraction": 0.1, "folds": 1000 if path == "dataset.fold" else None}
    return values | {"dataset": dataset, "augmentation": values["augmentation"] | {"hflip": "auto", "vflip": 0.0}}
