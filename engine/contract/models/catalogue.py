"""Every model that a recipe can name, as data: recipe, form, preflight, doctor, documents and engine read it here.

A new model is an entry here and a builder in `engine/model/`.
"""

from __future__ import annotations

import re
from functools import cache

from engine.contract.models.spec import AtSize, ModelSpec, WeightsSpec

TIMM = "timm/"  # how the names of its models begin in a recipe
# An architecture, perhaps with a tag of weights
TIMM_PATTERN = r"^timm/[a-z0-9][a-z0-9_]{0,80}(\.[a-z0-9][a-z0-9_]{0,80})?$"
OLDEST_STEM = "its stem resized with the scale kept"  # frozen: it is part of recorded runs and their hashes


def _imagenet(file_name: str, size: int) -> WeightsSpec:
    """torchvision's weights of the first edition; `size`: about, in bytes."""
    return WeightsSpec(
        trained_on="ImageNet",
        file_name=file_name,
        url=f"https://download.pytorch.org/models/{file_name}",
        sha256=file_name.removesuffix(".pth").rpartition("-")[2],
        bytes=size,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )


def _modules(*numbers: int, of: str = "features") -> tuple[str, ...]:
    return tuple(f"{of}.{number}." for number in numbers)


RESNET18_IMAGENET = _imagenet("resnet18-f37072fd.pth", 47_000_000)
_RESNET_STAGES = (("conv1.", "bn1.", "layer1."), ("layer2.",), ("layer3.",), ("layer4.",))
_RESNET_ADAPTED = "3x3 stride-1 stem, no max-pool"
_VIT_STAGES = tuple(
    (
        *(("conv_proj.", "class_token", "encoder.pos_embedding") if block == 0 else ()),
        f"encoder.layers.encoder_layer_{block}.",
        *(("encoder.ln.",) if block == 11 else ()),
    )
    for block in range(12)
)

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="resnet18_adapted",
        title="ResNet-18, adapted to small images",
        family="ResNet-18",
        summary="3x3 stride-1 stem, no max-pool, for 28 and 64 px",
        builder="engine.model.resnet:adapted18",
        parameters=11_200_000,
        activations=6.5e6,
        classifier=("fc.weight", "fc.bias"),
        stochastic_depth=0.0,
        weights=RESNET18_IMAGENET,
        fit="engine.model.resnet:fitted_stem",
        fitted=OLDEST_STEM,
        adapted=_RESNET_ADAPTED,
        sizes=(AtSize(28, (28, 14, 7, 4), 6.5e6), AtSize(64, (64, 32, 16, 8), 34e6)),
        stages=_RESNET_STAGES,
        largest=64,
        spellings=("resnet",),
    ),
    ModelSpec(
        name="resnet18",
        title="ResNet-18",
        family="ResNet-18",
        summary="torchvision's original, for 128 and 224 px",
        builder="engine.model.resnet:plain18",
        parameters=11_200_000,
        activations=0.7e6,
        classifier=("fc.weight", "fc.bias"),
        stochastic_depth=0.0,
        weights=RESNET18_IMAGENET,
        sizes=(
            AtSize(28, (7, 4, 2, 1), 0.7e6),
            AtSize(64, (16, 8, 4, 2), 2.0e6),
            AtSize(128, (32, 16, 8, 4), 8.0e6),
            AtSize(224, (56, 28, 14, 7), 24e6),
        ),
        stages=_RESNET_STAGES,
        spellings=("resnet",),
    ),
    ModelSpec(
        name="mini_cnn",
        title="Mini CNN",
        family="Mini CNN",
        summary="about 130,000 parameters, for laptops",
        builder="engine.model.mini_cnn:mini_cnn",
        parameters=130_000,
        activations=0.6e6,
        classifier=("fc.weight", "fc.bias"),
        sizes=(
            AtSize(28, (28, 14, 7), 0.6e6),
            AtSize(64, (64, 32, 16), 3.1e6),
            AtSize(128, (128, 64, 32), 12.5e6),
            AtSize(224, (224, 112, 56), 38e6),
        ),
        stages=(("stage1",), ("stage2",), ("stage3",)),
        spellings=("cnn", "minicnn"),
    ),
    ModelSpec(
        name="resnet34",
        title="ResNet-34",
        family="ResNet-34",
        summary="deeper than ResNet-18, at about twice the time",
        builder="engine.model.resnet:resnet34",
        parameters=21_300_000,
        activations=6.8e6,
        classifier=("fc.weight", "fc.bias"),
        stochastic_depth=0.0,
        weights=_imagenet("resnet34-b627a593.pth", 87_000_000),
        fit="engine.model.resnet:fitted",
        fitted="its stem resized to 3x3",
        adapted=_RESNET_ADAPTED,
        sizes=(
            AtSize(28, (28, 14, 7, 4), 6.8e6),
            AtSize(64, (64, 32, 16, 8), 35e6),
            AtSize(128, (32, 16, 8, 4), 12e6),
            AtSize(224, (56, 28, 14, 7), 35e6),
        ),
        stages=_RESNET_STAGES,
    ),
    ModelSpec(
        name="resnet50",
        title="ResNet-50",
        family="ResNet-50",
        summary="bottleneck blocks, the usual reference at 224 px",
        builder="engine.model.resnet:resnet50",
        parameters=23_500_000,
        activations=22e6,
        classifier=("fc.weight", "fc.bias"),
        stochastic_depth=0.0,
        weights=_imagenet("resnet50-0676ba61.pth", 103_000_000),
        fit="engine.model.resnet:fitted",
        fitted="its stem resized to 3x3",
        adapted=_RESNET_ADAPTED,
        sizes=(
            AtSize(28, (28, 14, 7, 4), 22e6),
            AtSize(64, (64, 32, 16, 8), 112e6),
            AtSize(128, (32, 16, 8, 4), 31e6),
            AtSize(224, (56, 28, 14, 7), 95e6),
        ),
        stages=_RESNET_STAGES,
    ),
    ModelSpec(
        name="densenet121",
        title="DenseNet-121",
        family="DenseNet",
        summary="7 million parameters, common in chest X-ray work",
        builder="engine.model.densenet:densenet121",
        parameters=7_000_000,
        activations=33e6,
        classifier=("classifier.weight", "classifier.bias"),
        weights=_imagenet("densenet121-a639ec97.pth", 32_000_000),
        fit="engine.model.densenet:fitted",
        fitted="its stem resized to 3x3",
        adapted=_RESNET_ADAPTED,
        sizes=(
            AtSize(28, (28, 14, 7, 3), 33e6),
            AtSize(64, (64, 32, 16, 8), 177e6),
            AtSize(128, (32, 16, 8, 4), 47e6),
            AtSize(224, (56, 28, 14, 7), 143e6),
        ),
        stages=(
            ("features.conv0.", "features.norm0.", "features.denseblock1."),
            ("features.transition1.", "features.denseblock2."),
            ("features.transition2.", "features.denseblock3."),
            ("features.transition3.", "features.denseblock4.", "features.norm5."),
        ),
        smallest=8,
        spellings=("densenet",),
    ),
    ModelSpec(
        name="vgg16_bn",
        title="VGG-16 with batch normalisation",
        family="VGG",
        summary="large and slow, to compare with older work",
        builder="engine.model.vgg:vgg16_bn",
        parameters=134_000_000,
        activations=12e6,
        classifier=("classifier.6.weight", "classifier.6.bias"),
        weights=_imagenet("vgg16_bn-6c64b313.pth", 554_000_000),
        fit="engine.model.vgg:fitted",
        fitted="its first linear layer as it acts on its smaller map",
        adapted="first two max-pools left out; first linear layer as it acts on the smaller map",
        sizes=(
            AtSize(28, (28, 28, 28, 14, 7), 12e6, 50_400_000),
            AtSize(64, (64, 64, 64, 32, 16), 65e6),
            AtSize(128, (128, 64, 32, 16, 8), 46e6, 65_100_000),
            AtSize(224, (224, 112, 56, 28, 14), 140e6),
        ),
        stages=(
            _modules(0, 1, 3, 4),
            _modules(7, 8, 10, 11),
            _modules(14, 15, 17, 18, 20, 21),
            _modules(24, 25, 27, 28, 30, 31),
            (*_modules(34, 35, 37, 38, 40, 41), "classifier.0.", "classifier.3."),
        ),
        smallest=8,
        spellings=("vgg", "vgg16"),
    ),
    ModelSpec(
        name="efficientnet_v2_s",
        title="EfficientNetV2-S",
        family="EfficientNetV2",
        summary="accurate for its 20 million parameters",
        builder="engine.model.efficientnet:efficientnet_v2_s",
        parameters=20_200_000,
        activations=43e6,
        classifier=("classifier.1.weight", "classifier.1.bias"),
        stochastic_depth=0.2,
        weights=_imagenet("efficientnet_v2_s-dd5fe13b.pth", 87_000_000),
        fit="engine.model.efficientnet:fitted",
        fitted="its stem resampled to stride 1",
        adapted="stem and second stage with stride 1",
        sizes=(
            AtSize(28, (28, 28, 14, 7, 7, 4, 4), 43e6),
            AtSize(64, (64, 64, 32, 16, 16, 8, 8), 209e6),
            AtSize(128, (64, 32, 16, 8, 8, 4, 4), 56e6),
            AtSize(224, (112, 56, 28, 14, 14, 7, 7), 169e6),
        ),
        stages=(_modules(0, 1), *(_modules(number) for number in range(2, 8))),
        spellings=("efficientnet", "efficientnetv2"),
    ),
    ModelSpec(
        name="convnext_tiny",
        title="ConvNeXt-Tiny",
        family="ConvNeXt",
        summary="a convolutional net in the manner of transformers; train it with AdamW",
        builder="engine.model.convnext:convnext_tiny",
        parameters=27_800_000,
        activations=29e6,
        classifier=("classifier.2.weight", "classifier.2.bias"),
        stochastic_depth=0.1,
        weights=_imagenet("convnext_tiny-983f1562.pth", 114_000_000),
        fit="engine.model.convnext:fitted",
        fitted="its stem resampled to 3x3, stride 1",
        adapted="3x3 stride-1 stem instead of 4x4 patches",
        sizes=(
            AtSize(28, (28, 14, 7, 3), 29e6),
            AtSize(64, (64, 32, 16, 8), 156e6),
            AtSize(128, (32, 16, 8, 4), 39e6),
            AtSize(224, (56, 28, 14, 7), 120e6),
        ),
        stages=(
            _modules(0, 1),
            _modules(2, 3),
            _modules(4, 5),
            (*_modules(6, 7), "classifier.0."),
        ),
        decays_norms=False,
        undecayed=("layer_scale",),
        smallest=8,
        spellings=("convnext",),
    ),
    ModelSpec(
        name="mobilenet_v3_large",
        title="MobileNetV3-Large",
        family="MobileNetV3",
        summary="4 million parameters, for fast inference",
        builder="engine.model.mobilenet_v3:large",
        parameters=4_200_000,
        activations=9.9e6,
        classifier=("classifier.3.weight", "classifier.3.bias"),
        stochastic_depth=0.0,
        weights=_imagenet("mobilenet_v3_large-8738ca79.pth", 22_000_000),
        fit="engine.model.mobilenet_v3:fitted",
        fitted="its stem resampled to stride 1",
        adapted="stem and second stage with stride 1",
        sizes=(
            AtSize(28, (28, 28, 14, 7, 4), 9.9e6),
            AtSize(64, (64, 64, 32, 16, 8), 50e6),
            AtSize(128, (64, 32, 16, 8, 4), 16e6),
            AtSize(224, (112, 56, 28, 14, 7), 49e6),
        ),
        stages=(
            _modules(0, 1),
            _modules(2, 3),
            _modules(4, 5, 6),
            _modules(*range(7, 13)),
            (*_modules(*range(13, 17)), "classifier.0."),
        ),
        spellings=("mobilenet", "mobilenetv3"),
    ),
    ModelSpec(
        name="vit_s_16",
        title="ViT-S/16",
        family="ViT",
        summary="vision transformer, 22 million parameters, without published weights here; train it with AdamW",
        builder="engine.model.vit:vit_s_16",
        parameters=21_700_000,
        activations=85e6,
        classifier=("heads.head.weight", "heads.head.bias"),
        stochastic_depth=0.0,
        adapted="smaller patches, position embedding resampled",
        sizes=(AtSize(28, (14,), 85e6), AtSize(64, (16,), 116e6), AtSize(128, (16,), 116e6), AtSize(224, (14,), 86e6)),
        stages=_VIT_STAGES,
        patches=True,
        decays_norms=False,
        undecayed=("class_token", "pos_embedding"),
        smallest=14,
        spellings=("vit", "vits", "vitsmall"),
    ),
    ModelSpec(
        name="vit_b_16",
        title="ViT-B/16",
        family="ViT",
        summary="vision transformer, 86 million parameters; train it with AdamW",
        builder="engine.model.vit:vit_b_16",
        parameters=85_800_000,
        activations=170e6,
        classifier=("heads.head.weight", "heads.head.bias"),
        stochastic_depth=0.0,
        weights=_imagenet("vit_b_16-c867db91.pth", 346_000_000),
        fit="engine.model.vit:fitted",
        fitted="its patches and positions resampled",
        adapted="smaller patches, position embedding resampled",
        sizes=(
            AtSize(28, (14,), 170e6),
            AtSize(64, (16,), 231e6),
            AtSize(128, (16,), 231e6),
            AtSize(224, (14,), 170e6),
        ),
        stages=_VIT_STAGES,
        patches=True,
        decays_norms=False,
        undecayed=("class_token", "pos_embedding"),
        smallest=14,
        spellings=("vit", "vitb", "vitbase"),
    ),
    ModelSpec(
        name="swin_t",
        title="Swin-T",
        family="Swin",
        summary="transformer with shifted windows; train it with AdamW",
        builder="engine.model.swin:swin_t",
        parameters=27_500_000,
        activations=34e6,
        classifier=("head.weight", "head.bias"),
        stochastic_depth=0.2,
        weights=_imagenet("swin_t-704ceda3.pth", 113_000_000),
        fit="engine.model.swin:fitted",
        fitted="its stem and windows fitted to the images",
        adapted="3x3 stride-1 stem instead of 4x4 patches; windows of 4 to 8 that fill their maps",
        sizes=(
            AtSize(28, (28, 14, 7, 4), 34e6),
            AtSize(64, (64, 32, 16, 8), 180e6),
            AtSize(128, (32, 16, 8, 4), 45e6),
            AtSize(224, (56, 28, 14, 7), 135e6),
        ),
        stages=(_modules(0, 1), _modules(2, 3), _modules(4, 5), (*_modules(6, 7), "norm.")),
        channels_last=True,
        decays_norms=False,
        undecayed=("relative_position_bias_table",),
        smallest=8,
        spellings=("swin", "swintransformer", "swintiny"),
    ),
)


