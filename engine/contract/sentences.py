"""What both sides can find wrong, and how it reads. Groups are alphabetical; a code is `group.name`."""

from __future__ import annotations

from engine.contract.wire.sentences import Sentence


class Checkpoint:
    UNREADABLE = Sentence("The checkpoint {path} cannot be read: {reason}.", "Check that it exists.")


class Findings:
    """What stands out in a run: the message is what was seen, its name first; the hint is what to try."""

    AT_CHANCE = Sentence(
        "At chance level: the validation AUC is {auc:.3f} over the last {epochs} epochs while the training loss falls "
        "({first:.3g} to {last:.3g}), so nothing that is learned holds for other images.",
        "Check that the labels belong to the images, and that both splits are of the same kind.",
    )
    LOSS_SPIKE = Sentence(
        "Loss spike: the training loss of epoch {epoch} is {loss:.3g}, expected below {level:.3g}, with the learning "
        "rate near its peak ({lr:.2g}).",
        "Lower training.lr, or set training.clip_norm.",
    )
    NEVER_PREDICTED = Sentence(
        "Never predicted: {classes}, in the last {epochs} validations.",
        "Check that the training split has images of each class; training.class_weights: balanced helps rare ones.",
    )
    NON_FINITE_LOSS = Sentence(
        "Non-finite loss: {what}", "Lower training.lr, set training.clip_norm, or turn mixed precision off."
    )
    NOT_LEARNING = Sentence(
        "Nothing is learned: the validation AUC is at chance level ({auc:.3f} over the last {epochs} epochs), and the "
        "training loss does not fall ({first:.3g} to {last:.3g}).",
        "Change training.lr by a factor of ten, in most cases downwards.",
    )
    OVERFITTING = Sentence(
        "Overfitting: the validation loss rises since epoch {epoch} ({before:.3g} to {now:.3g}) while the training "
        "loss falls ({train_before:.3g} to {train_now:.3g}).",
        "Train for fewer epochs, or raise training.weight_decay or the augmentation; the best epoch is kept.",
    )
    SLOWED = Sentence(
        "Slow epochs: {first} to {last} ran at {pace:,.0f} images/s, {usual:,.0f} are usual in this run; input is "
        "waited for, or the machine is busy.",
        "Check where the data set's cache lies, dataset.cache, and what else runs there.",
    )
    STILL_RISING = Sentence(
        "Still rising at the end: the validation AUC gained {gain:.3f} over the last {epochs} epochs, to {auc:.3f}.",
        "Raise training.epochs.",
    )
    STOPPED_BEFORE_ANNEALING = Sentence(
        "Stopped before annealing: early stopping ended the run at epoch {epoch} of {planned}, with the learning rate "
        "still at {fraction:.0%} of its peak; the gain of its decrease was missed.",
        "Raise training.patience, or lower training.epochs.",
    )
    UNDEFINED_AUC = Sentence(
        "Undefined AUC: in {n} of {epochs} validations, {reason}.",
        "Check that the validation split has images of each class.",
    )
