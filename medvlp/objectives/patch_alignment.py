"""Patch-sentence alignment: a sentence finds its patches, and is compared with what it found in every image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from medvlp.models.precision import at_least_float32, cosines, without_autocast
from medvlp.models.ranks import ONE_RANK, Ranks


def patch_sentence_similarity(
    patches: Tensor, sentences: Tensor, sharpness: float | Tensor = 10.0, chunk: int | None = None
) -> Tensor:
    """Cosine `[B, N]` of each sentence with the part of each image that it attends to.

        a_bn = softmax_p(k <s_n, p_bp>)     c_bn = sum_p a_bnp p_bp     S_bn = cos(s_n, c_bn)

    The sentence-level form of the local contrast of GLoRIA (Huang et al. 2021), which is the reading of DeViDe's
    patch-text alignment taken here (a reconstruction). Contexts `c` are never formed: with G_b = P_b P_b^T, the norm is
    |c|^2 = a^T G a and the product <s, c> = a . (P s), so that memory is `B N P` instead of `B N D`.

    Args:
        patches: `[B, P, D]`, unit vectors.
        sentences: `[N, D]`, unit vectors, of the whole batch.
        sharpness: k, inverse temperature of the attention.
        chunk: sentences at a time, recomputed in the backward pass, so that memory for it does not grow with N; None
            does all at once.

    Returns:
        `[B, N]`, in at least float32.
    """
    patches, sentences = at_least_float32(patches), at_least_float32(sentences)
    gram = cosines(patches, patches)
    if chunk is None or chunk >= len(sentences):
        return _attended_cosine(patches, gram, sentences, sharpness)
    parts = [
        checkpoint(_attended_cosine, patches, gram, part, sharpness, use_reentrant=False)
        for part in sentences.split(chunk)
    ]
    return torch.cat(parts, dim=1)


def _attended_cosine(patches: Tensor, gram: Tensor, sentences: Tensor, sharpness: float | Tensor) -> Tensor:
    similarity = cosines(sentences, patches)  # [B, N, P]
    attention = (sharpness * similarity).softmax(-1)
    product = (attention * similarity).sum(-1)
    with without_autocast(patches):
        square = ((attention @ gram) * attention).sum(-1)
    return product * square.clamp_min(1e-12).rsqrt()


def sentence_targets(
    sentence_states: Tensor,
    image_states: Tensor,
    owner: Tensor,
    group: Tensor,
    kind: str = "same_labels",
    ranks: Ranks = ONE_RANK,
) -> tuple[Tensor, Tensor]:
    """For which images a sentence is true: target and validity `[B, N]`, bool.

    - `identity`: its own image only.
    - `same_text`: every image of whose sentences one is equal to it.
    - `same_labels`: every image whose report agrees with all that it states ("No pneumothorax." is true of each image
      that denies one); where the report leaves one of its findings unmentioned and contradicts none, the pair is not
      valid, since nobody knows. A sentence that states no finding is not valid but with its own image.

    Args:
        sentence_states: int8 `[N, F]`. image_states: int8 `[B, F]`.
        owner: int64 `[N]`, the image that each sentence is of. group: int64 `[N]`, equal for equal sentences.
        kind: as above.
        ranks: of a distributed run; all arguments are this rank's, and the result is for the sentences of all ranks.
    """
    images = torch.arange(len(image_states), device=owner.device)[:, None]
    mine = owner[None] == images  # this rank's sentences
    own = ranks.gather(owner + ranks.first_row(len(images)))[None] == images + ranks.first_row(len(images))  # [B, N]
    sentence_states, groups = ranks.gather(sentence_states), ranks.gather(group)
    everywhere = torch.ones_like(own)
    if kind == "identity":
        return own, everywhere
    said = mine.float() @ (group[:, None] == groups[None]).float() > 0
    if kind == "same_text":
        return said, everywhere
    if kind != "same_labels":
        raise ValueError(f"{kind!r} is no target of sentences; use identity, same_text or same_labels")
    agree = torch.zeros_like(own, dtype=torch.float32)
    contradict = torch.zeros_like(agree)
    for state, opposite in ((1, 0), (0, 1)):
        claims = (sentence_states == state).float().t()
        agree = agree + (image_states == state).float() @ claims
        contradict = contradict + (image_states == opposite).float() @ claims
    claimed = (sentence_states >= 0).sum(1)[None]  # an uncertain claim is never agreed with, so never valid elsewhere
    true = said | ((agree == claimed) & (claimed > 0))
    return true, true | (contradict > 0)
