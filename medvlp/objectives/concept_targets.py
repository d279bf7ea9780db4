"""Concepts of a batch: a few of each report, and in which images each of them is to be found."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.reports.states import FindingState

_NOTHING = (0, 0, -1, int(FindingState.UNMENTIONED))


def draw_concepts(concepts: Tensor, k: int, shuffle: bool = True) -> Tensor:
    """k concepts of each report that it affirms, `[B, k, 4]`; rows of `(0, 0, -1, -1)` fill up.

    A denied or doubtful finding is named too, but has no place in the image. Ranks of a distributed run hold equally
    many, whatever their reports name.

    Args:
        concepts: int64 `[B, K, 4]`, of `Batch.concepts`.
        k: concepts of each report, also where K is less.
        shuffle: draw at random; False takes the first ones.
    """
    images, known = concepts.shape[:2]
    affirmed = concepts[..., 3] == FindingState.PRESENT
    nothing = concepts.new_tensor(_NOTHING)
    concepts = torch.where(affirmed[..., None], concepts, nothing)
    concepts = torch.cat([concepts, nothing.expand(images, max(0, k - known), 4)], dim=1)
    affirmed = F.pad(affirmed, (0, max(0, k - known)))
    shape, device = affirmed.shape, concepts.device
    order = torch.rand(shape, device=device) if shuffle else torch.linspace(0.9, 0, shape[1], device=device)
    chosen = (order + affirmed).topk(k, dim=1).indices
    return concepts[torch.arange(images, device=device)[:, None], chosen]


def concept_targets(concepts: Tensor, asked: Tensor, reported: Tensor) -> tuple[Tensor, Tensor]:
    """In which images C concepts are: target and validity `[B, C]`, bool.

    A concept is in each image whose report affirms it, whichever report it was taken from: with the published target,
    its own image alone, "effusion" of one report pushes away every other image of an effusion. Images whose reports
    are in doubt of it do not count, nor do images without report; all others are negatives.

    Args:
        concepts: int64 `[B, K, 4]`, all that the images' reports name. asked: int64 `[C]`, concepts; -1 for nothing.
        reported: bool `[B]`, images that have a report.
    """
    same = (concepts[..., 2, None] == asked) & (asked >= 0)  # [B, K, C]
    state = concepts[..., 3, None]
    target = (same & (state == FindingState.PRESENT)).any(1)
    doubtful = (same & (state == FindingState.UNCERTAIN)).any(1)
    return target, (target | ~doubtful) & reported[:, None] & (asked >= 0)
