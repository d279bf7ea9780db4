"""What is refused before the first step: data without what a method learns from, and patches that it cannot miss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy

import numpy as np
import torch

from medvlp.data.batch import Batch
from medvlp.data.loader import BatchLoader
from medvlp.knowledge import PLACES
from medvlp.methods.auxiliary.base import AUXILIARY
from medvlp.methods.pretraining_objective import PretrainingObjective
from medvlp.models import PatchesDroppedError
from medvlp.reports.states import FindingState
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError

_IN_WORDS = {
    "findings": "labels of the recipe's findings",
    "reports": "reports",
    "sentences": "sentences of reports",
    "places": "places that reports give to these findings",
    "concepts": "mentions of findings in reports",
}
_REPORTED = (
    "Reports come with mimic_cxr, openi, chexpert (Plus), padchest, roco (captions), covid_cxr (clinical notes), "
    "phantom, or a column `report` of your own."
)
_NAMED = (
    "English reports that name findings and where they are come with mimic_cxr, openi, chexpert (Plus), phantom, or a "
    "column `report` of your own."
)
_LABELED = (
    "Labels come with nih_cxr, mimic_cxr, chexpert, padchest, vindr_cxr and others, with a column of your own that is "
    "called as the finding, or from English reports that name it."
)
_SHOWN = 12  # labels of a store that an error lists


def check_requirements(recipe: Recipe, objective: PretrainingObjective, loader: BatchLoader) -> None:
    """Refuse data without what the losses of the method, or of one of its auxiliary losses, are made of.

    Args:
        recipe: what was asked for. objective: built from it. loader: of the training rows.

    Raises:
        RecipeError: what is missing, and which data sets have it.
    """
    auxiliary = {f"auxiliary.{name}: it": AUXILIARY.get(name).required_fields for name in recipe.auxiliary}
    learners = {f"method: {recipe.method}": objective.method.required_fields, **auxiliary}
    has = _what_is_there(loader)
    for learner, needs in learners.items():
        if missing := [need for need in _IN_WORDS if need in needs and not has[need]]:
            raise RecipeError(
                f"{learner} learns from {_listed(_IN_WORDS[need] for need in missing)}, and none of the "
                f"{len(loader.rows)} images of {loader.store.path} in the split {recipe.data.train_split!r} has any. "
                f"{_where_to_get(missing, loader.store.labels)}"
            )


def _what_is_there(loader: BatchLoader) -> dict[str, bool]:
    """Of each need, whether any training row meets it."""
    rows, texts = loader.rows, loader.texts
    assert texts is not None  # the loader of a pretraining reads reports
    has_reports = bool((texts.report[rows] >= 0).any())
    return {
        "reports": has_reports,
        "sentences": has_reports,
        "findings": bool((loader.states[torch.from_numpy(rows)] != FindingState.UNMENTIONED).any()),
        "places": _name_places(loader),
        "concepts": texts.concepts is not None and bool(len(texts.concepts.spans)),
    }


def _name_places(loader: BatchLoader) -> bool:
    """Whether any report of the rows says of any finding where it is."""
    texts = loader.texts
    if texts is None or texts.places is None:
        return False
    named = texts.places[np.unique(texts.report[loader.rows]), :, : PLACES.index("unspecified")]
    return bool((named == FindingState.PRESENT).any())


def _where_to_get(missing: Sequence[str], labels: Sequence[str]) -> str:
    advice = []
    if "findings" in missing:
        shown = ", ".join(labels[:_SHOWN]) + (f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else "")
        advice.append(f"The store has labels of {shown}." if labels else _LABELED)
    if "places" in missing or "concepts" in missing:
        advice.append(_NAMED)
    elif "reports" in missing or "sentences" in missing:
        advice.append(_REPORTED)
    return " ".join(advice)


def _listed(words: Iterable[str]) -> str:
    """ "a, b and c"."""
    *before, last = words
    return f"{', '.join(before)} and {last}" if before else last


def check_patch_dropping(objective: PretrainingObjective, batch: Batch) -> None:
    """Refuse, before the first step, a method that needs the grid of patches when the image encoder drops some.

    The losses run once on a copy on the device `meta`, where nothing is computed; each method's step is
    tested to run there. Nothing of the objective itself changes.

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
