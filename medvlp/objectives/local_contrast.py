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
    Departure: MGCA's code hides padding from patches that attend, as `patch_mask` does here, but tells each word from
    padding too; here `word_mask` leaves that out.

    Args:
        words: w, what asks, unit vectors `[B, T, D]`. patches: v, what is attended to, unit vectors `[B, P, D]`.
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
def token_weights(whole: Tensor, tokens: Tensor, mask: Tensor, tails: float = 0.1) -> Tensor:
    """How much each token counts: its share of the attention of the whole, without gradient, `[B, T]`.

        a_bt = softmax_t( <x_b, h_bt> / sqrt(D) ),   clipped between its 10th and 90th percentile, over its sum

    MGCA takes the attention of [CLS] in the last layer, its mean over heads. Fused attention does not give it, a
    ConvNet has none, and in a tower that pools by means nothing teaches it; so the pooled vector asks here, as [CLS]
    would if its projections were the identity.

    Args:
        whole: x, `[B, D]`, the pooled text or image. tokens: h, `[B, T, D]`. mask: bool `[B, T]`.
        tails: share of tokens that is clipped on either side, with linear interpolation between ranks.

    Returns:
        float32, rows sum to 1; zero outside the mask.

    Examples:
        >>> token_weights(torch.ones(1, 4), torch.zeros(1, 3, 4), torch.tensor([[True, True, False]]))
        tensor([[0.5000, 0.5000, 0.0000]])
    """
    whole, tokens = at_least_float32(whole), at_least_float32(tokens)
    asked = cosines(tokens, whole[:, None])[..., 0] / tokens.shape[2] ** 0.5
    attention = asked.masked_fill(~mask, torch.finfo(asked.dtype).min).softmax(1)
    lowest_first = attention.masked_fill(~mask, torch.inf).sort(1).values
    last = mask.sum(1, keepdim=True).clamp_min(1) - 1
    clipped = torch.maximum(attention, _at_rank(lowest_first, last, tails))
    clipped = torch.minimum(clipped, _at_rank(lowest_first, last, 1 - tails)).masked_fill(~mask, 0.0)
    return clipped / clipped.sum(1, keepdim=True).clamp_min(torch.finfo(clipped.dtype).tiny)


def _at_rank(ascending: Tensor, last: Tensor, share: float) -> Tensor:
    """Quantile `[B, 1]` of rows `[B, T]` of which the first `last + 1` count."""
    rank = share * last
    below = rank.floor().long()
    lower, upper = ascending.gather(1, below), ascending.gather(1, torch.minimum(below + 1, last))
    return lower + (upper - lower) * (rank - below)


def global_local_contrast(
    whole: Tensor, parts: Tensor, mask: Tensor, group: Tensor, scale: Tensor | float, ranks: Ranks = ONE_RANK
) -> Tensor:
    """Each part of one's own against all parts of others.

        L = mean_b mean_p - log [ exp(s <g_b, l_bp>) / (exp(s <g_b, l_bp>) + sum_{c != b, p'} exp(s <g_b, l_cp'>)) ]

    TCL's local term (Yang et al., CVPR 2022), a bound of the information that the whole shares with each of its parts.

    Args:
        whole: g, unit vectors `[n, D]`. parts: l, unit vectors `[n, P, D]`, patches or words. mask: bool `[n, P]`; a
            row without any True leaves the mean.
        group: int64 `[n]`; the parts of an equal group are no negatives (equal reports have equal words).
        scale: s.
        ranks: of a distributed run. Wholes travel, since the number of words differs from rank to rank; of the
            negatives, a number for each whole.

    Returns:
        a scalar in at least float32; 0 where nothing counts.

    Examples:
        >>> images, patches = torch.eye(2), torch.eye(2)[:, None].expand(2, 3, 2)
        >>> global_local_contrast(images, patches, torch.ones(2, 3).bool(), torch.arange(2), scale=10.0)
        tensor(0.0001)
    """
    rows, parts = len(whole), parts.masked_fill(~mask[..., None], 0.0)
    every_whole, every_group = ranks.gather(whole), ranks.gather(group)
    scores = scale * cosines(every_whole, parts.flatten(0, 1)).unflatten(1, mask.shape)  # [N, n, P]
    strange = (every_group[:, None] != group[None])[..., None] & mask
    of_this_rank = scores.masked_fill(~strange, torch.finfo(scores.dtype).min).flatten(1).logsumexp(1)
    negatives = ranks.gather(of_this_rank[None]).logsumexp(0).narrow(0, ranks.first_row(rows), rows)
    own = scale * (at_least_float32(whole)[:, None] * at_least_float32(parts)).sum(2)
    loss = F.softplus(negatives[:, None] - own) * mask
    count = mask.sum(1)
    counts = mean_over_ranks((count > 0).to(loss.dtype).sum(), ranks)
    return (loss.sum(1) / count.clamp_min(1)).sum() / counts.clamp_min(1e-6)
