"""Contrast of parts within a study: words with the patches they attend to (MGCA), a whole with its parts (TCL)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32, cosines, without_autocast
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks


def token_alignment_loss(
    words: Tensor,
    patches: Tensor,
    word_mask: Tensor,
    patch_mask: Tensor | None = None,
    weights: Tensor | None = None,
    attention_temperature: float = 0.1,
    temperature: float = 0.1,
    ranks: Ranks = ONE_RANK,
) -> Tensor:
    """Contrast of the words of a report with their contexts in its own image (MGCA, Wang et al., NeurIPS 2022).

        c_bt = norm( sum_p softmax_p(<w_bt, v_bp> / a) v_bp )        S_b = w_b c_b^T / t          [T, T]
        L    = mean_b sum_t g_bt 1/2 [ H(t, softmax_u S_btu) + H(t, softmax_u S_but) ]

    No image is compared with another. For patches that attend words give patches as words and the other way round.
    Departure: MGCA's code hides padding from patches that attend, as `patch_mask` does here, but has padding among
    the negatives of a word; here `word_mask` leaves it out.

    Args:
        words: w, the queries, unit vectors `[B, T, D]`. patches: v, keys and values, unit vectors `[B, P, D]`.
        word_mask: bool `[B, T]`. patch_mask: bool `[B, P]`; None: all count.
        weights: g, `[B, T]`, which sum to 1 over the words of a report; see `token_weights`. None: all alike.
        attention_temperature, temperature: a and t.
        ranks: of a distributed run; the mean is over the reports of all ranks.

    Returns:
        a scalar in at least float32: the mean over reports with a word and something to attend to; 0 without any.

    Examples:
        >>> tokens = torch.eye(4)[None]  # four orthogonal words, each with its patch
        >>> token_alignment_loss(tokens, tokens, torch.ones(1, 4).bool())
        tensor(0.0001)
    """
    words, patches = at_least_float32(words), at_least_float32(patches)
    attended = torch.ones_like(patches[..., 0], dtype=torch.bool) if patch_mask is None else patch_mask
    words, patches = words.masked_fill(~word_mask[..., None], 0.0), patches.masked_fill(~attended[..., None], 0.0)
    lowest = torch.finfo(words.dtype).min
    similarity = cosines(words, patches) / attention_temperature
    attention = similarity.masked_fill(~attended[:, None], lowest).softmax(2)
    with without_autocast(patches):
        contexts = torch.nn.functional.normalize(attention @ patches, dim=2)
    logits = cosines(words, contexts) / temperature
    own = logits.diagonal(dim1=1, dim2=2)
    by_word = logits.masked_fill(~word_mask[:, None], lowest).logsumexp(2) - own
    by_context = logits.masked_fill(~word_mask[..., None], lowest).logsumexp(1) - own
    counts = (word_mask.any(1) & attended.any(1)).to(logits.dtype)
    if weights is None:
        weights = word_mask.to(words.dtype) / word_mask.sum(1, keepdim=True).clamp_min(1)
    loss = 0.5 * (by_word + by_context).masked_fill(~word_mask, 0.0) * weights
    return (loss.sum(1) * counts).sum() / mean_over_ranks(counts.sum(), ranks).clamp_min(1e-6)


@torch.no_grad()
def token_weights(global_: Tensor, tokens: Tensor, mask: Tensor, tails: float = 0.1) -> Tensor:
    """Weight of each token: its attention from the pooled vector, without gradient, `[B, T]`.

        a_bt = softmax_t( <x_b, h_bt> / sqrt(D) ),   clipped between its 10th and 90th percentile, over its sum

    MGCA takes the attention of [CLS] in the last layer, its mean over heads. Fused attention does not give it, a
    ConvNet has none, and mean pooling does not train it; so the pooled vector is the query here, as [CLS] would be if
    its projections were the identity.

    Args:
        global_: x, `[B, D]`, the pooled text or image. tokens: h, `[B, T, D]`. mask: bool `[B, T]`.
        tails: fraction of the tokens that is clipped on either side, with linear interpolation between ranks.

    Returns:
        float32, rows sum to 1; zero outside the mask.

    Examples:
        >>> token_weights(torch.ones(1, 4), torch.zeros(1, 3, 4), torch.tensor([[True, True, False]]))
        tensor([[0.5000, 0.5000, 0.0000]])
    """
    global_, tokens = at_least_float32(global_), at_least_float32(tokens)
    scores = cosines(tokens, global_[:, None])[..., 0] / tokens.shape[2] ** 0.5
    attention = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(1)
    lowest_first = attention.masked_fill(~mask, torch.inf).sort(1).values
    last = mask.sum(1, keepdim=True).clamp_min(1) - 1
    clipped = torch.maximum(attention, _quantile(lowest_first, last, tails))
    clipped = torch.minimum(clipped, _quantile(lowest_first, last, 1 - tails)).masked_fill(~mask, 0.0)
    return clipped / clipped.sum(1, keepdim=True).clamp_min(torch.finfo(clipped.dtype).tiny)


def _quantile(ascending: Tensor, last: Tensor, q: float) -> Tensor:
    """Quantile `[B, 1]` of rows `[B, T]` of which the first `last + 1` count."""
    rank = q * last
    below = rank.floor().long()
    lower, upper = ascending.gather(1, below), ascending.gather(1, torch.minimum(below + 1, last))
    return lower + (upper - lower) * (rank - below)


def global_local_contrast(
    global_: Tensor, local: Tensor, mask: Tensor, group: Tensor, scale: Tensor | float, ranks: Ranks = ONE_RANK
) -> Tensor:
    """The local features of a row against those of all other rows, given its global feature.

        L = mean_b mean_p - log [ exp(s <g_b, l_bp>) / (exp(s <g_b, l_bp>) + sum_{c != b, p'} exp(s <g_b, l_cp'>)) ]

    TCL's local term (Yang et al., CVPR 2022), a bound on the mutual information of the global feature and each local
    one.

    Args:
        global_: g, unit vectors `[n, D]`. local: l, unit vectors `[n, P, D]`, patches or words. mask: bool `[n, P]`; a
            row without any True leaves the mean.
        group: int64 `[n]`; rows of an equal group are no negatives (equal reports have equal words).
        scale: s.
        ranks: of a distributed run. Global features are gathered, since the number of words differs from rank to
            rank; of the negatives, one number a row.

    Returns:
        a scalar in at least float32; 0 where nothing counts.

    Examples:
        >>> images, patches = torch.eye(2), torch.eye(2)[:, None].expand(2, 3, 2)
        >>> global_local_contrast(images, patches, torch.ones(2, 3).bool(), torch.arange(2), scale=10.0)
        tensor(0.0001)
    """
    rows, local = len(global_), local.masked_fill(~mask[..., None], 0.0)
    every_global, every_group = ranks.gather(global_), ranks.gather(group)
    scores = scale * cosines(every_global, local.flatten(0, 1)).unflatten(1, mask.shape)  # [N, n, P]
    negative = (every_group[:, None] != group[None])[..., None] & mask
    of_this_rank = scores.masked_fill(~negative, torch.finfo(scores.dtype).min).flatten(1).logsumexp(1)
    negatives = ranks.gather(of_this_rank[None]).logsumexp(0).narrow(0, ranks.first_row(rows), rows)
    own = scale * (at_least_float32(global_)[:, None] * at_least_float32(local)).sum(2)
    loss = F.softplus(negatives[:, None] - own) * mask
    count = mask.sum(1)
    counts = mean_over_ranks((count > 0).to(loss.dtype).sum(), ranks)
    return (loss.sum(1) / count.clamp_min(1)).sum() / counts.clamp_min(1e-6)
