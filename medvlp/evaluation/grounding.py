"""Heat maps against the boxes of a split: pointing game, contrast-to-noise ratio and mean IoU, finding by finding."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medvlp.data.preprocess import Preprocess
from medvlp.data.store import Store
from medvlp.evaluation.model_outputs import ModelOutputs
from medvlp.evaluation.result import Result
from medvlp.knowledge import name_of
from medvlp.metrics import Estimate, bootstrap_by_patient, box_mask, cnr, group_mean, image_mean, miou, pointing_game
from medvlp.tasks.ground import HeatMapKind, heat_map_function
from medvlp.tasks.inference import Progress, TaskError, check_preprocessing, run_rows
from medvlp.training.model_folder import TrainedModel

METRICS = ("pointing", "cnr", "cnr_abs", "miou", "chance")


@dataclass(frozen=True, eq=False, kw_only=True)
class GroundingResult(Result):
    """How well heat maps meet boxes.

    Attributes:
        findings: finding -> metric (`pointing`, `cnr` signed, `cnr_abs`, `miou`, and `chance`: the share of the image
            inside the boxes, which is what pointing blindly reaches) -> estimate.
        macro: metric -> the mean over the findings.
        pairs: one row an image and finding: `image_id, patient_id, finding`, and the metrics.
    """

    task: ClassVar[str] = "grounding"
    findings: dict[str, dict[str, Estimate]]
    macro: dict[str, Estimate]
    pairs: pd.DataFrame

    def figures_by_name(self) -> dict[str, Any]:
        return {"macro": self.macro, "findings": self.findings}

    def summary(self) -> tuple[list[str], list[list[Any]]]:
        named = {**self.findings, "macro": self.macro}
        return ["finding", *METRICS], [[name, *each.values()] for name, each in named.items()]

    def tables(self) -> dict[str, pd.DataFrame]:
        return {"pairs.csv": self.pairs}


def evaluate_grounding(
    model: TrainedModel,
    store: Store,
    *,
    split: str = "test",
    findings: Sequence[str] | None = None,
    views: Sequence[str] | None = None,
    phrases: Mapping[str, str] | None = None,
    kind: HeatMapKind = "phrase",
    batch_size: int = 32,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
    outputs: ModelOutputs | None = None,
) -> GroundingResult:
    """Point at each boxed finding by a phrase. The boxes of one finding in one image are merged.

    Maps and boxes are compared at the size of the prepared images, without the letterbox's margins.

    Args:
        model, store: prepared alike, or the store is refused.
        split, views: which images.
        findings: ids; None takes all that have a box and that the model was trained on.
        phrases: what is asked for each finding; default its name in the knowledge base.
        kind: of heat map; see `heat_map_function`. `evidence` needs no method that reads text, and reads no phrases.
        batch_size, resamples, seed, progress: as in `evaluate_labels`.
        outputs: of these rows and phrases, where they are there already, instead of running the model.

    Raises:
        TaskError: no image of the split has such a box, the method reads no text, or the store was prepared otherwise.
    """
    check_preprocessing(store, model.preprocess)
    boxed = boxed_rows(store, store.rows(split, views), findings if findings is not None else model.findings)
    if not boxed:
        raise TaskError(f"no image of {store.path} in the split {split!r} has a box of these findings")
    named = {} if kind == "evidence" else (phrases or {})
    asked = {finding: named.get(finding, name_of(finding)) for finding in boxed}
    pairs: list[dict[str, Any]] = []
    for done, (finding, rows) in enumerate(boxed.items(), start=1):
        if outputs is None:
            heat = heat_map_function(model, asked[finding], kind)
            maps = run_rows(heat, store, np.array(list(rows)), model.device, batch_size)
        else:
            maps = outputs.maps[asked[finding]][outputs.at(np.array(list(rows)))]
        for map_, (row, boxes) in zip(maps, rows.items(), strict=True):
            place = store.table.iloc[row]
            values = _compare(map_, boxes, (int(place["height"]), int(place["width"])), store.letterbox)
            ids = {"image_id": place["image_id"], "patient_id": place["patient_id"], "finding": finding}
            pairs.append(ids | dict(zip(METRICS, values, strict=True)))
        if progress:
            progress(done, len(boxed))
    table = pd.DataFrame(pairs)
    protocol = {
        "store": store.hash,
        "split": split,
        "views": list(views) if views else None,
        "pairs": len(table),
        "patients": int(table["patient_id"].nunique()),
        "heat_map": kind,
        "phrases": asked,
        "pixels": store.letterbox.size,
        "resamples": resamples,
        "seed": seed,
    }
    return _result(table, protocol, model.notice)


def boxed_rows(
    store: Store, rows: NDArray[np.integer], findings: Sequence[str]
) -> dict[str, dict[int, list[list[float]]]]:
    """Finding -> row -> its boxes in pixels of the original file; findings in the order given, if they have any."""
    if "boxes" not in store.table:
        return {}
    found: dict[str, dict[int, list[list[float]]]] = {finding: {} for finding in findings}
    for row, cell in zip(rows.tolist(), store.table["boxes"].iloc[rows], strict=True):
        for item in json.loads(cell) if cell else []:
            if item["finding"] in found:
                found[item["finding"]].setdefault(row, []).append(item["box"])
    return {finding: each for finding, each in found.items() if each}


def _compare(
    heat: NDArray[np.float32], boxes: list[list[float]], original: tuple[int, int], preprocess: Preprocess
) -> tuple[float, ...]:
    """The metrics of one map, in the order of `METRICS`."""
    top, left, height, width = preprocess.content(original)
    region = box_mask(preprocess.box_to_square(np.array(boxes), original) - [left, top] * 2, (height, width))
    seen = preprocess.to_original(heat, (height, width))  # the square's part that holds the image, pixel by pixel
    signed = cnr(seen, region)
    return pointing_game(seen, region), signed, abs(signed), miou(seen, region), float(region.mean())


def _result(table: pd.DataFrame, protocol: dict[str, Any], notice: str | None) -> GroundingResult:
    draws = {"n": protocol["resamples"], "seed": protocol["seed"]}
    findings = {
        str(finding): {
            name: bootstrap_by_patient(image_mean, rows["patient_id"], rows[name], **draws) for name in METRICS
        }
        for finding, rows in table.groupby("finding", sort=False)
    }
    patients, names = table["patient_id"].to_numpy(object), table["finding"].to_numpy(object)
    macro = {name: bootstrap_by_patient(group_mean, patients, table[name], names, **draws) for name in METRICS}
    return GroundingResult(findings=findings, macro=macro, pairs=table, protocol=protocol, notice=notice)
