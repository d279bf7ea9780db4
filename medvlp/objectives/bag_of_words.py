"""The words of a report as labels of its image: SuperClass, a contrast with a vocabulary instead of other reports."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medvlp.models.precision import at_least_float32
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks


def bag_of_words(tokens: Tensor, mask: Tensor, vocabulary: int) -> Tensor:
    """Which entries of a vocabulary a text holds, however often: float32 `[N, V]` of zeros and ones.

    Args:
        tokens: int64 `[N, T]`. mask: bool `[N, T]`, True at tokens that count. vocabulary: V.
    """
    bag = torch.zeros(len(tokens), vocabulary, device=tokens.device)
    return bag.scatter_reduce(1, tokens, mask.to(bag.dtype), "amax")


def bag_cross_entropy(logits: Tensor, weighted: Tensor, ranks: Ranks = ONE_RANK) -> Tensor:
    """Cross-entropy of one softmax over the vocabulary with the share that each word has in a text.

        L = mean_b [ - sum_c y_bc log softmax_c(l_b)_c ],     y_bc = w_c x_bc / sum_c' w_c' x_bc'

    The loss of SuperClass (Huang et al., NeurIPS 2024). A text of n words of equal weight costs at least log n. Texts
    without any weight leave the mean.

    Args:
        logits: l, `[B, V]`. weighted: `w x`, `[B, V]`, not negative.
        ranks: of a distributed run.

    Returns:
        a scalar in at least float32; 0 where no text has weight.
    """
    mass = weighted.sum(1)
    logits = at_least_float32(logits).masked_fill((mass == 0)[:, None], 0.0)
    counts = (mass > 0).to(logits.dtype)
    share = weighted / mass.clamp_min(torch.finfo(weighted.dtype).tiny)[:, None]
    loss = logits.logsumexp(1) * counts - (share * logits).sum(1)
    return loss.sum() / mean_over_ranks(counts.sum(), ranks).clamp_min(1e-6)


class DocumentFrequency(nn.Module):
    """Inverse document frequency `log((1 + N) / (1 + n_c))` of the texts seen so far: of N, n_c hold word c.

    Counted as training goes, so that no pass over the corpus comes first; what is in every text weighs nothing. The
    counts are part of the weights, so that a resumed run goes on with them, and are whole numbers, which no moving
    average touches.

    Args:
        vocabulary: V.

    Attributes:
        texts: int64, N. holding: int64 `[V]`, n.
    """

    texts: Tensor
    holding: Tensor

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.register_buffer("texts", torch.zeros((), dtype=torch.int64))
        self.register_buffer("holding", torch.zeros(vocabulary, dtype=torch.int64))

    @torch.no_grad()
    def count(self, bag: Tensor, ranks: Ranks = ONE_RANK) -> None:
        """Take in texts `[N, V]` of zeros and ones, those of all ranks; an empty one is no text."""
        self.texts += ranks.gather((bag.sum(1) > 0).sum()[None]).sum()
        self.holding += ranks.gather(bag.sum(0).long()[None]).sum(0)

    def forward(self) -> Tensor:
        """The weight of each word, float32 `[V]`, not negative."""
        return torch.log((1 + self.texts) / (1 + self.holding))
