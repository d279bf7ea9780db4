"""Target matrices: which text is right for which image, beyond its own. The answer to false negatives, in one argument.

Reports repeat ("No acute cardiopulmonary process."), and a contrast that calls such a copy wrong teaches noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from medvlp.models.ranks import ONE_RANK, Ranks, own_columns
from medvlp.objectives.ontology import ancestor_matrix
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

    The last two include `same_text`. Rows are not normalized; `target_nce` does that.

    Copies that a text tower reads alike have equal logits. `target_nce` of `identity` and of `same_text` is then the
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
    """What `target_matrix` needs of the hierarchy: `ancestor_matrix` for `ontology`, None for the other targets."""
    return ancestor_matrix(findings) if kind == "ontology" else None


def jaccard(a: Tensor, b: Tensor) -> Tensor:
    """Jaccard index `[N, M]` of sets, rows of zeros and ones `[N, F]` and `[M, F]`; two empty sets are equal."""
    both = a @ b.t()
    either = a.sum(1)[:, None] + b.sum(1)[None] - both
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)
