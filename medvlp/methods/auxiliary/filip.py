"""FILIP as an auxiliary loss: words and patches find each other.

The idea (Yao et al., FILIP, ICLR 2022): a report names many small things, which one vector of an image cannot hold. So
each patch is compared with its best word and each word with its best patch, and only then is the pair scored:

    S_bn = mean_p max_t <v_bp, w_nt>      R_bn = mean_t max_p <v_bp, w_nt>
    L    = 1/2 mean_b H(T_b., softmax_n(s S_bn)) + 1/2 mean_n H(T_.n, softmax_b(s R_bn))

Faithful: token-wise maximum, a mean over patches and over words, a direction of the contrast for each.
Departs: it is added to another method, with heads of its own, and T may join images with equal reports. No tokens are
pruned to save memory; see `late_interaction`. FILIP's prompt ensemble is the method's affair.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import PositiveInt
from torch import Tensor

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.auxiliary.base import AuxiliaryLoss, AuxiliaryOptions, register_auxiliary
from medvlp.methods.base import Encoded, MethodParts
from medvlp.methods.dual_encoder import report_pair_mask
from medvlp.models import ProjectionHead, Temperature
from medvlp.objectives import info_nce, late_interaction, target_matrix


class FILIPOptions(AuxiliaryOptions):
    """Settings of `filip`. `dim`: width of the space of patches and words. `false_negatives`: `identity | same_text |
    same_labels`, which other reports are right for an image too; see `target_matrix`."""

    dim: PositiveInt = 128
    false_negatives: Literal["identity", "same_text", "same_labels"] = "same_text"


@register_auxiliary("filip")
class FILIP(AuxiliaryLoss):
    """Late interaction of patches and words; see the top of the file."""

    Options: ClassVar[type[AuxiliaryOptions]] = FILIPOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.REPORTS})
    options: FILIPOptions

    def __init__(self, parts: MethodParts, options: FILIPOptions) -> None:
        super().__init__(parts, options)
        self.patch_head = ProjectionHead(parts.image_encoder.dim, options.dim)
        self.word_head = ProjectionHead(parts.text_encoder.dim, options.dim)
        self.scale = Temperature()

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        report, ranks = encoded.report, self.ranks
        assert report is not None
        # Patches travel between ranks, since their number is the same on all, and that of words is not.
        patches = ranks.gather(self.patch_head(encoded.image.patches))
        by_patch, by_word = late_interaction(patches, self.word_head(report.tokens), report.mask)
        kind = self.options.false_negatives
        target = target_matrix(kind, text_group=batch.text_group, states=batch.findings, ranks=ranks)  # symmetric
        pairs = report_pair_mask(batch, ranks)
        by_image = info_nce(self.scale(by_patch.t()), target, pairs, row_weight=0.0, ranks=ranks)
        by_text = info_nce(self.scale(by_word.t()), target, pairs, row_weight=1.0, ranks=ranks)
        return {"contrast": 0.5 * (by_image + by_text)}
