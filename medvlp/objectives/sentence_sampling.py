"""Sentences of a batch: a few of each report, those that say most first; and which of them are equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.reports.states import FindingState


@dataclass
class SampledSentences:
    """N = B k sentences of a batch, k of each report; a report with fewer fills up with sentences without tokens.

    Attributes:
        tokens: int64 `[N, U]`. mask: bool `[N, U]`. states: int8 `[N, F]`, what each states of each finding.
        owner: int64 `[N]`, the image that each is of. group: int64 `[N]`, equal for equal sentences.
    """

    tokens: Tensor
    mask: Tensor
    states: Tensor
    owner: Tensor
    group: Tensor

    @property
    def exists(self) -> Tensor:
        """bool `[N]`: False for sentences that only fill up."""
        return self.mask.any(1)

    @property
    def states_present(self) -> Tensor:
        """bool `[N]`: whether the sentence states that any finding is there."""
        return (self.states == FindingState.PRESENT).any(1)


def sample_sentences(
    tokens: Tensor,
    mask: Tensor,
    states: Tensor,
    k: int,
    shuffle: bool = True,
    first: Literal["any", "stated", "present"] = "stated",
) -> SampledSentences:
    """Draw k sentences of each report, without a loop and without asking the device how many there are.

    Args:
        tokens: int64 `[B, S, U]`. mask: bool `[B, S, U]`. states: int8 `[B, S, F]`.
        k: sentences of each report, also where S is less: ranks of a distributed run then hold equally many.
        shuffle: draw at random; False takes them in the order of the report.
        first: `stated` takes sentences that state a finding, and others only where those are fewer than k; `present`
            takes before these the ones that state that a finding is there; `any` draws all alike.
    """
    short = max(0, k - tokens.shape[1])
    tokens, mask = F.pad(tokens, (0, 0, 0, short)), F.pad(mask, (0, 0, 0, short))
    states = F.pad(states, (0, 0, 0, short), value=FindingState.UNMENTIONED)
    images, sentences = tokens.shape[:2]
    order = torch.rand(images, sentences, device=tokens.device) if shuffle else _falling(sentences, tokens.device)
    rank = order + 4.0 * mask.any(2)
    if first != "any":
        rank = rank + (states != FindingState.UNMENTIONED).any(2)
    if first == "present":
        rank = rank + 2.0 * (states == FindingState.PRESENT).any(2)
    chosen = rank.topk(k, dim=1).indices
    owner = torch.arange(images, device=tokens.device)[:, None].expand(-1, k)
    tokens, mask, states = (x[owner, chosen].flatten(0, 1) for x in (tokens, mask, states))
    return SampledSentences(tokens, mask, states, owner.flatten(), row_hash(tokens, mask))


def row_hash(tokens: Tensor, mask: Tensor) -> Tensor:
    """int64 `[N]`: equal for rows with equal tokens, whatever their padding; by chance once in 2^64 for others.

    A polynomial in an odd base with the wrap-around of 64-bit integers.
    """
    base = torch.full(tokens.shape[1:], 6364136223846793005, dtype=torch.int64, device=tokens.device).cumprod(0)
    return ((tokens + 1) * mask * base).sum(1)


def _falling(n: int, device: torch.device) -> Tensor:
    return torch.linspace(0.9, 0.0, n, device=device)
