"""Two ranks without processes, and models trained on a tiny collection in seconds, for tests of several rooms."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from medvlp.data import Manifest, Preprocess, Store, prepare
from medvlp.tasks import Model, load
from medvlp.training.pretraining import pretrain
from medvlp.training.recipe import Recipe


class ThreadRanks:
    """Ranks that are threads: what one gathers, with its gradient, is what all of them hold."""

    def __init__(self, rank: int, given: list[Tensor | None], barrier: Barrier) -> None:
        self.rank, self.given, self.barrier = rank, given, barrier

    def gather(self, rows: Tensor) -> Tensor:
        self.given[self.rank] = rows
        self.barrier.wait()
        everything = torch.cat(self.given)  # type: ignore[arg-type]
        self.barrier.wait()
        return everything

    def first_row(self, rows: int) -> int:
        return self.rank * rows


@pytest.fixture
def on_two_ranks() -> Callable[[Callable[[int, ThreadRanks], Any]], list[Any]]:
    """A function that calls `work(rank, ranks)` on both ranks at once, and gives what they return."""

    def run(work: Callable[[int, ThreadRanks], Any]) -> list[Any]:
        given, barrier = [None, None], Barrier(2, timeout=20)

        def of_rank(rank: int) -> Any:
            try:
                return work(rank, ThreadRanks(rank, given, barrier))
            except BaseException:
                barrier.abort()  # the other one waits for nobody
                raise

        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(of_rank, (0, 1)))

    return run


# A tiny collection whose findings are shapes at their own places, and models trained on it in seconds.

FINDINGS = ("pleural_effusion", "pneumothorax", "cardiomegaly")
NAMES = ("pleural effusion", "pneumothorax", "cardiomegaly")
BOXES = ((6, 34, 34, 46), (46, 4, 60, 30), (34, 26, 48, 42))  # x0, y0, x1, y1 in a picture of 48 rows and 64 columns
SHAPE = (48, 64)


def draw(present: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture uint8 and its lungs: noise, a brighter field (the lungs), a bright box for each finding."""
    pixels = random.integers(0, 60, SHAPE)
    top, left = random.integers(1, 6, 2)
    lungs = np.zeros(SHAPE, bool)
    lungs[top : top + 40, left : left + 54] = True
    pixels[lungs] += 50
    for f in np.flatnonzero(present):
        x0, y0, x1, y1 = BOXES[f]
        pixels[y0:y1, x0:x1] += 120
    return pixels.clip(0, 255).astype(np.uint8), lungs


def report(present: np.ndarray) -> str:
    sentences = [f"There is {name}." if here else f"No {name}." for name, here in zip(NAMES, present, strict=True)]
    return "FINDINGS: " + " ".join(sentences)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """90 pictures of 45 patients with labels, reports, boxes and masks."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    rows = []
    for i in range(90):
        present = random.random(3) < 0.5
        pixels, lungs = draw(present, random)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        Image.fromarray(lungs.astype(np.uint8) * 255).save(folder / f"{i}_lungs.png")
        boxes = [{"finding": FINDINGS[f], "box": BOXES[f]} for f in np.flatnonzero(present)]
        split = "train" if i < 50 else "validate" if i < 60 else "test"
        ids = {"patient_id": f"p{i // 2}", "study_id": f"s{i}", "image_id": f"image{i}", "view": "PA", "split": split}
        labels = dict(zip(FINDINGS, present.astype(int).astype(str), strict=True))
        files = {"path": str(folder / f"{i}.png"), "mask_lungs": str(folder / f"{i}_lungs.png")}
        rows.append({**ids, **files, "report": report(present), "boxes": json.dumps(boxes), **labels})
    return Manifest(pd.DataFrame(rows), generated=True)


@pytest.fixture(scope="session")
def store(pictures: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return prepare(pictures, tmp_path_factory.mktemp("prepared") / "store", Preprocess(size=64), workers=0)


def _pretrain(store: Store, out: Path, *overrides: str) -> Path:
    text = f"""
method: devide
findings: [{", ".join(FINDINGS)}]
data: {{store: {store.path}, batch_size: 16, augment: none}}
image_encoder: {{name: test_resnet.r160_in1k, dim: 64, patch_stride: 8}}
text_encoder: {{layers: 1, width: 64, heads: 2, vocab_size: 200, max_tokens: 48}}
training: {{max_steps: 60, epochs: 100, warmup_steps: 5, learning_rate: 3e-3, accelerator: cpu, precision: 32,
            validate_every: 60, log_every: 20}}
"""
    return pretrain(Recipe.from_yaml(text, overrides), out, progress=False)


@pytest.fixture(scope="session")
def model_folder(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _pretrain(store, tmp_path_factory.mktemp("runs") / "devide")


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Model:
    return load(model_folder, device="cpu")


@pytest.fixture(scope="session")
def textless_folder(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `unimodal` model of a few steps: it reads no text."""
    return _pretrain(store, tmp_path_factory.mktemp("runs") / "unimodal", "method=unimodal", "training.max_steps=3")
