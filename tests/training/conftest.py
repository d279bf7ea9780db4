"""A toy method and loader for the loop, and a tiny store and recipe for whole runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor, nn

from medvlp.data import Manifest, Preprocess, Store, prepare
from medvlp.data.batch import Batch
from medvlp.training.recipe import Recipe
from medvlp.training.task import TrainingTask


class ToyMethod(nn.Module):
    """Two losses on 8 x 8 images, with dropout and running statistics, so that resuming has something to get wrong."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4 * 6 * 6, 3)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        logits = self.head(self.dropout(self.features(batch.images)))
        label = (batch.findings > 0).float()
        return {
            "bce": nn.functional.binary_cross_entropy_with_logits(logits.float(), label),
            "size": 0.01 * logits.float().square().mean(),
        }


class ToyTask(TrainingTask):
    kind = "toy"
    metric = "loss"

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return self.model.losses(batch)  # type: ignore[operator, no-any-return]

    def validate(self, fabric: Fabric) -> dict[str, float]:
        raise NotImplementedError

    def write_files(self, folder: Path) -> None:
        raise NotImplementedError


class ToyLoader:
    def __init__(self, batches: int = 5, batch_size: int = 4, seed: int = 0) -> None:
        self.batches, self.batch_size, self.seed = batches, batch_size, seed
        self.asked: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return self.batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        self.asked.append((epoch, start))
        for position in range(start, self.batches):
            yield self.batch(epoch, position)

    def batch(self, epoch: int, position: int) -> Batch:
        random = torch.Generator().manual_seed(self.seed + 1000 * epoch + position)
        size = self.batch_size
        empty = torch.zeros(size, 1, dtype=torch.long)
        return Batch(
            images=torch.randn(size, 1, 8, 8, generator=random),
            report_tokens=empty,
            report_mask=empty.bool(),
            sentence_tokens=empty[:, None],
            sentence_mask=empty[:, None].bool(),
            findings=torch.randint(0, 2, (size, 3), generator=random, dtype=torch.int8),
            sentence_findings=torch.zeros(size, 1, 3, dtype=torch.int8),
            text_group=torch.arange(size),
            image_ids=[f"e{epoch}b{position}i{i}" for i in range(size)],
            study_ids=[""] * size,
            patient_ids=[""] * size,
        )


@pytest.fixture
def toy_method() -> Callable[..., ToyMethod]:
    def make(**options: float) -> ToyMethod:
        torch.manual_seed(3)
        return ToyMethod(**options)

    return make


@pytest.fixture
def toy_task(toy_method: Callable[..., ToyMethod]) -> Callable[..., ToyTask]:
    return lambda **options: ToyTask(toy_method(**options))


@pytest.fixture
def toy_loader() -> Callable[..., ToyLoader]:
    return ToyLoader


FINDINGS = ("pleural_effusion", "pneumothorax", "cardiomegaly")


def _report(present: np.ndarray) -> str:
    names = ["pleural effusion", "pneumothorax", "cardiomegaly"]
    sentences = [f"There is {name}." if here else f"No {name}." for name, here in zip(names, present, strict=True)]
    return "FINDINGS: " + " ".join(sentences) + "\n\nIMPRESSION: " + sentences[0]


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """48 noisy pictures of 32 pixels of 24 patients; each of three findings is a bright square at its own place."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    rows = []
    for i in range(48):
        present = random.random(3) < 0.5
        pixels = random.integers(0, 100, (32, 32), np.uint8)
        for f in np.flatnonzero(present):
            pixels[4:14, 10 * f : 10 * f + 9] += 150
        Image.fromarray(pixels).save(folder / f"{i}.png")
        labels = dict(zip(FINDINGS, present.astype(int).astype(str), strict=True))
        split = "train" if i < 32 else "validate"
        ids = {"patient_id": f"p{i // 2}", "study_id": f"s{i}", "image_id": f"image{i}", "view": "PA", "split": split}
        rows.append({**ids, "path": str(folder / f"{i}.png"), "report": _report(present), **labels})
    return prepare(Manifest(pd.DataFrame(rows), generated=True), folder / "store", Preprocess(size=32), workers=0)


@pytest.fixture
def tiny_recipe(tiny_store: Store) -> Callable[..., Recipe]:
    """A recipe on `tiny_store` that trains in about a second; overrides are `key.sub=value`."""
    text = f"""
method: unimodal
findings: [{", ".join(FINDINGS)}]
data: {{store: {tiny_store.path}, batch_size: 8}}
image_encoder: {{name: test_resnet.r160_in1k, dim: 32}}
text_encoder: {{layers: 1, width: 32, heads: 2, vocab_size: 200, max_tokens: 48}}
training: {{epochs: 3, warmup_steps: 2, learning_rate: 2e-3, accelerator: cpu, precision: 32, log_every: 2}}
"""

    def make(*overrides: str) -> Recipe:
        return Recipe.from_yaml(text, overrides)

    return make
