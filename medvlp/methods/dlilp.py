"""DLILP: one head learns from labels, another from language, so that neither space has to hold both.

The idea (Silva-Rodriguez, Dolz, Ben Ayed: A Reality Check of Vision-Language Pre-training in Radiology: Have We
Progressed Using Text?, IPMI 2025): labels that were read from the reports teach more than the reports' words, but text
is the only way to findings without labels. With h and g linear heads on one trunk, and a scale of its own for each,

    l_be = s cos(h(x_b), W_e) + c_e
    L    = mean_b [ sum_e m_be bce(l_be, y_be) / (sum_e m_be + 0.001) ] + w CLIP(g(x_b), t_b),     w = 0.1

with prototypes W, m the mask of labels that count, and t a sentence of the report. The first term is `unimodal`; `clip`
is the second alone, and `unicl` joins both in one space.

Zero-shot: a finding that it was trained on is answered by the label head, sigmoid(l); any other by prompts in the space
of language, as in `clip`.

Faithful: both terms and the weight, heads, scales and prototypes, a sentence drawn from the report at each step, images
without report in the first term only (the authors find them by comparing captions with the template; here a mask says).
Departs, as `unimodal`: a learned bias c_e (`bias`), and silence of a report counts as absence (`unmentioned: ignore` is
the mask of the paper). As `clip`: equal sentences are right for each other's images (`false_negatives`; the paper has
`identity`). Prompts are pairs; the authors' are ensembles of names and descriptions. Images are not flipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.base import Encoded, EncodedSentences, MethodParts, Options, register_method
from medvlp.methods.convirt import one_sentence, with_sentence
from medvlp.methods.dual_encoder import DualEncoder, DualEncoderOptions, report_contrast
from medvlp.methods.unimodal import LabelOptions
from medvlp.models import ImageFeatures, PrototypeHead
from medvlp.objectives import per_sample_bce


class DLILPOptions(LabelOptions, DualEncoderOptions):
    """Settings of `dlilp`, beside those of `LabelOptions` and `DualEncoderOptions`; `dim` is the width of both spaces.

    `language_weight`: w; 0 leaves `unimodal`.
    """

    language_weight: NonNegativeFloat = 0.1


@register_method("dlilp")
class DLILP(DualEncoder):
    """Labels and language in spaces of their own; see the top of the file."""

    Options: ClassVar[type[Options]] = DLILPOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.FINDINGS, BatchField.SENTENCES})
    options: DLILPOptions

    def __init__(self, parts: MethodParts, options: DLILPOptions) -> None:
        super().__init__(parts, options)
        self.labels = PrototypeHead(parts.image_encoder.dim, options.dim, len(parts.findings), options.bias)

    def encode(self, batch: Batch) -> Encoded:
        """The images, and one sentence of each report where language has a weight."""
        image = self.image_encoder(batch.images)
        if self.options.language_weight == 0:
            return Encoded(image)
        sentence = one_sentence(batch, shuffle=self.training)
        return Encoded(image, sentences=EncodedSentences(self.text_encoder(sentence.tokens, sentence.mask), sentence))

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        o, global_ = self.options, encoded.image.global_
        has_report = batch.report_mask.any(1)
        bce = per_sample_bce(self.labels(global_), batch.findings, o.unmentioned, o.uncertain, has_report)
        if encoded.sentences is None:
            return {"bce": bce}
        batch = with_sentence(batch, encoded.sentences.sampled)
        logits = self.report_logits(self.image_head(global_), self.text_head(encoded.sentences.features.global_))
        language = report_contrast(batch, logits, o.false_negatives, self.ancestors, ranks=self.ranks)
        return {"bce": bce, "language": o.language_weight * language}

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        """As in `Method`: by the label head for findings that it was trained on, by pairs of prompts for others."""
        global_ = features.global_
        columns = dict(zip(self.findings, self.labels(global_).sigmoid().unbind(1), strict=True))
        if new := [finding for finding in findings if finding not in columns]:
            prompted = self.pair_probability(self.prompt_cosines(self.image_head(global_), new))
            columns.update(zip(new, prompted.unbind(1), strict=True))
        return torch.stack([columns[finding] for finding in findings], dim=1)
