"""Dice of a segmentation model on a split of a store, under three definitions that are told apart by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import PositiveInt

from medvlp.data.store import Store
from medvlp.evaluation.protocol import Protocol
from medvlp.evaluation.result import Result
from medvlp.evaluation.task import EvaluationTask, TaskOptions, register
from medvlp.metrics import (
    Estimate,
    bootstrap_by_patient,
    dice_empty_is_one,
    dice_foreground,
    dice_per_image,
    dice_with_background,
    image_mean,
    paired_difference,
)
from medvlp.tasks.admission import TaskError
from medvlp.tasks.inference import Progress
from medvlp.tasks.model import Model
from medvlp.training.finetuning import FinetunedModel
from medvlp.training.heads.segmentation import mask_rows, row_areas
from medvlp.training.model_folder import check_preprocessing

DEFINITIONS = {
    "dice": dice_foreground,
    "dice_empty_is_one": dice_empty_is_one,
    "dice_with_background": dice_with_background,
}


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentationResult(Result):
    """Dice of each structure.

    Attributes:
        structures: structure -> definition (`dice` is ours, the others are the two legacy ones) -> estimate.
        images: `image_id, patient_id` and one Dice a structure (NaN where nothing was there to be found).
    """

    task: str = "segmentation"
    structures: dict[str, dict[str, Estimate]]
    images: pd.DataFrame

    def figures_by_name(self) -> dict[str, Any]:
        return {"structures": self.structures}

    def summary(self) -> tuple[list[str], list[list[Any]]]:
        return ["structure", *DEFINITIONS], [[name, *each.values()] for name, each in self.structures.items()]

    def tables(self) -> dict[str, pd.DataFrame]:
        return {"images.csv": self.images}


class SegmentationOptions(TaskOptions):
    """`batch_size`: images in one pass."""

    batch_size: PositiveInt = 32


@register("segmentation")
class SegmentationTask(EvaluationTask):
    """Dice of each structure of a model of `medvlp finetune`, by three definitions."""

    Options = SegmentationOptions
    unused = ("findings", "labels", "unmentioned")

    def evaluate(
        self,
        model: Model,
        store: Store,
        protocol: Protocol,
        options: SegmentationOptions,
        progress: Progress | None = None,
    ) -> SegmentationResult:
        return evaluate_segmentation(model.segmenter, store, protocol, options, progress=progress)


def evaluate_segmentation(
    segmenter: FinetunedModel,
    store: Store,
    protocol: Protocol | None = None,
    options: SegmentationOptions | None = None,
    *,
    progress: Progress | None = None,
) -> SegmentationResult:
    """Dice at the size of the prepared images, with intervals from resampling patients.

    Raises:
        RecipeError: no image of the split has a mask. PreprocessingError: the store was prepared otherwise.
    """
    protocol = protocol or Protocol()
    check_preprocessing(store, segmenter.preprocess)
    rows = np.intersect1d(mask_rows(store, segmenter.outputs, protocol.split, protocol.views), protocol.rows(store))
    if not len(rows):
        raise TaskError(f"no image of {store.path} from {protocol.source} in the split {protocol.split!r} has a mask")
    size = (options or SegmentationOptions()).batch_size
    areas = row_areas(segmenter.probabilities, segmenter.outputs, store, rows, segmenter.device, size, progress)
    table = store.table.iloc[rows]
    patients = table["patient_id"].to_numpy(object)
    results = {}
    images = {"image_id": table["image_id"].to_numpy(object), "patient_id": patients}
    for k, name in enumerate(segmenter.outputs):
        drawn = areas[:, k, 0] >= 0
        if not drawn.any():
            continue
        results[name] = {
            definition: bootstrap_by_patient(metric, patients[drawn], areas[drawn, k], **protocol.draws)
            for definition, metric in DEFINITIONS.items()
        }
        images[name] = dice_per_image(areas[:, k])
    record = protocol.record(store, rows, pixels=store.letterbox.size, threshold=0.5)
    return SegmentationResult(structures=results, images=pd.DataFrame(images), protocol=record, notice=segmenter.notice)


def compare_dice(first: SegmentationResult, second: SegmentationResult) -> dict[str, Estimate]:
    """By how much the first model's foreground Dice is above the second's on the same patients, for each structure.

    Raises:
        TaskError: the two were not evaluated on the same images.
    """
    if not first.images["image_id"].equals(second.images["image_id"]):
        raise TaskError("the two results are of different images; evaluate both on the same split and views")
    draws = {"n": first.protocol["resamples"], "seed": first.protocol["seed"]}
    patients = first.images["patient_id"].to_numpy(object)
    return {
        name: paired_difference(image_mean, patients, (first.images[name],), (second.images[name],), **draws)
        for name in first.structures
        if name in second.structures
    }
