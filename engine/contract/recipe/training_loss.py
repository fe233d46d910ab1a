"""What the training loss includes that the validation loss does not, so that the two are not compared blindly."""

from __future__ import annotations

from engine.contract.recipe.sections import TrainingSection


def only_in_training(training: TrainingSection) -> list[str]:
    """In words, for wherever both are on one axis; none where they are the same quantity.

    The validation loss is the plain cross-entropy over all images. Augmentation and dropout change images and
    features, not the quantity, and are not named.
    """
    parts = {
        "MixUp": training.mixup_alpha > 0 and training.mixup_until != 0,
        "CutMix": training.cutmix_alpha > 0 and training.mixup_until != 0,
        "label smoothing": training.label_smoothing > 0,
        "focal loss": training.focal_gamma > 0,
        "class weights": training.class_weights != "none",
        f"{training.sampling} sampling": training.sampling != "shuffled",
    }
    return [name for name, is_on in parts.items() if is_on]
