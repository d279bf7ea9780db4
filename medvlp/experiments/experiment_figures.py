"""The pictures of an experiment's page: masks, heat maps and found reports of held-out patients, never the best ones
picked by hand but evenly spread over the split."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage

from medvlp.data.store import Store
from medvlp.evaluation.grounding import boxed_rows
from medvlp.experiments.measure import Measured
from medvlp.experiments.plan import PRETRAINED, SCRATCH, ExperimentPlan
from medvlp.experiments.work_dir import WorkDir
from medvlp.knowledge import name_of
from medvlp.metrics import dice
from medvlp.tasks.build_index import index_store
from medvlp.tasks.embed import embed_rows
from medvlp.tasks.ground import heat_map_function
from medvlp.tasks.inference import run_rows
from medvlp.training.heads.segmentation import THRESHOLD, mask_rows
from medvlp.viz import GalleryImage, Quote, draw_boxes, draw_heat, draw_masks, gray_to_rgb

_SIDE = 320  # pixels of a picture on the page


def spread(rows: NDArray[np.integer], count: int) -> NDArray[np.integer]:
    """`count` of the rows, evenly spread."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]


def segmentation_pictures(plan: ExperimentPlan, store: Store, measured: Measured) -> list[GalleryImage]:
    """For some held-out images the true masks, and those of both heads with their Dice."""
    assert plan.segment is not None
    first = measured.segmenters[PRETRAINED]
    rows = spread(mask_rows(store, first.outputs, plan.segment.split, plan.zero_shot.views), plan.segment.show)
    channels = [store.mask_names.index(name) for name in first.outputs]
    true = store.masks(rows)[:, channels] == 1
    found = {
        name: run_rows(segmenter.probabilities, store, rows, segmenter.device) >= THRESHOLD
        for name, segmenter in measured.segmenters.items()
    }
    pictures = []
    for i, image in enumerate(store.images(rows)):
        pictures.append(_masked(image, dict(zip(first.outputs, true[i], strict=True)), "true masks"))
        for name, words in ((PRETRAINED, "pretrained encoder"), (SCRATCH, "from scratch")):
            masks = dict(zip(first.outputs, found[name][i], strict=True))
            pictures.append(_masked(image, masks, words, f"Dice {_dice(found[name][i], true[i]):.3f}"))
    return pictures


def grounding_pictures(plan: ExperimentPlan, store: Store, measured: Measured) -> list[GalleryImage]:
    """One held-out image a finding: the heat map of its name and the true box."""
    assert plan.ground is not None
    model = measured.models[plan.main]
    boxed = boxed_rows(store, store.rows("test", plan.zero_shot.views), plan.ground.findings)
    pictures = []
    for finding, boxes in list(boxed.items())[: plan.ground.show]:
        row = spread(np.array(list(boxes)), 3)[-1]
        heat = run_rows(
            heat_map_function(model, name_of(finding), plan.ground.heat_map), store, np.array([row]), model.device
        )
        square = store.images([row])[0]
        size = len(square)
        shape = (int(store.table["height"].iloc[row]), int(store.table["width"].iloc[row]))
        smooth = torch.nn.functional.interpolate(
            torch.from_numpy(heat)[None], size=(_SIDE, _SIDE), mode="bilinear", align_corners=False
        )[0, 0].numpy()
        rgb = draw_heat(gray_to_rgb(_enlarged(square)), smooth)
        corners = store.letterbox.box_to_square(np.array(boxes[int(row)], dtype=float), shape) * _SIDE / size
        words = f"“{name_of(finding)}”"
        pictures.append(GalleryImage(draw_boxes(rgb, corners), f"heat map of {words} and its true box", words))
    return pictures


def retrieved_reports(
    plan: ExperimentPlan, work_dir: WorkDir, store: Store, measured: Measured
) -> list[tuple[GalleryImage, list[Quote]]]:
    """For some held-out images: the image, its own report, and the nearest reports of training patients."""
    assert plan.retrieve is not None
    model = measured.models[plan.main]
    index = index_store(model, work_dir.model(plan.main), store, split="train", views=plan.zero_shot.views)
    index.save(work_dir.out / "index")
    states = store.states(model.findings)
    rows = store.rows("test", plan.zero_shot.views)
    with_findings = rows[((states[rows] == 1).sum(axis=1) >= 2) & (store.table["report"].to_numpy()[rows] >= 0)]
    chosen = spread(with_findings, plan.retrieve.show)
    shown = []
    for row, found in zip(
        chosen, index.reports_for(embed_rows(model, store, chosen), plan.retrieve.depth), strict=True
    ):
        said = [name_of(f) for f, state in zip(model.findings, states[row], strict=True) if state == 1]
        own = GalleryImage(_enlarged(store.images([row])[0]), "query image", f"its own report says: {', '.join(said)}")
        quotes = [
            Quote(
                line.report, f"{line.rank}. cosine {line.similarity:.2f}", [name_of(f) for f in line.findings.split()]
            )
            for line in found.head(3).itertuples()
        ]
        shown.append((own, quotes))
    return shown


def _masked(image: NDArray[np.uint8], masks: dict[str, NDArray[np.bool_]], words: str, value: str = "") -> GalleryImage:
    enlarged = {name: _enlarged(mask.astype(np.uint8) * 255) > 127 for name, mask in masks.items()}
    return GalleryImage(draw_masks(gray_to_rgb(_enlarged(image)), enlarged), f"{words} over a radiograph", words, value)


def _dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Mean over the structures that are there."""
    overlaps = [dice(f, t) for f, t in zip(found, true, strict=True) if t.any()]
    return float(np.mean(overlaps)) if overlaps else float("nan")


def _enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = PillowImage.fromarray(pixels)
    return np.asarray(picture.resize((_SIDE, _SIDE), PillowImage.Resampling.BICUBIC))
