"""A step on tensors without values: whether a method's losses can do without the places of patches."""

from __future__ import annotations

from copy import deepcopy

from medvlp.data.batch import Batch
from medvlp.methods.pretraining_objective import PretrainingObjective
from medvlp.models import PatchesDroppedError
from medvlp.training.recipe_errors import RecipeError


def check_patch_dropping(objective: PretrainingObjective, batch: Batch) -> None:
    """Refuse, before the first step, a method that needs the grid of patches when the image encoder drops some.

    The losses run once on a copy on the device `meta`, where nothing is computed; each method's step is tested to run
    there. Nothing of the objective itself changes.

    Args:
        objective: untrained or not. batch: any batch of the training data.

    Raises:
        RecipeError: the losses ask where patches are, or expect all of them.
    """
    twin = deepcopy(objective).to("meta").train()
    try:
        twin.losses(batch.to("meta"))
    except (PatchesDroppedError, RuntimeError) as error:
        raise RecipeError(
            f"image_encoder.patch_dropping: the losses of this method fail where patches are missing ({error}). "
            "Methods that compare whole images with texts, such as clip, can do without some."
        ) from error
