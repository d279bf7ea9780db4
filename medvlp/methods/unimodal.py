"""Unimodal: supervised labels and no text, the honest baseline of every vision-language figure.

The idea (Silva-Rodriguez, Dolz, Ben Ayed: A Reality Check of Vision-Language Pre-training in Radiology, IPMI 2025): if
labels were taken from the reports, then train on the labels. Each finding e has a prototype W_e on the sphere, and

    l_be = s cos(h(x_b), W_e)
    L    = mean_b [ sum_e m_be bce(l_be, y_be) / (sum_e m_be + 0.001) ],     m_be = 1 where the report states e

with a linear h without bias, and s = exp(.) learned within [1, 100].

Faithful: the loss, its mask, the scale, the head's width and the prototypes' start.
Departs: a learned bias b_e is added to each logit when `bias` is on (the default): a cosine classifier without one
cannot say that most findings are rare. What a report leaves unmentioned counts as absent by default, as in `devide`,
since devices and rare findings are hardly ever denied; `unmentioned: ignore` is the mask of the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import PositiveInt
from torch import Tensor

from medvlp.data.batch import Batch, BatchField
from medvlp.errors import did_you_mean, quoted
from medvlp.knowledge import UnknownNameError
from medvlp.methods.base import Encoded, Method, MethodParts, Options, register_method
from medvlp.models import ImageFeatures, PrototypeHead, TextFeatures
from medvlp.objectives import Uncertain, Unmentioned, per_sample_bce


class LabelOptions(Options):
    """Settings of every label head.

    Attributes:
        unmentioned, uncertain: what such labels count as; see `labels_and_mask`.
        bias: learn a bias for each finding.
    """

    unmentioned: Unmentioned = "negative"
    uncertain: Uncertain = "ignore"
    bias: bool = True


class UnimodalOptions(LabelOptions):
    """Settings of `unimodal`, beside those of `LabelOptions`. `dim`: width of the space of prototypes."""

    dim: PositiveInt = 512


@register_method("unimodal")
class Unimodal(Method):
    """Supervised prototypes; see the top of the file."""

    Options: ClassVar[type[Options]] = UnimodalOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.FINDINGS})
    reads_text: ClassVar[bool] = False

    def __init__(self, parts: MethodParts, options: UnimodalOptions) -> None:
        super().__init__(parts, options)
        self.labels = PrototypeHead(parts.image_encoder.dim, options.dim, len(parts.findings), options.bias)

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        logits = self.labels(encoded.image.global_)
        has_report, o = batch.report_mask.any(1), self.options
        return {"bce": per_sample_bce(logits, batch.findings, o.unmentioned, o.uncertain, has_report)}

    def project_images(self, features: ImageFeatures) -> ImageFeatures:
        """`global_` and `patches` in the space of prototypes."""
        head = self.labels.head
        return replace(features, global_=head(features.global_), patches=head(features.patches))

    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Refused.

        Raises:
            TypeError: always; there is no text tower.
        """
        raise TypeError(
            "unimodal is trained without text and cannot read a phrase; retrieval and grounding need a vision-language "
            "method such as devide"
        )

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        """As in `Method`, for findings that it was trained on.

        Raises:
            KeyError: another finding; there is no zero-shot path without text.
        """
        logits = self.labels(features.global_)
        return logits.sigmoid()[:, [self._column(finding) for finding in findings]]

    def _column(self, finding: str) -> int:
        if finding not in self.findings:
            advice = did_you_mean(finding, self.findings)
            raise UnknownNameError(f"unimodal was not trained on {quoted(finding)}, and reads no text; {advice}")
        return self.findings.index(finding)
