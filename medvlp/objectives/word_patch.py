"""Word-patch similarity of GLoRIA: each word finds its patches in each image of the batch, in memory linear in B."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from medvlp.objectives.precision import at_least_float32, without_autocast


def word_patch_similarity(
    patches: Tensor,
    words: Tensor,
    mask: Tensor,
    region_sharpness: float = 4.0,
    word_sharpness: float = 5.0,
    scale: float = 10.0,
    chunk: int = 8,
) -> Tensor:
    """How well each text describes each image, word by word: logits `[B, N]`.

        s_tp = <w_t, v_p>      a_t. = softmax_p( r softmax_t(s)_tp )      c_t = sum_p a_tp v_p
        S    = scale log sum_t exp( k cos(c_t, w_t) )

    The local loss of GLoRIA (Huang et al., ICCV 2021): the first softmax runs over the words of the text, the second
    over regions; what its code calls a sum is a log-sum-exp. `target_nce` of the logits is the loss.

    The authors loop over texts and keep each attention and context for the backward pass, `O(B N T (P + 2 D))` numbers.
    Here only the inputs are kept: texts go through in chunks, sorted by length, and are computed again in the backward
    pass, which is written out below. Contexts are never formed: with G = V V^T, `|c_t|^2 = a_t G a_t` and
    `<c_t, w_t> = a_t . s_t`.

    Args:
        patches: v, `[B, P, D]`, of any length. words: w, `[N, T, D]`. mask: bool `[N, T]`, True at words; what stands
            elsewhere has no influence. A text without any word scores 0 and sends no gradient.
        region_sharpness, word_sharpness, scale: r, k and the last factor.
        chunk: texts at a time; memory for passing tensors grows with `B P T chunk`.

    Returns:
        `[B, N]`, in at least float32.
    """
    patches, words = at_least_float32(patches), at_least_float32(words)
    with without_autocast(patches):
        return _WordPatch.apply(patches, words, mask, region_sharpness, word_sharpness, scale, chunk)


def word_attention(patches: Tensor, words: Tensor, mask: Tensor, region_sharpness: float = 4.0) -> Tensor:
    """Where each word looks in each image: a of `word_patch_similarity`, `[B, N, T, P]`; rows sum to 1."""
    patches, words = at_least_float32(patches), at_least_float32(words)
    with without_autocast(patches):
        similarity = torch.einsum("ntd,bpd->bntp", words, patches)
    similarity = similarity.masked_fill(~mask[..., None], torch.finfo(similarity.dtype).min)
    return (region_sharpness * similarity.softmax(2)).softmax(3)


class _WordPatch(torch.autograd.Function):
    """Chunk by chunk, forward and backward. Letters: b images, p patches, n texts of a chunk, t words, d width."""

    @staticmethod
    def forward(
        ctx: Any, patches: Tensor, words: Tensor, mask: Tensor, r: float, k: float, scale: float, chunk: int
    ) -> Tensor:
        gram = patches @ patches.transpose(1, 2)
        scores = patches.new_empty(len(patches), len(words))
        chunks = _chunks_by_length(mask, chunk)
        for texts, longest in chunks:
            w, m = words[texts, :longest], mask[texts, :longest]
            similarity, _, attention, reach = _attend(patches, gram, w, m, r)
            cosine, *_ = _cosine(similarity, attention, reach, w)
            per_text = _masked(k * cosine, m).logsumexp(-1)
            scores[:, texts] = (scale * per_text).masked_fill(~m.any(-1), 0.0)
        ctx.save_for_backward(patches, words, mask)
        ctx.settings = chunks, r, k, scale
        return scores

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        patches, words, mask = ctx.saved_tensors
        chunks, r, k, scale = ctx.settings
        gram = patches @ patches.transpose(1, 2)
        d_patches, d_words, d_gram = torch.zeros_like(patches), torch.zeros_like(words), torch.zeros_like(gram)
        for texts, longest in chunks:
            w, m = words[texts, :longest], mask[texts, :longest]
            similarity, over_words, attention, reach = _attend(patches, gram, w, m, r)
            cosine, context, length = _cosine(similarity, attention, reach, w)
            share = _masked(k * cosine, m).softmax(-1)
            d_cosine = grad[:, texts, None] * share.masked_fill(~m, 0.0) * (scale * k)
            d_product = (d_cosine / (context * length))[..., None]  # of a . s
            d_square = (-0.5 * d_cosine * cosine / context.square())[..., None]  # of a G a

            d_attention = similarity.mul_(d_product).addcmul_(reach, 2 * d_square)
            weighted = torch.mul(attention, d_square, out=reach)
            d_gram.baddbmm_(weighted.flatten(1, 2).transpose(1, 2), attention.flatten(1, 2))
            d_inner = d_attention.sub_((attention * d_attention).sum(-1, keepdim=True)).mul_(attention).mul_(r)
            d_inner = d_inner.sub_((over_words * d_inner).sum(2, keepdim=True)).mul_(over_words)
            d_similarity = d_inner.addcmul_(attention, d_product).flatten(1, 2)  # [b, n t, p]

            flat = w.flatten(0, 1)
            d_patches.baddbmm_(d_similarity.transpose(1, 2), flat.expand(len(patches), -1, -1))
            from_products = d_similarity.transpose(0, 1).flatten(1) @ patches.flatten(0, 1)
            from_length = -((d_cosine * cosine).sum(0) / length.square())[..., None] * w
            d_words[texts, :longest] = from_products.view_as(w) + from_length
        d_patches.baddbmm_(d_gram + d_gram.transpose(1, 2), patches)
        return d_patches, d_words, None, None, None, None, None


def _attend(
    patches: Tensor, gram: Tensor, words: Tensor, mask: Tensor, r: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Similarities s, softmax over words, attention a over patches, and a G; each `[b, n, t, p]`."""
    shape = (len(patches), *words.shape[:2], patches.shape[1])
    similarity = (words.flatten(0, 1) @ patches.transpose(1, 2)).view(shape)
    similarity = similarity.masked_fill(~mask[..., None], torch.finfo(similarity.dtype).min)
    over_words = similarity.softmax(2)
    similarity.masked_fill_(~mask[..., None], 0.0)
    attention = (r * over_words).softmax(3)
    return similarity, over_words, attention, (attention.flatten(1, 2) @ gram).view(shape)


def _cosine(similarity: Tensor, attention: Tensor, reach: Tensor, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """cos(c_t, w_t) `[b, n, t]`, the length of the context c_t `[b, n, t]`, and of the word w_t `[n, t]`."""
    product = torch.einsum("bntp,bntp->bnt", attention, similarity)
    context = torch.einsum("bntp,bntp->bnt", attention, reach).clamp_min(1e-16).sqrt()
    length = words.norm(dim=-1).clamp_min(1e-8)
    return product / (context * length), context, length


def _masked(logits: Tensor, mask: Tensor) -> Tensor:
    return logits.masked_fill(~mask, torch.finfo(logits.dtype).min)


def _chunks_by_length(mask: Tensor, chunk: int) -> list[tuple[Tensor, int]]:
    """Texts in chunks of similar length, each with the place of its last word.

    On an accelerator the lengths are not asked for, since that would wait for it: all chunks keep the full length.
    """
    last = (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(1)
    parts = last.argsort().split(chunk)
    if mask.device.type != "cpu":
        return [(texts, mask.shape[1]) for texts in parts]
    return [(texts, max(1, int(last[texts].max()))) for texts in parts]
