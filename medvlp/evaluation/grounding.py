"""Heat maps against the boxes of a split: pointing game, contrast-to-noise ratio and mean IoU, finding by finding."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from medvlp.data.preprocess import Preprocess
from medvlp.data.store import Store
from medvlp.evaluation.model_outputs import ModelOutputs
from medvlp.evaluation.protocol import Protocol
from medvlp.evaluation.result import Result
from medvlp.evaluation.task import EvaluationTask, TaskOptions, register
from medvlp.knowledge import name_of
from medvlp.metrics import Estimate, bootstrap_by_patient, box_mask, cnr, group_mean, image_mean, miou, pointing_game
from medvlp.tasks.admission import TaskError
from medvlp.tasks.ground import HeatMapKind, heat_map_function
from medvlp.tasks.inference import Progress, run_rows
from medvlp.tasks.model import Model
from medvlp.training.model_folder import TrainedModel, check_preprocessing

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

    task: str = "grounding"
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


class GroundingOptions(TaskOptions):
    """Settings of the measure.

    Attributes:
        heat_map: see `heat_map_function`. `evidence` needs no method that reads text, and reads no phrases.
        phrases: the words for a finding; its name in the knowledge base unless given.
    """

    batch_size: PositiveInt = 32
    heat_map: HeatMapKind = Field(default="phrase", description="phrase or evidence, as `medvlp ground --kind`")
    phrases: dict[str, str] = Field(default_factory=dict, description="words for a finding, {pneumothorax: free air}")


@register("grounding")
class GroundingTask(EvaluationTask):
    """Heat maps against boxes: pointing game, contrast-to-noise ratio, mIoU, and what pointing blindly reaches."""

    Options = GroundingOptions
    unused = ("labels", "unmentioned")

    def evaluate(
        self,
        model: Model,
        store: Store,
        protocol: Protocol,
        options: GroundingOptions,
        progress: Progress | None = None,
    ) -> GroundingResult:
        return evaluate_grounding(model.pretrained, store, protocol, options, progress=progress)


def evaluate_grounding(
    model: TrainedModel,
    store: Store,
    protocol: Protocol | None = None,
    options: GroundingOptions | None = None,
    *,
    progress: Progress | None = None,
    outputs: ModelOutputs | None = None,
) -> GroundingResult:
    """Point at each boxed finding by a phrase. The boxes of one finding in one image are merged.

    Maps and boxes are compared at the size of the prepared images, without the letterbox's margins.

    Args:
        model, store: prepared alike, or the store is refused.
        protocol: which images and findings; without findings all that have a box and that the model was trained on.
        options, progress: as in `EvaluationTask.evaluate`.
        outputs: of these rows and phrases, where they are there already, instead of running the model.

    Raises:
        TaskError: no image of the split has such a box, the method reads no text, or the store was prepared otherwise.
    """
    protocol, options = protocol or Protocol(), options or GroundingOptions()
    check_preprocessing(store, model.preprocess)
    boxed = boxed_rows(store, protocol.rows(store), protocol.findings_or(model.findings))
    if not boxed:
        raise TaskError(f"no image of {store.path} in the split {protocol.split!r} has a box of these findings")
    named = {} if options.heat_map == "evidence" else options.phrases
    phrases = {finding: named.get(finding, name_of(finding)) for finding in boxed}
    pairs: list[dict[str, Any]] = []
    for done, (finding, rows) in enumerate(boxed.items(), start=1):
        if outputs is None:
            heat = heat_map_function(model, phrases[finding], options.heat_map)
            maps = run_rows(heat, store, np.array(list(rows)), model.device, options.batch_size)
        else:
            maps = outputs.maps[phrases[finding]][outputs.at(np.array(list(rows)))]
        for map_, (row, boxes) in zip(maps, rows.items(), strict=True):
            image = store.table.iloc[row]
            values = _compare_with_boxes(map_, boxes, (int(image["height"]), int(image["width"])), store.letterbox)
            ids = {"image_id": image["image_id"], "patient_id": image["patient_id"], "finding": finding}
            pairs.append(ids | dict(zip(METRICS, values, strict=True)))
        if progress:
            progress(done, len(boxed))
    table = pd.DataFrame(pairs)
    with_box = np.unique([row for rows in boxed.values() for row in rows])
    record = protocol.record(store, with_box, pairs=len(table), heat_map=options.heat_map)
    record |= {"findings": list(boxed), "phrases": phrases, "pixels": store.letterbox.size}
    return _result(table, record, protocol.draws, model.notice)


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


def _compare_with_boxes(
    heat: NDArray[np.float32], boxes: list[list[float]], original: tuple[int, int], preprocess: Preprocess
) -> tuple[float, ...]:
    """The metrics of one map, in the order of `METRICS`."""
    top, left, height, width = preprocess.content(original)
    region = box_mask(preprocess.box_to_square(np.array(boxes), original) - [left, top] * 2, (height, width))
    content = preprocess.to_original(heat, (height, width))  # the square's part that holds the image, pixel by pixel
    signed = cnr(content, region)
    return pointing_game(content, region), signed, abs(signed), miou(content, region), float(region.mean())


def _result(table: pd.DataFrame, record: dict[str, Any], draws: dict[str, int], notice: str | None) -> GroundingResult:
    findings = {
        str(finding): {
            name: bootstrap_by_patient(image_mean, rows["patient_id"], rows[name], **draws) for name in METRICS
        }
        for finding, rows in table.groupby("finding", sort=False)
    }
    patients, names = table["patient_id"].to_numpy(object), table["finding"].to_numpy(object)
    macro = {name: bootstrap_by_patient(group_mean, patients, table[name], names, **draws) for name in METRICS}
    return GroundingResult(findings=findings, macro=macro, pairs=table, protocol=record, notice=notice)
