"""Target matrices: which text is right for which image, beyond its own. The answer to false negatives, in one argument.

Reports repeat ("No acute cardiopulmonary process."), and a contrast that calls such a copy wrong teaches noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from medvlp.knowledge import get_finding
from medvlp.models.ranks import ONE_RANK, Ranks, own_columns
from medvlp.objectives.classification import Unmentioned, unmentioned_as_negative
from medvlp.reports.states import FindingState

TargetKind = Literal["identity", "same_text", "same_labels", "ontology"]


def target_matrix(
    kind: TargetKind,
    *,
    text_group: Tensor,
    states: Tensor | None = None,
    ancestors: Tensor | None = None,
    ranks: Ranks = ONE_RANK,
) -> Tensor:
    """Target `[B, B]`, float32 with ones on the diagonal: how far text `j` is right for image `i`.

    - `identity`: only its own text (CLIP).
    - `same_text`: also texts that are equal to its own.
    - `same_labels`: also texts of images with the same set of present findings (two normal images among them).
    - `ontology`: graded, the Jaccard index of the two sets of present findings, each with all its ancestors: an image
      of pneumonia and one of consolidation share most of their meaning, and two normal images all of it.

    The last two include `same_text`. Rows are not normalized; `info_nce` does that.

    Copies with equal text features have equal logits. `info_nce` of `identity` and of `same_text` is then the
    same number with the same gradients: a softmax pushes nothing away from a copy of its own text, since it cannot
    tell them apart. The two differ where copies are read unlike each other (shuffled sentences, dropped words, dropout)
    and in losses that judge each pair by itself.

    Args:
        kind: one of the four.
        text_group: int `[B]`, equal for equal texts.
        states: int8 `[B, F]`, four states; needed by the last two.
        ancestors: bool `[F, A]`, True where concept `a` is the finding or one of its ancestors; needed by `ontology`.
            See `target_ancestors`.
            A may be larger than F, since ancestors need not be in the label space.
        ranks: of a distributed run; then the target is `[b, B]`, this rank's images against the texts of all.

    Raises:
        ValueError: an unknown kind, or what it needs is missing.

    Examples:
        >>> groups = torch.tensor([0, 1, 0])  # texts 0 and 2 are equal
        >>> target_matrix("same_text", text_group=groups)
        tensor([[1., 0., 1.],
                [0., 1., 0.],
                [1., 0., 1.]])
    """
    every_group = ranks.gather(text_group)
    own = own_columns(len(text_group), len(every_group), ranks, text_group.device)
    if kind == "identity":
        return own.float()
    same_text = own | (text_group[:, None] == every_group[None])
    if kind == "same_text":
        return same_text.float()
    if kind not in ("same_labels", "ontology"):
        raise ValueError(f"{kind!r} is no target; use identity, same_text, same_labels or ontology")
    if states is None or (kind == "ontology" and ancestors is None):
        raise ValueError(f"the target {kind!r} needs {'states' if states is None else 'the ancestors of each finding'}")
    present = (states == FindingState.PRESENT).float()
    if kind == "ontology" and ancestors is not None:
        present = (present @ ancestors.to(present)).clamp_max(1)
    shared = jaccard(present, ranks.gather(present))
    if kind == "same_labels":
        shared = (shared == 1).float()
    return torch.maximum(shared, same_text.float())


def target_ancestors(kind: TargetKind, findings: Sequence[str]) -> Tensor | None:
    """What `target_matrix` needs of the hierarchy: `ancestor_matrix` for `ontology`, None for the other targets.

    Examples:
        >>> target_ancestors("same_text", ["edema"]) is None
        True
    """
    return ancestor_matrix(findings) if kind == "ontology" else None


def jaccard(a: Tensor, b: Tensor) -> Tensor:
    """Jaccard index `[N, M]` of sets, rows of zeros and ones `[N, F]` and `[M, F]`; two empty sets are equal.

    Examples:
        >>> jaccard(torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
        tensor([[0.5000, 0.0000]])
    """
    both = a @ b.t()
    either = a.sum(1)[:, None] + b.sum(1)[None] - both
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)


def ancestor_matrix(findings: Sequence[str]) -> Tensor:
    """bool `[F, A]`: True where concept `a` is the finding itself or one of its ancestors.

    The A concepts are all findings and ancestors that occur, in order of appearance; they need not be in `findings`.

    Raises:
        UnknownNameError: a finding that the knowledge base lacks.

    Examples:
        >>> ancestor_matrix(["pneumothorax", "edema"]).shape[0]
        2
    """
    lineages = [_lineage(finding) for finding in findings]
    concepts = list(dict.fromkeys(concept for lineage in lineages for concept in lineage))
    return torch.tensor([[concept in lineage for concept in concepts] for lineage in lineages])


def _lineage(finding: str) -> list[str]:
    found = [finding]
    for concept in found:  # grows while it is read
        found += [parent for parent in get_finding(concept).parents if parent not in found]
    return found


def label_targets(
    image_states: Tensor,
    text_states: Tensor,
    unmentioned: Unmentioned = "negative",
    has_report: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """For which images a text is right by its labels: target and validity `[B, N]`, bool.

        T_ij = [ sum_e Y_ie C_je > 0 ]

    with Y and C the present findings of images and texts (UniCL, Yang et al., CVPR 2022; for radiology Silva-Rodriguez
    et al., IPMI 2025, who then add the identity). One shared finding is enough. Where nothing is shared, the pair is a
    negative if all findings that the text names are known to be absent from the image; otherwise it is
    unknown whether the text is right, and the pair is not valid. A text that names no finding is a negative for images
    that have a report, and says nothing of the others.

    Args:
        image_states: int8 `[B, F]`, four states. text_states: int8 `[N, F]`, of each text.
        unmentioned: how unmentioned findings of an image count; see `labels_and_mask`.
        has_report: bool `[B]`, images that have a report. None: all have.

    Examples:
        >>> images, texts = torch.tensor([[1, 0], [0, -1]]), torch.tensor([[1, -1], [-1, 1]])
        >>> label_targets(images, texts, unmentioned="ignore")
        (tensor([[ True, False],
                [False, False]]), tensor([[ True,  True],
                [ True, False]]))
    """
    named = (text_states == FindingState.PRESENT).float().t()  # [F, N]
    absent = image_states == FindingState.ABSENT
    if unmentioned == "negative":
        absent = absent | unmentioned_as_negative(image_states, has_report)
    shown = image_states == FindingState.PRESENT
    target = shown.float() @ named > 0
    unknown = (~shown & ~absent).float() @ named > 0
    known = ~unknown if has_report is None else ~unknown & (named.any(0)[None] | has_report[:, None])
    return target, target | known


def sentence_targets(
    sentence_states: Tensor,
    image_states: Tensor,
    image_index: Tensor,
    group: Tensor,
    kind: str = "same_labels",
    ranks: Ranks = ONE_RANK,
    *,
    unmentioned: Unmentioned = "ignore",
    has_report: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """For which images a sentence is true: target and validity `[B, N]`, bool.

    - `identity`: its own image only.
    - `same_text`: every image of whose sentences one is equal to it.
    - `same_labels`: every image whose report agrees with all that it states ("No pneumothorax." is true of each image
      that denies one); where the report leaves one of its findings unmentioned and contradicts none, the pair is not
      valid, or with `unmentioned: negative` the finding is taken for absent. A sentence that states
      no finding is not valid but with its own image.

    Args:
        sentence_states: int8 `[N, F]`. image_states: int8 `[B, F]`.
        image_index: int64 `[N]`, the image of each sentence. group: int64 `[N]`, equal for equal sentences.
        kind: one of the three above.
        ranks: of a distributed run; all arguments are this rank's, and the result is for the sentences of all ranks.
        unmentioned: whether what a report leaves unmentioned is absent in its image. has_report: bool `[B]`, which
            images have a report; None, all.

    Examples:
        >>> sentences, images = torch.tensor([[1, -1], [-1, 0]]), torch.tensor([[1, 0], [1, -1]])
        >>> sentence_targets(sentences, images, torch.tensor([0, 1]), torch.tensor([0, 1]))
        (tensor([[True, True],
                [True, True]]), tensor([[True, True],
                [True, True]]))
    """
    images = torch.arange(len(image_states), device=image_index.device)[:, None]
    mine = image_index[None] == images  # this rank's sentences
    own = ranks.gather(image_index + ranks.first_row(len(images)))[None] == images + ranks.first_row(
        len(images)
    )  # [B, N]
    sentence_states, groups = ranks.gather(sentence_states), ranks.gather(group)
    everywhere = torch.ones_like(own)
    if kind == "identity":
        return own, everywhere
    same_text = mine.float() @ (group[:, None] == groups[None]).float() > 0
    if kind == "same_text":
        return same_text, everywhere
    if kind != "same_labels":
        raise ValueError(f"{kind!r} is no target of sentences; use identity, same_text or same_labels")
    if unmentioned == "negative":
        silent = image_states == FindingState.UNMENTIONED
        silent = silent if has_report is None else silent & has_report[:, None]
        image_states = image_states.masked_fill(silent, FindingState.ABSENT)
    agree = torch.zeros_like(own, dtype=torch.float32)
    contradict = torch.zeros_like(agree)
    for state, opposite in ((1, 0), (0, 1)):
        claims = (sentence_states == state).float().t()
        agree = agree + (image_states == state).float() @ claims
        contradict = contradict + (image_states == opposite).float() @ claims
    stated = (sentence_states >= 0).sum(1)[None]  # nothing agrees with an uncertain statement
    true = same_text | ((agree == stated) & (stated > 0))
    return true, true | (contradict > 0)


def concept_targets(concepts: Tensor, queries: Tensor, has_report: Tensor) -> tuple[Tensor, Tensor]:
    """In which images C concepts are: target and validity `[B, C]`, bool.

    A concept is in each image whose report affirms it, whichever report it was taken from: with the published target,
    its own image alone, "effusion" of one report pushes away every other image of an effusion. Images whose reports
    are in doubt of it do not count, nor do images without report; all others are negatives.

    Args:
        concepts: int64 `[B, K, 4]`, all concepts of the images' reports; of `Batch.concepts`. queries: int64 `[C]`,
            concepts; -1 for padding.
        has_report: bool `[B]`, images that have a report.

    Examples:
        >>> concepts = torch.tensor([[[0, 1, 7, 1]], [[0, 1, 8, 1]]])  # concept 7 in image 0, 8 in image 1
        >>> concept_targets(concepts, torch.tensor([7, 8, -1]), torch.ones(2).bool())
        (tensor([[ True, False, False],
                [False,  True, False]]), tensor([[ True,  True, False],
                [ True,  True, False]]))
    """
    same = (concepts[..., 2, None] == queries) & (queries >= 0)  # [B, K, C]
    state = concepts[..., 3, None]
    target = (same & (state == FindingState.PRESENT)).any(1)
    doubtful = (same & (state == FindingState.UNCERTAIN)).any(1)
    return target, (target | ~doubtful) & has_report[:, None] & (queries >= 0)
