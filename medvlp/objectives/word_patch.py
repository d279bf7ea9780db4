"""Word-patch similarity of GLoRIA: each word finds its patches in each image of the batch, in memory linear in B."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from medvlp.models.precision import at_least_float32, without_autocast


def word_patch_similarity(
    patches: Tensor,
    words: Tensor,
    mask: Tensor,
    region_sharpness: float = 4.0,
    word_sharpness: float = 5.0,
    scale: float = 10.0,
    chunk: int | None = None,
) -> Tensor:
    """Local similarity of each text and image, word by word: logits `[B, N]`.

        s_tp = <w_t, v_p>      a_t. = softmax_p( r softmax_t(s)_tp )      c_t = sum_p a_tp v_p
        S    = scale log sum_t exp( k cos(c_t, w_t) )

    The local loss of GLoRIA (Huang et al., ICCV 2021): the first softmax runs over the words of the text, the second
    over regions; the sum in its code is a log-sum-exp. `info_nce` of the logits is the loss.

    The authors loop over texts and keep each attention and context for the backward pass, `O(B N T (P + 2 D))` numbers.
    Here only the inputs are kept: images go through in chunks, and are computed again in the backward pass, which is
    written out below. Contexts are never formed: with G = V V^T, `|c_t|^2 = a_t G a_t` and `<c_t, w_t> = a_t . s_t`. On
    a CPU the words of all texts stand in one row, without padding between them.

    Args:
        patches: v, `[B, P, D]`, of any length. words: w, `[N, T, D]`. mask: bool `[N, T]`, True at words; what stands
            elsewhere has no influence. A text without any word scores 0 and sends no gradient.
        region_sharpness, word_sharpness, scale: r, k and the last factor.
        chunk: images at a time; memory for passing tensors grows with `N T P chunk`. None: 4 on a CPU, so that they
            stay near its cache, and 16 on an accelerator.

    Returns:
        `[B, N]`, in at least float32.

    Examples:
        >>> patches, words = torch.eye(4)[None], torch.eye(4)[None, :2]
        >>> word_patch_similarity(patches, words, torch.tensor([[True, True]])).shape
        torch.Size([1, 1])
    """
    patches, words = at_least_float32(patches), at_least_float32(words)
    chunk = chunk or (4 if patches.device.type == "cpu" else 16)
    with without_autocast(patches):
        return _WordPatch.apply(patches, words, mask, region_sharpness, word_sharpness, scale, chunk)


class _WordPatch(torch.autograd.Function):
    """Images chunk by chunk, forward and backward. Letters: b images, p patches, w words of all texts, d width."""

    @staticmethod
    def forward(
        ctx: Any, patches: Tensor, words: Tensor, mask: Tensor, r: float, k: float, scale: float, chunk: int
    ) -> Tensor:
        packed = _PackedWords(words, mask)
        scores = []
        for v in patches.split(chunk):
            similarity, _, attention, reach = _attend(v, packed, r)
            cosine, *_ = _cosine(similarity, attention, reach, packed)
            scores.append(scale * packed.by_text(k * cosine).logsumexp(2))
        ctx.save_for_backward(patches, words, mask)
        ctx.settings = r, k, scale, chunk
        return torch.cat(scores).masked_fill(~mask.any(1), 0.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        with without_autocast(grad):  # backward may be called inside autocast
            return *_gradients(grad, *ctx.saved_tensors, *ctx.settings), None, None, None, None, None


def _gradients(
    grad: Tensor, patches: Tensor, words: Tensor, mask: Tensor, r: float, k: float, scale: float, chunk: int
) -> tuple[Tensor, Tensor]:
    """Of patches and words, from that of the logits `[B, N]`."""
    packed = _PackedWords(words, mask)
    d_patches, d_flat = torch.empty_like(patches), torch.zeros_like(packed.flat)
    shrink = torch.zeros_like(packed.length)
    for v, d_v, d_score in zip(patches.split(chunk), d_patches.split(chunk), grad.split(chunk), strict=True):
        similarity, over_words, attention, reach = _attend(v, packed, r)
        cosine, context = _cosine(similarity, attention, reach, packed)
        share = packed.by_text(k * cosine).softmax(2).masked_fill(~mask, 0.0)
        d_cosine = packed.by_word(d_score[..., None] * share) * (scale * k)
        d_product = (d_cosine / (context * packed.length))[..., None]  # of a . s
        d_square = (-0.5 * d_cosine * cosine / context.square())[..., None]  # of a G a

        d_attention = similarity.mul_(d_product).addcmul_(reach, 2 * d_square)
        weighted = torch.mul(attention, d_square, out=reach)
        d_gram = weighted.transpose(1, 2) @ attention  # symmetric
        d_inner = d_attention.sub_((attention * d_attention).sum(2, keepdim=True)).mul_(attention).mul_(r)
        for share_of, d in zip(packed.texts(over_words), packed.texts(d_inner), strict=True):
            d.sub_((share_of * d).sum(2, keepdim=True)).mul_(share_of)
        d_similarity = d_inner.addcmul_(attention, d_product)

        torch.matmul(d_gram.mul_(2), v, out=d_v)
        d_v.baddbmm_(d_similarity.transpose(1, 2), packed.flat.expand(len(v), -1, -1))
        d_flat.addmm_(d_similarity.transpose(0, 1).flatten(1), v.flatten(0, 1))
        shrink -= (d_cosine * cosine).sum(0)
    d_flat += (shrink / packed.length.square())[:, None] * packed.flat
    d_words = torch.zeros_like(words).flatten(0, 1).index_copy_(0, packed.position, d_flat).view_as(words)
    return d_patches, d_words


class _PackedWords:
    """The words of all texts in one row; those of texts of equal length stand together.

    On a CPU without padding, texts sorted by length. On an accelerator lengths would wait for the device:
    there the row has the padding too, as words of zero.

    Attributes:
        flat: `[w, d]`. length: `[w]`, their norms. position: int64 `[w]`, where each stands among all N T places.
        outside: bool `[w, 1]`, True at padding; None where there is none.
    """

    def __init__(self, words: Tensor, mask: Tensor) -> None:
        self.mask = mask
        self.outside: Tensor | None = None
        if _on_cpu(mask):
            counts = mask.sum(1)
            order = counts.argsort()
            text, place = mask[order].nonzero(as_tuple=True)
            self.position = order[text] * mask.shape[1] + place
            self.groups = [(len(list(same)), n) for n, same in groupby(counts[order].tolist()) if n] or [(1, 0)]
        else:
            self.position, self.groups = torch.arange(mask.numel(), device=mask.device), [(len(mask), mask.shape[1])]
            self.outside = ~mask.flatten()[:, None]
        self.flat = words.masked_fill(~mask[..., None], 0.0).flatten(0, 1)[self.position]
        self.length = self.flat.norm(dim=1).clamp_min(1e-8)

    def texts(self, x: Tensor) -> list[Tensor]:
        """`[b, w, p]` -> views `[b, n, t, p]`, one for each length t."""
        parts = x.split([n * t for n, t in self.groups], dim=1)
        return [part.unflatten(1, group) for part, group in zip(parts, self.groups, strict=True)]

    def by_text(self, x: Tensor) -> Tensor:
        """Logits of words `[b, w]` -> `[b, N, T]`, lowest where there is no word."""
        lowest = torch.finfo(x.dtype).min
        everywhere = x.new_full((len(x), self.mask.numel()), lowest).index_copy_(1, self.position, x)
        return everywhere.unflatten(1, self.mask.shape).masked_fill(~self.mask, lowest)

    def by_word(self, x: Tensor) -> Tensor:
        """`[b, N, T]` -> `[b, w]`."""
        return x.flatten(1)[:, self.position]


def _on_cpu(mask: Tensor) -> bool:
    return mask.device.type == "cpu"


def _attend(patches: Tensor, packed: _PackedWords, r: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Similarities s, softmax over the words of a text, attention a over patches, and a G; each `[b, w, p]`."""
    similarity = packed.flat @ patches.transpose(1, 2)
    outside, lowest = packed.outside, torch.finfo(similarity.dtype).min
    logits = similarity if outside is None else similarity.masked_fill(outside, lowest)
    over_words = torch.cat([part.softmax(2).flatten(1, 2) for part in packed.texts(logits)], dim=1)
    attention = (r * over_words).softmax(2)
    return similarity, over_words, attention, attention @ (patches @ patches.transpose(1, 2))


def _cosine(similarity: Tensor, attention: Tensor, reach: Tensor, packed: _PackedWords) -> tuple[Tensor, Tensor]:
    """cos(c_t, w_t) and the length of the context c_t, `[b, w]`."""
    product = (attention * similarity).sum(2)
    context = (attention * reach).sum(2).clamp_min(1e-16).sqrt()
    return product / (context * packed.length), context
