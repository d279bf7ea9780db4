"""A toy method, and a toy loader whose batches are a pure function of seed, epoch and position."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from medvlp.data.batch import Batch


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
def toy_loader() -> Callable[..., ToyLoader]:
    return ToyLoader
