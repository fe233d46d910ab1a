"""Memory: the peak of a run, and the cost of a large data set in RAM and memory-mapped.

As a script (`python -m benchmarks.memory ram|mapped ARCHIVE MD5 WORKSPACE`) it holds the data set, reads every training
batch once, and prints the memory above the imports; `peak WORKSPACE RECIPE` does a run and prints its peak.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.children import PATIENCE, ask, environment
from benchmarks.rows import Effort, Row, at_most, at_most_ratio
from benchmarks.stand_in import IMAGE_BYTES, MANY, job_for, many_recipe, tiny_recipe, write_many

RAM_GOAL = 1.3  # times the images' bytes
MAPPED_GOAL = 200.0  # MB
MB = 1e6
ESTIMATE_GOAL = 0.15  # of the peak
IMAGES = 128  # of each split: a complete batch of an evaluation
FEW = (("mini_cnn", 16), ("resnet18_adapted", 32))
FAMILIES = (
    *(("mini_cnn", 16), ("resnet18_adapted", 8), ("resnet34", 8), ("resnet50", 8), ("densenet121", 8), ("vgg16_bn", 8)),
    *(("efficientnet_v2_s", 8), ("convnext_tiny", 8), ("mobilenet_v3_large", 8), ("vit_s_16", 8), ("swin_t", 8)),
)


def measure(effort: Effort) -> list[Row]:
    images = MANY * IMAGE_BYTES / MB
    repeats = effort.at_most(1 if effort.quick else 3).pairs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = environment()
        recipe = json.dumps(tiny_recipe(training={"epochs": 2}))
        peaks = [ask("memory", "peak", folder, recipe, environment=own)["peak"] / MB for _ in range(repeats)]
        estimated = [_estimate_and_peak(name, batch, folder) for name, batch in (FEW if effort.quick else FAMILIES)]
        imports = [ask("memory", "imports", environment=own)["peak"] / MB for _ in range(repeats)]
        archive, md5 = write_many(folder)
        ask("memory", "mapped", archive, md5, folder, environment=own)  # fills the cache
        held = [ask("memory", "ram", archive, md5, folder, environment=own) for _ in range(repeats)]
        mapped = [ask("memory", "mapped", archive, md5, folder, environment=own) for _ in range(repeats)]
    ram = Row(
        "memory",
        f"{MANY:,} RGB images in RAM, above the imports",
        "MB",
        [cost["resident"] / MB for cost in held],
        "their bytes",
        [images] * repeats,
    )
    anonymous = Row(
        "memory",
        f"{MANY:,} RGB images memory-mapped, RssAnon above the imports",
        "MB",
        [cost["anonymous"] / MB for cost in mapped],
        "their bytes",
        [images] * repeats,
    )
    return [
        Row("memory", "peak of a tiny run's engine", "MB", peaks, "import torch, torchvision", imports),
        *estimated,
        at_most_ratio(ram, RAM_GOAL),
        at_most(anonymous, MAPPED_GOAL),
    ]


def _estimate_and_peak(name: str, batch: int, workspace: Path) -> Row:
    """What preflight says that a run at 28 px takes, and what its engine took."""
    from engine.contract.recipe.reader import build_recipe
    from engine.contract.recipe.sources import facts_of
    from medtui.client.preflight import memory_estimate

    model, training = {"name": name, "pretrained": False}, {"batch_size": batch, "lr": 0.001}
    values = tiny_recipe(dataset={"limit": IMAGES}, model=model, training=training)
    recipe = build_recipe(values)
    estimate = memory_estimate(recipe, recipe.training, IMAGES, facts_of(recipe.dataset))
    peak = ask("memory", "peak", workspace, json.dumps(values), environment=environment())["peak"]
    row = Row("memory", f"estimate of {name}, batches of {batch}", "MB", [estimate / MB], "measured peak", [peak / MB])
    return replace(row, goal="within 15 %", met=abs(estimate / peak - 1) <= ESTIMATE_GOAL)


def rollup() -> dict[str, int]:
    """This process's memory by kind, in bytes."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return {"resident": sizes["Rss"], "anonymous": sizes["Anonymous"]}


def _cost_of_holding(storage: str, archive: Path, md5: str, workspace: Path) -> dict[str, int]:
    """The data set's memory above the imports after every training batch was read once, augmented."""
    from engine.contract.recipe.reader import build_recipe
    from engine.data.batches import steps_per_epoch
    from engine.run.prepare import prepare
    from engine.run.training import TrainingBatches

    recipe = many_recipe(archive, md5, cache=storage)
    with job_for(recipe, workspace) as job:
        before = rollup()
        prepared = prepare(job, build_recipe(recipe))
        fetch = TrainingBatches(prepared)
        split, batch = prepared.splits["train"], prepared.training.images_per_batch
        if split.storage != storage:
            raise RuntimeError(f"expected the images {storage}, found them {split.storage}")
        for step in range(steps_per_epoch(len(split), batch)):
            fetch(0, step)
        after = rollup()
    return {kind: after[kind] - before[kind] for kind in after}


def _peak_of_run(workspace: Path, recipe: str) -> int:
    """Peak resident memory of a run's engine, the only child this process has."""
    from engine.contract.store.workspace import Workspace
    from engine.contract.wire.jobs import Train
    from medtui.client.engine_process import EngineProcess

    engine = EngineProcess(Workspace(workspace))
    engine.send(Train(id="start", by="benchmark", recipe=json.loads(recipe)))
    while engine.receive(PATIENCE) is not None:
        pass
    if (code := engine.wait(PATIENCE)) != 0:
        raise RuntimeError(f"the run ended with {code}")
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _peak_of_imports() -> int:
    import torch
    import torchvision

    assert torch and torchvision
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    job, *arguments = sys.argv[1:]
    if job == "imports":
        print(json.dumps({"peak": _peak_of_imports()}))
    elif job == "peak":
        print(json.dumps({"peak": _peak_of_run(Path(arguments[0]), arguments[1])}))
    else:
        print(json.dumps(_cost_of_holding(job, Path(arguments[0]), arguments[1], Path(arguments[2]))))
