"""SoftCLIP as an auxiliary loss: reports of like images are partly right.

The idea (Gao et al., SoftCLIP, AAAI 2024): image and text of two pairs are not strangers only because they are not one
pair. How like two images are says how far the text of one is right for the other, and how like two texts are, the
reverse. With g the similarity within a modality, and p* and q* over the others of the batch alone,

    p = (1 - a) 1 + a softmax(k g)      L = 1/2 sum over directions of mean_i [ KL(p_i || q_i) + r KL(p*_i || q*_i) ]

Faithful: softened targets from self-similarity, for each direction that of its own modality; the negatives
disentangled.
Departs: the paper compares regions that an object detector found and their tags; here it is the pooled features of the
method's own encoders, less their mean over the batch, without gradient. It is added to another method, with heads of
its own. Reconstructed: the constants a, k and r, and the direction of the divergences, from target to prediction, whose
gradient is that of a cross-entropy; the formulas were not at hand, and the paper may have a symmetric one.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.auxiliary.base import AuxiliaryLoss, AuxiliaryOptions, register_auxiliary
from medvlp.methods.base import Encoded, Fraction, MethodParts
from medvlp.methods.dual_encoder import report_pair_mask
from medvlp.models import ProjectionHead, Temperature, cosines, own_columns
from medvlp.objectives import self_similarity, soft_contrast


class SoftCLIPOptions(AuxiliaryOptions):
    """Settings of `softclip`.

    Attributes:
        dim: width of the space in which images and reports are compared.
        share: a, of the target that similarity decides. sharpness: k. relations: r.
    """

    dim: PositiveInt = 128
    share: Fraction = 0.2
    sharpness: PositiveFloat = 10.0
    relations: NonNegativeFloat = 1.0


@register_auxiliary("softclip")
class SoftCLIP(AuxiliaryLoss):
    """Contrast with softened targets; see the top of the file."""

    Options: ClassVar[type[AuxiliaryOptions]] = SoftCLIPOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.REPORTS})
    options: SoftCLIPOptions

    def __init__(self, parts: MethodParts, options: SoftCLIPOptions) -> None:
        super().__init__(parts, options)
        self.image_head = ProjectionHead(parts.image_encoder.dim, options.dim)
        self.text_head = ProjectionHead(parts.text_encoder.dim, options.dim)
        self.scale = Temperature()

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        assert encoded.report is not None
        from_image, from_text = encoded.image.global_, encoded.report.global_
        image, text = self.image_head(from_image), self.text_head(from_text)
        by_image = self._direction(batch, image, text, from_image)
        by_text = self._direction(batch, text, image, from_text)
        return {"contrast": 0.5 * (by_image + by_text)}

    def _direction(self, batch: Batch, rows: Tensor, columns: Tensor, guide: Tensor) -> Tensor:
        """Rows against the columns of all ranks; how like the rows are guides."""
        pairs = report_pair_mask(batch, self.ranks)
        own = own_columns(len(rows), pairs.shape[1], self.ranks, pairs.device)
        logits = self.scale(cosines(rows, self.ranks.gather(columns)))
        alike = self.options.sharpness * self_similarity(guide, batch.report_mask.any(1), self.ranks)
        return soft_contrast(logits, alike, own, pairs, self.options.share, self.options.relations, self.ranks)
