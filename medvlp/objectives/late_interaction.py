"""Late interaction of FILIP: each patch finds its best word and each word its best patch, in every pair of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from medvlp.models.precision import at_least_float32, cosines


def late_interaction(patches: Tensor, words: Tensor, mask: Tensor, chunk: int = 32) -> tuple[Tensor, Tensor]:
    """Token-wise maximum similarity of all pairs of B images and N texts (FILIP, Yao et al., ICLR 2022).

        image to text    S_bn = mean_p max_t <v_bp, w_nt>
        text to image    R_bn = mean_t max_p <v_bp, w_nt>

    The two differ, and each is the logit of its own direction once it is scaled. Means run over all patches and over
    the words that exist. FILIP prunes tokens before it compares across devices; here texts go through in chunks, and
    are computed again in the backward pass where there is more than one, so that memory is linear in the batch.

    Args:
        patches: v, `[B, P, D]`. words: w, `[N, T, D]`. Unit vectors make cosines of the products.
        mask: bool `[N, T]`, True at words; what stands elsewhere has no influence.
        chunk: texts at a time; passing tensors have `B P T chunk` numbers.

    Returns:
        image_to_text `[B, N]` and text_to_image `[B, N]`, rows are images in both; in at least float32. A text without
        any word has 0 in both, and sends no gradient.
    """
    patches, words = at_least_float32(patches), at_least_float32(words).masked_fill(~mask[..., None], 0.0)
    if len(words) <= chunk:
        return _best_matches(patches, words, mask)
    parts = [
        checkpoint(_best_matches, patches, w, m, use_reentrant=False, preserve_rng_state=False)
        for w, m in zip(words.split(chunk), mask.split(chunk), strict=True)
    ]
    image_to_text, text_to_image = zip(*parts, strict=True)
    return torch.cat(image_to_text, dim=1), torch.cat(text_to_image, dim=1)


def _best_matches(patches: Tensor, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    similarity = cosines(patches, words.flatten(0, 1)).unflatten(2, mask.shape)  # [B, P, N, T]
    # `max` over one axis keeps indices for the backward pass, where `amax` would keep all similarities.
    found = similarity.masked_fill(~mask, torch.finfo(similarity.dtype).min).max(3).values.mean(1)
    image_to_text = found.masked_fill(~mask.any(1), 0.0)
    best = similarity.max(1).values.masked_fill(~mask, 0.0)
    return image_to_text, best.sum(2) / mask.sum(1).clamp_min(1)
