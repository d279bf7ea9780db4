"""Every loss with arguments to try it on, for `test_every_loss.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models import ONE_RANK, Ranks
from medvlp.objectives import (
    NOT_ANNOTATED,
    LabelGroups,
    bag_cross_entropy,
    global_local_contrast,
    gram_orthogonality,
    group_metric_loss,
    info_nce,
    late_interaction,
    masked_bce,
    masked_token_loss,
    multi_positive_nce,
    pair_alignment,
    patch_sentence_similarity,
    per_sample_bce,
    pixel_bce,
    place_contrast,
    prototypical_contrast,
    sigmoid_contrast,
    soft_contrast,
    soft_dice,
    swapped_prediction,
    token_alignment_loss,
    top_patch_similarity,
    word_patch_similarity,
)


@dataclass
class Case:
    """A loss with arguments of four images and four texts; images 0 and 1 have equal labels.

    Attributes:
        loss: of the leaves, then of the sides, then of the ranks where `on_ranks`.
        leaves: shapes of what the gradient is of. sides: masks, targets and states, one row an image.
        ignored: bool for each leaf, True where its content must not matter; None: all counts.
        nothing: sides with which nothing counts. Empty: there are none.
        pairs: leaves and sides are images by texts, and what orders rows orders columns.
        labeled: rows 0 and 1 of the sides are equal, so that those of the leaves may change places.
        shared: how many of the last leaves belong to no image.
        any_content: even NaN and infinity are ignored; else what is finite.
        constants: something that is made of the leaves is a constant by definition.
    """

    loss: Callable[..., Tensor]
    leaves: list[tuple[int, ...]]
    sides: list[Tensor]
    ignored: list[Tensor | None]
    nothing: list[Tensor] = field(default_factory=list)
    pairs: bool = False
    labeled: bool = False
    on_ranks: bool = True
    shared: int = 0
    any_content: bool = True
    constants: bool = False

    def inputs(self, dtype: torch.dtype = torch.float64) -> list[Tensor]:
        """Leaves of unit vectors."""
        generator = torch.Generator().manual_seed(0)
        leaves = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in self.leaves]
        return [F.normalize(leaf, dim=-1).to(dtype) for leaf in leaves]

    def of(self, tensors: list[Tensor], order: Tensor, columns: bool = True) -> list[Tensor]:
        """Leaves or sides of some images, and of their texts where texts are columns."""
        return [x[order][:, order] if self.pairs and columns and x.ndim == 2 else x[order] for x in tensors]

    def leaves_of(self, leaves: list[Tensor], order: Tensor, columns: bool = True) -> list[Tensor]:
        own = len(leaves) - self.shared
        return self.of(leaves[:own], order, columns) + leaves[own:]

    def value(self, leaves: list[Tensor], sides: list[Tensor] | None = None, ranks: Ranks = ONE_RANK) -> Tensor:
        """The loss; with its own sides where none are given."""
        return self.loss(*leaves, *(self.sides if sides is None else sides), *([ranks] if self.on_ranks else []))


def bools(*rows: list[int]) -> Tensor:
    return torch.tensor(rows).bool()


def summed(*scores: Tensor) -> Tensor:
    """A scalar of similarities of all pairs, with a gradient that differs from pair to pair."""
    return torch.stack(scores).sin().sum()


COUNTS = torch.tensor([1, 1, 0, 1]).bool()
NOBODY = torch.zeros(4).bool()
VALID = bools([1, 1, 0, 1], [1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1])
NO_PAIRS = torch.zeros(4, 4).bool()
STATES = torch.tensor([[1, 0, -1, 2], [1, 0, -1, 2], [-1, -1, 2, -1], [1, 1, 2, 1]], dtype=torch.int8)
SILENCE = torch.full_like(STATES, -1)
WORDS = bools([1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0])
PATCHES = bools([1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 0, 1, 0])
NO_WORDS = torch.zeros_like(WORDS)
GROUPS = [
    bools([1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]),
    COUNTS[:, None] & COUNTS,
    torch.tensor([1, 1, 0, 0]).bool(),  # image 3 is a negative of others alone
]
BAG = torch.tensor([[1.0, 0, 2], [1, 0, 2], [0, 0, 0], [1, 1, 1]])
PLACES = torch.stack([STATES, STATES.flip(1), SILENCE], 1)  # [4, 3, 4]
FOUND = (PLACES == 1).any(2, keepdim=True)
MASKS = torch.tensor([[[1, 0], [1, 1]], [[NOT_ANNOTATED] * 2] * 2], dtype=torch.uint8)  # drawn, and not
MASKS = MASKS[[0, 0, 1, 0]][:, None].clone()
MASKS[3] = 0
TRUTH = torch.tensor([[0, 3, 6], [2, 2, 1], [5, 0, 0], [1, 6, 4]])
TEXTS = torch.tensor([0, 1, 2, 0])


def of_groups(logits: Tensor, same: Tensor, valid: Tensor, asked: Tensor, ranks: Ranks) -> Tensor:
    return group_metric_loss(logits, LabelGroups(same, valid, asked), ranks)


def of_masks(loss: Callable[..., Tensor]) -> Case:
    undrawn = MASKS == NOT_ANNOTATED
    nothing = [torch.full_like(MASKS, NOT_ANNOTATED)]
    return Case(loss, [(4, 1, 2, 2)], [MASKS], [undrawn], nothing, labeled=True, on_ranks=False)


def wide(mask: Tensor, *widths: int) -> Tensor:
    """A mask for each number of the vectors that it marks."""
    return mask.reshape(*mask.shape, *[1] * len(widths)).expand(*mask.shape, *widths)


UNKNOWN = (STATES == -1) | (STATES == 2)
CASES = {
    "info_nce": Case(
        lambda x, t, v, r: info_nce(x, t, v, 0.3, r),
        [(4, 4)],
        [(STATES[:, [0, 0, 3, 1]] == 1).double() + torch.eye(4)[[0, 0, 2, 3]], VALID],
        [~VALID],
        [torch.ones(4, 4), NO_PAIRS],
        pairs=True,
        labeled=True,
    ),
    "multi_positive_nce": Case(
        lambda x, s, r: multi_positive_nce(x, s, ranks=r), [(4, 4)], [STATES], [UNKNOWN], [SILENCE], labeled=True
    ),
    "sigmoid_contrast": Case(
        sigmoid_contrast, [(4, 4)], [STATES == 1, VALID], [~VALID], [NO_PAIRS, NO_PAIRS], labeled=True, on_ranks=False
    ),
    "soft_contrast": Case(
        lambda x, g, o, v, r: soft_contrast(x, g, o, v, ranks=r),
        [(4, 4)],
        [torch.randn(4, 4, generator=torch.Generator().manual_seed(1)), torch.eye(4).bool(), VALID],
        [~VALID],
        [torch.zeros(4, 4), torch.eye(4).bool(), NO_PAIRS],
        pairs=True,
    ),
    "word_patch_similarity": Case(
        lambda p, w, m: summed(word_patch_similarity(p, w, m, chunk=3)),
        [(4, 5, 6), (4, 3, 6)],
        [WORDS],
        [None, wide(~WORDS, 6)],
        [NO_WORDS],
        on_ranks=False,
    ),
    "late_interaction": Case(
        lambda p, w, m: summed(*late_interaction(p, w, m, chunk=3)),
        [(4, 5, 6), (4, 3, 6)],
        [WORDS],
        [None, wide(~WORDS, 6)],
        [NO_WORDS],
        on_ranks=False,
    ),
    "patch_sentence_similarity": Case(
        lambda p, s: summed(patch_sentence_similarity(p, s, chunk=3)),
        [(4, 5, 6), (4, 6)],
        [],
        [None, None],
        on_ranks=False,
    ),
    "top_patch_similarity": Case(
        lambda p, t: summed(top_patch_similarity(p, t, 2)), [(4, 5, 6), (4, 6)], [], [None, None], on_ranks=False
    ),
    "token_alignment_loss": Case(
        lambda w, p, m, n, r: token_alignment_loss(w, p, m, n, ranks=r),
        [(4, 3, 6), (4, 5, 6)],
        [WORDS, PATCHES],
        [wide(~WORDS, 6), wide(~PATCHES, 6)],
        [NO_WORDS, PATCHES],
    ),
    "global_local_contrast": Case(
        lambda w, p, m, g, r: global_local_contrast(w, p, m, g, 3.0, r),
        [(4, 6), (4, 3, 6)],
        [WORDS, TEXTS],
        [None, wide(~WORDS, 6)],
        [NO_WORDS, TEXTS],
    ),
    "bag_cross_entropy": Case(
        bag_cross_entropy, [(4, 3)], [BAG], [wide(BAG.sum(1) == 0, 3)], [torch.zeros_like(BAG)], labeled=True
    ),
    "pair_alignment": Case(pair_alignment, [(4, 6), (4, 6)], [COUNTS], [wide(~COUNTS, 6)] * 2, [NOBODY]),
    "gram_orthogonality": Case(
        lambda z, c, r: gram_orthogonality(r.gather(z), center=True, valid=r.gather(c)),
        [(4, 6)],
        [COUNTS],
        [wide(~COUNTS, 6)],
        [NOBODY],
    ),
    "group_metric_loss": Case(
        of_groups, [(4, 4)], GROUPS, [~GROUPS[1]], [GROUPS[0], NO_PAIRS, NOBODY], pairs=True, labeled=True
    ),
    "soft_dice": of_masks(soft_dice),
    "pixel_bce": of_masks(pixel_bce),
    "masked_bce": Case(
        lambda x, s, r: masked_bce(x, s, ranks=r), [(4, 4)], [STATES], [UNKNOWN], [SILENCE], labeled=True
    ),
    "per_sample_bce": Case(per_sample_bce, [(4, 4)], [STATES], [UNKNOWN], [SILENCE], labeled=True, on_ranks=False),
    "masked_token_loss": Case(
        masked_token_loss, [(4, 3, 7)], [TRUTH, WORDS], [wide(~WORDS, 7)], [TRUTH, NO_WORDS], any_content=False
    ),
    "place_contrast": Case(
        lambda x, p, r: place_contrast(x, p, 2, sample=False, ranks=r),
        [(4, 3, 5)],
        [PLACES],
        [F.pad(PLACES == 2, (0, 1)) | ~FOUND],
        [torch.zeros_like(PLACES)],
        labeled=True,
    ),
    "prototypical_contrast": Case(
        lambda q, b, s, r: prototypical_contrast(q, s, b, 2, sample=False, ranks=r),
        [(4, 3, 6), (4, 6)],
        [PLACES],
        [~FOUND.expand(4, 3, 6), None],
        [torch.zeros_like(PLACES)],
        labeled=True,
        shared=1,
    ),
    "swapped_prediction": Case(
        lambda a, b, v, r: swapped_prediction(a, b, valid=v, ranks=r),
        [(4, 3), (4, 3)],
        [COUNTS],
        [wide(~COUNTS, 3)] * 2,
        [NOBODY],
        constants=True,
    ),
}


def cases(keep: Callable[[Case], bool] = lambda case: True) -> Any:
    """A fixture of the cases that are to be kept, one after the other."""
    names = [name for name, case in CASES.items() if keep(case)]
    return pytest.fixture(params=names)(lambda request: CASES[request.param])


case = cases()
case_with_labels = cases(lambda case: case.labeled)
case_of_nothing = cases(lambda case: bool(case.nothing))
case_on_ranks = cases(lambda case: case.on_ranks)
case_without_constants = cases(lambda case: not case.constants)
