"""Dice of a segmentation model on a split of a store, under three definitions that are told apart by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from medvlp.data.store import Store
from medvlp.evaluation.result import Result
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
from medvlp.tasks.inference import Progress, TaskError, check_preprocessing
from medvlp.tasks.mask_batches import mask_rows
from medvlp.tasks.segment_rows import row_areas
from medvlp.tasks.segmenter import Segmenter

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

    task: ClassVar[str] = "segmentation"
    structures: dict[str, dict[str, Estimate]]
    images: pd.DataFrame

    def figures_by_name(self) -> dict[str, Any]:
        return {"structures": self.structures}

    def summary(self) -> tuple[list[str], list[list[Any]]]:
        return ["structure", *DEFINITIONS], [[name, *each.values()] for name, each in self.structures.items()]

    def tables(self) -> dict[str, pd.DataFrame]:
        return {"images.csv": self.images}


def evaluate_segmentation(
    segmenter: Segmenter,
    store: Store,
    *,
    split: str = "test",
    views: Sequence[str] | None = None,
    batch_size: int = 32,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> SegmentationResult:
    """Dice at the size of the prepared images, with intervals from resampling patients.

    Raises:
        TaskError: no image of the split has a mask, or the store was prepared otherwise.
    """
    check_preprocessing(store, segmenter.preprocess)
    rows = mask_rows(store, segmenter.structures, split, views)
    areas = row_areas(segmenter, store, rows, batch_size, progress)
    table = store.table.iloc[rows]
    patients = table["patient_id"].to_numpy(object)
    results = {}
    images = {"image_id": table["image_id"].to_numpy(object), "patient_id": patients}
    for k, name in enumerate(segmenter.structures):
        drawn = areas[:, k, 0] >= 0
        if not drawn.any():
            continue
        results[name] = {
            definition: bootstrap_by_patient(metric, patients[drawn], areas[drawn, k], n=resamples, seed=seed)
            for definition, metric in DEFINITIONS.items()
        }
        images[name] = dice_per_image(areas[:, k])
    protocol = {
        "store": store.hash,
        "split": split,
        "views": list(views) if views else None,
        "images": len(rows),
        "patients": len(np.unique(patients)),
        "pixels": store.letterbox.size,
        "threshold": 0.5,
        "resamples": resamples,
        "seed": seed,
    }
    return SegmentationResult(
        structures=results, images=pd.DataFrame(images), protocol=protocol, notice=segmenter.notice
    )


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
