"""Patch-sentence alignment: how well a sentence fits the best patches of an image, and of which images it is true."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from medvlp.models.precision import at_least_float32, cosines
from medvlp.models.ranks import ONE_RANK, Ranks
from medvlp.objectives.masked_bce import Unmentioned
from medvlp.reports.states import FindingState


def patch_sentence_similarity(
    patches: Tensor, sentences: Tensor, sharpness: float | Tensor = 10.0, chunk: int | None = None
) -> Tensor:
    """How well each sentence fits each image, `[B, N]`: the smooth maximum of its cosines with the patches.

        S_bn = 1/k log( 1/P sum_p exp(k <s_n, p_bp>) )          dS_bn / d<s_n, p_bp> = softmax_p(k <s_n, p_bp>)

    The sentence-level form of local contrasts, which is the reading of DeViDe's patch-text alignment taken here (a
    reconstruction). Its gradient is the attention of the sentence to the patches. Comparing the sentence with the
    patches that it attends to (`cos(s, sum_p a_p p_p)`, as GLoRIA does for words) is not taken: that cosine has no
    length, and can be made large by patches that are all like the sentence but those of the finding, which then stand
    out as the least alike. A smooth maximum grows with each patch, so that a sentence can only point at what it names.

    Args:
        patches: `[B, P, D]`, unit vectors.
        sentences: `[N, D]`, unit vectors, of the whole batch.
        sharpness: k > 0; the larger, the fewer patches count.
        chunk: sentences at a time, recomputed in the backward pass, so that memory for it does not grow with N; None
            does all at once.

    Returns:
        `[B, N]` between -1 and 1, in at least float32.
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


def sentence_targets(
    sentence_states: Tensor,
    image_states: Tensor,
    owner: Tensor,
    group: Tensor,
    kind: str = "same_labels",
    ranks: Ranks = ONE_RANK,
    *,
    unmentioned: Unmentioned = "ignore",
    reported: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """For which images a sentence is true: target and validity `[B, N]`, bool.

    - `identity`: its own image only.
    - `same_text`: every image of whose sentences one is equal to it.
    - `same_labels`: every image whose report agrees with all that it states ("No pneumothorax." is true of each image
      that denies one); where the report leaves one of its findings unmentioned and contradicts none, the pair is not
      valid, since nobody knows, or with `unmentioned: negative` the finding is taken for absent. A sentence that states
      no finding is not valid but with its own image.

    Args:
        sentence_states: int8 `[N, F]`. image_states: int8 `[B, F]`.
        owner: int64 `[N]`, the image that each sentence is of. group: int64 `[N]`, equal for equal sentences.
        kind: as above.
        ranks: of a distributed run; all arguments are this rank's, and the result is for the sentences of all ranks.
        unmentioned: whether what a report leaves unmentioned is absent in its image. reported: bool `[B]`, which images
            have a report; None, all.
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
    if unmentioned == "negative":
        silent = image_states == FindingState.UNMENTIONED
        silent = silent if reported is None else silent & reported[:, None]
        image_states = image_states.masked_fill(silent, FindingState.ABSENT)
    agree = torch.zeros_like(own, dtype=torch.float32)
    contradict = torch.zeros_like(agree)
    for state, opposite in ((1, 0), (0, 1)):
        claims = (sentence_states == state).float().t()
        agree = agree + (image_states == state).float() @ claims
        contradict = contradict + (image_states == opposite).float() @ claims
    claimed = (sentence_states >= 0).sum(1)[None]  # an uncertain claim is never agreed with, so never valid elsewhere
    true = said | ((agree == claimed) & (claimed > 0))
    return true, true | (contradict > 0)
