"""CARZero: how well an image and a text agree is learned, by cross-attention, and not a cosine.

The idea (Lai et al.: CARZero, CVPR 2024): what a finding looks like in an image is a relation between a text and some
patches, which one product of two vectors cannot hold. With M(x) = [x; its tokens] of an image or a text, and f a
decoder without self-attention whose answer a perceptron scores, with the same weights for both sides,

    A_bn = f(t_n; M(v_b))      the text asks the image                                            [B, B]
    R_bn = f(v_b; M(t_n))      the image asks the text                                            [B, B]
    L    = 1/2 [ target contrast of A + target contrast of R ]

    L_report   for the reports of the batch
    L_prompt   for "there is {finding}.", right for each image whose report states the finding    [B, F]
    L_cosine   target contrast of cos(v, t) / tau

Faithful: both relations, their losses, shared weights, four layers, queries that do not see each other, the template.
Reconstructed: L_prompt. There a language model rewrites each report into sentences of the template, and these are what
an image is compared with; here the labels that the reader of reports found say which sentences they would be.
Departs: L_report keeps the words of the report. L_cosine is added, so that a tower from nothing learns in few steps,
and retrieval, which compares vectors, has some to compare (`cosine_weight: 0` is the paper). Patches carry a code of
their place. Equal reports are right for each other's images (`false_negatives`). The authors begin with towers trained
by reconstruction, and grow the batch in three stages, which is left to recipes.

Zero-shot: sigmoid of the mean of A and R for "there is {finding}."; no prompt of absence is asked, as in the paper, so
that scores order the images of one finding, and are no calibrated probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.base import AttentionHeads, Encoded, MethodParts, Options, Template, register_method
from medvlp.methods.dual_encoder import ProjectedEncoders, ProjectionOptions, report_contrast
from medvlp.models import ImageFeatures, RelationScorer, TextFeatures, cosines, grid_position
from medvlp.objectives import TargetKind, Unmentioned, multi_positive_nce


class CARZeroOptions(ProjectionOptions):
    """Settings of `carzero`, beside those of `ProjectionOptions`, whose `dim` is that of the cosine.

    Attributes:
        false_negatives: target of the report contrasts; see `target_matrix`.
        width, layers, heads: of the decoder. chunk: memories that are scored at a time.
        template: the sentence for a finding.
        unmentioned: what silence of a report on a finding counts as in L_prompt; see `multi_positive_nce`.
        report_weight, prompt_weight, cosine_weight: of the three losses; 0 leaves one out.
    """

    false_negatives: TargetKind = "same_text"
    width: PositiveInt = 128
    layers: PositiveInt = 4
    heads: AttentionHeads = 4
    chunk: PositiveInt = 32
    template: Template = "there is {}."
    unmentioned: Unmentioned = "negative"
    report_weight: NonNegativeFloat = 1.0
    prompt_weight: NonNegativeFloat = 1.0
    cosine_weight: NonNegativeFloat = 1.0


@dataclass(frozen=True)
class CARZeroEncoded(Encoded):
    """Beside images and reports: the sentences of the trained findings."""

    prompts: TextFeatures | None = None


@register_method("carzero")
class CARZero(ProjectedEncoders):
    """Learned similarity; see the top of the file."""

    Options: ClassVar[type[Options]] = CARZeroOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.REPORTS, BatchField.FINDINGS})
    options: CARZeroOptions

    def __init__(self, parts: MethodParts, options: CARZeroOptions) -> None:
        super().__init__(parts, options)
        self.from_image = nn.Linear(parts.image_encoder.dim, options.width)
        self.from_text = nn.Linear(parts.text_encoder.dim, options.width)
        self.scorer = RelationScorer(options.width, options.layers, options.heads, options.chunk)

    def encode(self, batch: Batch) -> CARZeroEncoded:
        """The images, the reports, and a sentence for each finding."""
        encoded = super().encode(batch)
        prompts = self._prompts(self.findings) if self.options.prompt_weight > 0 else None
        return CARZeroEncoded(encoded.image, encoded.report, prompts=prompts)

    def losses(self, batch: Batch, encoded: CARZeroEncoded) -> dict[str, Tensor]:
        o, losses = self.options, {}
        features, text, prompts = encoded.image, encoded.report, encoded.prompts
        assert text is not None
        if o.report_weight > 0:
            contrasts = [
                report_contrast(batch, logits, o.false_negatives, self.ancestors, ranks=self.ranks)
                for logits in self._report_relations(features, text)
            ]
            losses["report"] = o.report_weight * torch.stack(contrasts).mean()
        if prompts is not None:
            has_report = batch.report_mask.any(1)
            contrasts = [
                multi_positive_nce(logits, batch.findings, o.unmentioned, has_report=has_report, ranks=self.ranks)
                for logits in (
                    self._text_asks(prompts.global_, features),
                    self._image_asks(features.global_, prompts).t(),
                )
            ]
            losses["prompt"] = o.prompt_weight * torch.stack(contrasts).mean()
        if o.cosine_weight > 0:
            reports = self.ranks.gather(self.text_head(text.global_))
            logits = self.scale(cosines(self.image_head(features.global_), reports))
            contrast = report_contrast(batch, logits, o.false_negatives, self.ancestors, ranks=self.ranks)
            losses["cosine"] = o.cosine_weight * contrast
        return losses

    def _report_relations(self, features: ImageFeatures, text: TextFeatures) -> tuple[Tensor, Tensor]:
        """A, with this rank's images as rows; and R transposed, with its reports. All ranks' queries are columns."""
        asks_image = self._text_asks(self.ranks.gather(text.global_), features)
        return asks_image, self._image_asks(self.ranks.gather(features.global_), text)

    def _text_asks(self, texts: Tensor, features: ImageFeatures) -> Tensor:
        """A `[B, N]`: pooled texts `[N, D]` ask images."""
        memory, position = self._image_memory(features)
        return self.scorer(self.from_text(texts), memory, position=position)

    def _image_asks(self, images: Tensor, text: TextFeatures) -> Tensor:
        """R transposed, `[N, B]`: pooled images `[B, D]` ask texts."""
        memory = self.from_text(torch.cat([text.global_[:, None], text.tokens], dim=1))
        return self.scorer(self.from_image(images), memory, F.pad(text.mask, (1, 0), value=True))

    def _image_memory(self, features: ImageFeatures) -> tuple[Tensor, Tensor]:
        """Image and patches `[B, 1 + P, width]`, and codes of their places; the image as a whole has none."""
        memory = self.from_image(torch.cat([features.global_[:, None], features.patches], dim=1))
        return memory, F.pad(grid_position(features.grid, memory.shape[-1], memory), (0, 0, 1, 0))

    def _prompts(self, findings: Sequence[str]) -> TextFeatures:
        return self.bank([self.options.template.format(self.book.name_of(finding)) for finding in findings])

    # ------------------------------------------------------------------------------------------------------------- use

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        """As in `Method`: both relations with the sentence of each finding."""
        prompts = self._prompts(findings)
        both = self._text_asks(prompts.global_, features) + self._image_asks(features.global_, prompts).t()
        return (both / 2).sigmoid()

    def heat_map_encoded(self, features: ImageFeatures, phrase: str) -> Tensor:
        """Where a phrase is, `[B, h, w]`: the patches that it attends to."""
        memory, position = self._image_memory(features)
        attention = self.scorer.attention(self.from_text(self.bank([phrase]).global_), memory, position=position)
        return attention[:, 0, 1:].unflatten(1, features.grid)
