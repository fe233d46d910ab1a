"""The augmentation section of a recipe, field by field."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.contract.recipe.setting import Fraction, Section, setting


class AugmentationSection(Section):
    hflip: Literal["auto"] | Fraction = setting(
        "auto",
        title="Horizontal flip",
        help="Probability of a horizontal flip; `auto` is 0.5, or 0 where orientation carries meaning.",
    )
    vflip: Fraction = setting(0.0, title="Vertical flip", help="Probability of a vertical flip.")
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = setting(
        10.0, title="Rotation", help="Maximum angle of rotation, in either direction.", unit="degrees"
    )
    shift: Annotated[float, Field(ge=0.0, le=0.5)] = setting(
        0.0, title="Shift", help="Maximum shift along each axis, as a fraction of the side.", advanced=True
    )
    scale: Annotated[float, Field(ge=0.0, le=0.5)] = setting(
        0.0, title="Scale", help="Random zoom factor, from 1 - value to 1 + value.", advanced=True
    )
    brightness: Fraction = setting(
        0.2, title="Brightness", help="Random brightness factor, from 1 - value to 1 + value."
    )
    contrast: Fraction = setting(0.2, title="Contrast", help="Random contrast factor, from 1 - value to 1 + value.")
    saturation: Fraction = setting(
        0.0,
        title="Saturation",
        help="Random saturation factor, from 1 - value to 1 + value; no effect on grey.",
        advanced=True,
    )
    crop_area: Annotated[float, Field(gt=0.0, le=1.0)] = setting(
        1.0,
        title="Random resized crop",
        help="Smallest fraction of the area that is cropped and enlarged to the whole, aspect 3/4 to 4/3; 1 is off.",
        advanced=True,
    )
    trivial_augment: Fraction = setting(
        0.0,
        title="TrivialAugment",
        help=(
            "One random operation per image (Müller & Hutter 2021), with a strength up to this fraction of the widest "
            "ranges; 0 is off."
        ),
        advanced=True,
    )
    erasing: Fraction = setting(
        0.0,
        title="Random erasing",
        help=(
            "Probability that a rectangle of 2 to 33 % of the image becomes the mean of the training images (Zhong et "
            "al. 2020)."
        ),
        advanced=True,
    )
