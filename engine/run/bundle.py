"""The description next to the best weights: what a model must be known by to be used without its run."""

from __future__ import annotations

from engine.contract.data.card import read_card
from engine.contract.data.views import view_names
from engine.contract.recipe.identity import recipe_hash
from engine.contract.store.checkpoint_file import DIGEST, read_header
from engine.contract.store.model_bundle import BundledWeights, ModelBundle, read_bundle, write_bundle
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.errors import CheckpointError
from engine.evaluate.predict import views_for
from engine.run.prepare import WithModel

DATA_CARD = "data_card.json"  # of a user's own images


def describe_best(run: RunDirectory, prepared: WithModel, resolved_hash: str | None) -> None:
    """Write the bundle of `best`, where there is one and the bundle is not of it already.

    A kill between the two leaves the older bundle; when the run is resumed, this makes them agree. Raises OSError or
    CheckpointError.
    """
    if not run.best.is_there:
        run.model_bundle.delete()
        return
    bundle = bundle_of(run, prepared, resolved_hash)
    try:
        if read_bundle(run.model_bundle) == bundle:
            return
    except CheckpointError:
        pass
    write_bundle(run.model_bundle, bundle)


def bundle_of(run: RunDirectory, prepared: WithModel, resolved_hash: str | None) -> ModelBundle:
    """Of the best weights as they are: without what is computed once they are final. Raises CheckpointError."""
    mean, std = prepared.statistics
    views = views_for(prepared.facts.symmetry, prepared.recipe.evaluation.tta)
    return ModelBundle(
        model=prepared.built.spec.name,
        task=prepared.facts.task,
        class_names=prepared.facts.class_names,
        size=prepared.recipe.dataset.size,
        input_size=prepared.recipe.enlarged_to,
        fit=prepared.recipe.dataset.fit,
        bits=_bits(run, prepared),
        channels=len(mean),
        mean=tuple(mean),
        std=tuple(std),
        views=tuple(view.name for view in views),
        recipe_hash=recipe_hash(prepared.recipe),
        resolved_hash=resolved_hash,
        amp=prepared.recipe.training.amp,
        tta_views=view_names(prepared.facts.symmetry, True),
        weights=BundledWeights(file=run.best.name, digest=read_header(run.best).metadata.get(DIGEST, "")),
    )


def _bits(run: RunDirectory, prepared: WithModel) -> int:
    """Per channel of the deepest training image, by which others are scaled too; official archives have 8."""
    if DATA_CARD not in prepared.data.attachments:
        return 8
    card = read_card(run.metrics / DATA_CARD) or read_card(prepared.data.attachments[DATA_CARD])
    return card.bits if card is not None else 8
