"""Soft targets from labels alone: how far what a text states is true of an image, whoever the text was written for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import cosines
from medvlp.reports.states import FindingState


def signed_labels(states: Tensor) -> Tensor:
    """Four states int8 `[..., F]` -> float32 `[..., F]`: 1 present, -1 absent, 0 where nothing is known."""
    return (states == FindingState.PRESENT).float() - (states == FindingState.ABSENT).float()


def label_affinity(images: Tensor, texts: Tensor, temperature: float = 1.0) -> Tensor:
    """Target `[N, M]` for `target_nce`: large where labels agree, small where they contradict each other.

        T_ij = exp((cos(y_i, y_j) - 1) / tau)        so that T_ij / sum_j T_ij = softmax_j(cos(y_i, y_j) / tau)

    The semantic matching target of MedCLIP (Wang, Wu, Agarwal, Sun, EMNLP 2022), in both directions at once: rows and
    columns are normalized by the loss. Its code takes the product of the labels, which grows with their number, and
    no temperature; the paper has the cosine. Rows of zeros are uniform: leave them out by `valid`.

    Args:
        images: y_i, `[N, F]`, see `signed_labels`. texts: y_j, `[M, F]`.
        temperature: tau, at least 0.02 in float32; towards 0 the best texts share all of the mass.

    Raises:
        ValueError: a temperature that float32 cannot hold.
    """
    if temperature < 0.02:
        raise ValueError(f"temperature={temperature}: exp(-2 / temperature) is 0 in float32; take 0.02 or more")
    agreement = cosines(F.normalize(images, dim=1), F.normalize(texts, dim=1))
    return torch.exp((agreement - 1) / temperature)