@cache
def models() -> dict[str, ModelSpec]:
    """Every model by its name, the default first."""
    return {spec.name: spec for spec in MODELS}


def timm_spec(name: str) -> ModelSpec | None:
    """What can be said of a model of timm without importing it, and torch with it. None for what cannot be such a name.

    Whether timm has it, and its classifier, only timm knows.
    """
    if not re.match(TIMM_PATTERN, name):
        return None
    own = name.removeprefix(TIMM)
    return ModelSpec(
        name=name,
        title=f"timm's {own}",
        family="timm",
        summary="of timm, as it is there",
        builder="engine.model.timm_models:build",
        parameters=None,
        activations=6e6,
        classifier=(),
        stochastic_depth=0.0,
        fitted="resampled by timm",
        extra="timm",
    )


def model_spec(name: str) -> ModelSpec | None:
    """Of the catalogue, or one of timm's, whose names begin with `timm/`; None where there is none such."""
    return timm_spec(name) if name.startswith(TIMM) else models().get(name)


def spec_of(name: str) -> ModelSpec:
    """The same for a name that a recipe has, which is that of a model."""
    spec = model_spec(name)
    assert spec is not None, name
    return spec


def published_weights() -> dict[str, WeightsSpec]:
    """Every file of published weights by its name."""
    return {spec.weights.file_name: spec.weights for spec in MODELS if spec.weights is not None}


def model_aliases() -> dict[str, tuple[str, ...]]:
    """The models that each alias may mean."""
    found: dict[str, tuple[str, ...]] = {}
    for spec in sorted(MODELS, key=lambda spec: spec.name):
        for word in spec.spellings:
            found[word] = (*found.get(word, ()), spec.name)
    return found


def help_text() -> str:
    """What each model is, in a sentence."""
    return "; ".join(f"`{spec.name}`: {spec.summary}" for spec in MODELS) + "."
