"""How well a text fits the patches of an image: smooth maximum, best patches, late interaction; and where it points."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from medvlp.models.precision import at_least_float32, cosines


def patch_sentence_similarity(
    patches: Tensor, sentences: Tensor, sharpness: float | Tensor = 10.0, chunk: int | None = None
) -> Tensor:
    """How well each sentence fits each image, `[B, N]`: the smooth maximum of its cosines with the patches.

        S_bn = 1/k log( 1/P sum_p exp(k <s_n, p_bp>) )          dS_bn / d<s_n, p_bp> = softmax_p(k <s_n, p_bp>)

    The sentence-level form of local contrasts; DeViDe's patch-text alignment as reconstructed here. Its gradient is the
    attention of the sentence to the patches. Comparing the sentence with the patches that it attends to (`cos(s, sum_p
    a_p p_p)`, as GLoRIA does for words) is not taken: that cosine has no length, and is large as well if all patches
    are like the sentence but those of the finding. A smooth maximum grows with each patch, so that a sentence can only
    point at what it names.

    Args:
        patches: `[B, P, D]`, unit vectors.
        sentences: `[N, D]`, unit vectors, of the whole batch.
        sharpness: k > 0; the larger, the fewer patches count.
        chunk: sentences at a time, recomputed in the backward pass, so that memory for it does not grow with N; None
            does all at once.

    Returns:
        `[B, N]` between -1 and 1, in at least float32.

    Examples:
        >>> patches = torch.eye(4)[None]  # one image of four orthogonal patches
        >>> patch_sentence_similarity(patches, torch.eye(4)[:1], sharpness=100.0)
        tensor([[0.9861]])
    """
    patches, sentences = at_least_float32(patches), at_least_float32(sentences)
    if chunk is None or chunk >= len(sentences):
        return _smooth_maximum(patches, sentences, sharpness)
    parts = [
        checkpoint(_smooth_maximum, patches, part, sharpness, use_reentrant=False) for part in sentences.split(chunk)
    ]
    return torch.cat(parts, dim=1)


def _smooth_maximum(patches: Tensor, sentences: Tensor, sharpness: float | Tensor) -> Tensor:
    similarity = cosines(sentences, patches)  # [B, N, P]
    return ((sharpness * similarity).logsumexp(-1) - math.log(patches.shape[1])) / sharpness


def top_patch_similarity(patches: Tensor, texts: Tensor, k: int = 1) -> Tensor:
    """Mean `[B, N]` of the k largest products of a text with the patches of each image.

        S_bn = 1/k sum of the k largest <p_b1, t_n>, ..., <p_bP, t_n>

    With k = 1 and means over the tokens of concepts (`span_mean`) as texts it is the patch-concept similarity of
    ConceptCLIP's PC-Align (Nie et al. 2025), for `sigmoid_contrast`; with k = P it is the product with the mean patch.

    Args:
        patches: `[B, P, D]`. texts: `[N, D]`. Unit vectors make cosines of the products.
        k: at most P counts; more is taken as P.

    Returns:
        `[B, N]` in at least float32. Only the chosen patches receive a gradient; only their indices are saved.

    Examples:
        >>> top_patch_similarity(torch.eye(4)[None], torch.eye(4)[:1], k=2)
        tensor([[0.5000]])
    """
    return cosines(texts, patches).topk(min(k, patches.shape[1]), dim=2).values.mean(2)


def top_patch_mean(patches: Tensor, texts: Tensor, k: int) -> Tensor:
    """Mean `[B, S, D]` of the k patches of its own image that fit each text best (SimCroP, MICCAI 2025: a
    reconstruction, since its pre-training code was not published).

    The choice has no gradient; the chosen patches have one. Early choices are noise and reinforce themselves: begin
    with a large k, or with soft attention.

    Args:
        patches: `[B, P, D]`. texts: `[B, S, D]`, S of each image. Unit vectors make cosines of the products.
        k: at most P counts; more is taken as P.

    Examples:
        >>> top_patch_mean(torch.eye(3)[None], torch.tensor([[[1.0, 0.5, 0.0]]]), k=2)
        tensor([[[0.5000, 0.5000, 0.0000]]])
    """
    chosen = cosines(texts, patches).topk(min(k, patches.shape[1]), dim=2).indices  # [B, S, k]
    image = torch.arange(len(patches), device=patches.device)[:, None, None]
    return at_least_float32(patches)[image, chosen].mean(2)


def late_interaction(patches: Tensor, words: Tensor, mask: Tensor, chunk: int = 32) -> tuple[Tensor, Tensor]:
    """Token-wise maximum similarity of all pairs of B images and N texts (FILIP, Yao et al., ICLR 2022).

        image to text    S_bn = mean_p max_t <v_bp, w_nt>
        text to image    R_bn = mean_t max_p <v_bp, w_nt>

    The two differ, and each is the logit of its own direction once it is scaled. Means run over all patches and over
    the words that exist. FILIP prunes tokens before it compares across devices; here texts are processed in chunks, and
    recomputed in the backward pass where there is more than one, so that memory is linear in the batch.

    Args:
        patches: v, `[B, P, D]`. words: w, `[N, T, D]`. Unit vectors make cosines of the products.
        mask: bool `[N, T]`, True at words; values elsewhere have no influence.
        chunk: texts at a time; intermediate tensors have `B P T chunk` numbers.

    Returns:
        image_to_text `[B, N]` and text_to_image `[B, N]`, rows are images in both; in at least float32. A text without
        any word has 0 in both, and sends no gradient.

    Examples:
        >>> patches, words = torch.eye(2)[None], torch.eye(2)[None]
        >>> late_interaction(patches, words, torch.tensor([[True, False]]))  # one word only: it fits one of two patches
        (tensor([[0.5000]]), tensor([[1.]]))
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


@torch.no_grad()
def attention_region(sentences: Tensor, patches: Tensor, sharpness: float | Tensor = 10.0) -> Tensor:
    """Where each sentence points in its image: `[B, P]` between 0 and 1, with 1 at the best patch.

        a_bp = softmax_p(k <s_b, p_bp>)      M_bp = (a_bp - min a_b) / (max a_b - min a_b)

    MedCutMix (Wang et al., arXiv 2509.16673), as reconstructed. No gradient is taken. Where all patches fit alike,
    M is 0.

    Args:
        sentences: s, unit vectors `[B, D]`. patches: p, unit vectors `[B, P, D]`. sharpness: k.

    Examples:
        >>> attention_region(torch.tensor([[1.0, 0.0]]), torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]]))
        tensor([[1.0000, 0.0000, 0.0183]])
    """
    attention = (sharpness * cosines(sentences[:, None], patches)[:, 0]).softmax(1)
    least, most = attention.amin(1, keepdim=True), attention.amax(1, keepdim=True)
    gap = most - least
    return torch.where(gap > 1e-6 * most, (attention - least) / gap.clamp_min(torch.finfo(gap.dtype).tiny), 0.0)


def manifold_mix(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """`Z_i (1 - g) + Z_j g` at each position (Manifold Mixup, Verma et al., ICML 2019).

    Args:
        first, second: features `[B, ..., D]` at the same positions of both images. weight: g, `[B, ...]`, 0 to 1.

    Examples:
        >>> manifold_mix(torch.zeros(1, 2, 3), torch.ones(1, 2, 3), torch.tensor([[0.0, 0.25]]))
        tensor([[[0.0000, 0.0000, 0.0000],
                 [0.2500, 0.2500, 0.2500]]])
    """
    return torch.lerp(first, second, weight[..., None].to(first.dtype))
