"""Other words for names, by kind of name: what users of other programs and earlier editions type.

Keys are squeezed as `names.squeezed` does it. Several targets: the word may mean any of them.
"""

from __future__ import annotations

from engine.contract.models.catalogue import model_aliases

ORGANS = ("organamnist", "organcmnist", "organsmnist")

ALIASES: dict[str, dict[str, tuple[str, ...]]] = {
    "data set": {
        # MedMNIST v1, and halves of its names
        "organmnistaxial": ("organamnist",),
        "organmnistcoronal": ("organcmnist",),
        "organmnistsagittal": ("organsmnist",),
        "organaxial": ("organamnist",),
        "organcoronal": ("organcmnist",),
        "organsagittal": ("organsmnist",),
        "organ": ORGANS,
        "organs": ORGANS,
        "organmnist": ORGANS,
        "synthetic": ("cells",),
    },
    "model": model_aliases(),
    "section": {
        "data": ("dataset",),
        "train": ("training",),
        "optim": ("training",),
        "optimizer": ("training",),
        "augment": ("augmentation",),
        "transforms": ("augmentation",),
        "eval": ("evaluation",),
    },
    "field": {
        "learningrate": ("lr",),
        "initiallr": ("lr",),
        "bs": ("batch_size",),
        "numepochs": ("epochs",),
        "nepochs": ("epochs",),
        "maxepochs": ("epochs",),
        "wd": ("weight_decay",),
        "l2": ("weight_decay",),
        "earlystopping": ("patience",),
        "metricforbestmodel": ("monitor",),
        "checkpointmonitor": ("monitor",),
        "savebestby": ("monitor",),
        "scheduler": ("schedule",),
        "lrscheduler": ("schedule",),
        "warmup": ("warmup_epochs",),
        "mixup": ("mixup_alpha",),
        "ema": ("ema_decay",),
        "gradclip": ("clip_norm",),
        "horizontalflip": ("hflip",),
        "verticalflip": ("vflip",),
        "rotationangle": ("rotation",),
        "architecture": ("name",),
        "imagesize": ("size",),
        "deterministic": ("reproducible",),
    },
    "option": {
        "learningrate": ("--lr",),
        "bs": ("--batch-size",),
        "batch": ("--batch-size",),
        "numepochs": ("--epochs",),
        "nepochs": ("--epochs",),
        "maxepochs": ("--epochs",),
        "wd": ("--weight-decay",),
        "model": ("--model-name",),
        "arch": ("--model-name",),
        "mixup": ("--mixup-alpha",),
        "rotation": ("--rotation-angle",),
        "earlystopping": ("--patience",),
        "deterministic": ("--reproducible",),
        "recipe": ("--config",),
        "datadir": ("--data",),
        "datapath": ("--data",),
        "dataroot": ("--data",),
        "root": ("--workspace",),
        "output": ("--workspace",),
        "outputdir": ("--workspace",),
        "background": ("--detach",),
        "nodownload": ("--offline",),
        "continue": ("--resume",),
        "force": ("--yes",),
    },
    "command": {
        "list": ("runs",),
        "ls": ("runs",),
        "history": ("runs",),
        "fit": ("run",),
        "start": ("run",),
        "continue": ("run --resume",),
        "restart": ("run --resume",),
        "test": ("evaluate",),
        "eval": ("evaluate",),
        "watch": ("attach",),
        "follow": ("attach",),
        "logs": ("attach",),
        "status": ("show",),
        "results": ("show",),
        "info": ("show",),
        "cancel": ("abort", "stop"),
        "end": ("stop",),
        "rm": ("runs delete",),
        "delete": ("runs delete",),
        "remove": ("runs delete",),
        "tag": ("runs tag",),
        "note": ("runs note",),
        "archive": ("runs archive",),
        "download": ("data fetch",),
        "fetch": ("data fetch",),
        "verify": ("data verify",),
        "datasets": ("data list",),
        "init": ("recipe init",),
        "new": ("recipe init",),
        "validate": ("recipe validate",),
        "schema": ("recipe schema",),
        "recipes": ("recipe",),
        "check": ("doctor",),
        "diagnose": ("doctor",),
        "selftest": ("smoke",),
        "version": ("--version",),
        "help": ("--help",),
    },
    "runs command": {"ls": ("list",), "rm": ("delete",), "remove": ("delete",), "show": ("medtui show",)},
    "data command": {"ls": ("list",), "download": ("fetch",), "get": ("fetch",), "check": ("verify",)},
    "recipe command": {"check": ("validate",), "new": ("init",), "create": ("init",), "show": ("schema",)},
}

OTHER_NETWORKS = (
    *(r"(wide)?resnet(34|50|101|152).*", r"resnext.*", r"densenet.*", r"vgg.*", r"vit.*", r"convnext.*"),
    *(r"efficientnet.*", r"mobilenet.*", r"alexnet"),
)

# Names of the field that mean something else, though they are spelled almost like ours: by squeezed pattern, why not.
NOT_HERE: dict[str, dict[str, str]] = {
    "data set": {
        r"(organ|nodule|adrenal|fracture|vessel|synapse)(mnist)?3d(mnist)?|(nodule|adrenal|fracture|vessel|synapse)mnist"
        r"|.*3d": "the 3D sets of MedMNIST are not supported",
    },
    "model": dict.fromkeys(OTHER_NETWORKS, "that model is not supported"),
}
