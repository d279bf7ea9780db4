"""UniCL for radiographs: language and labels in one space, where shared labels join images and texts.

The idea (Yang et al.: Unified Contrastive Learning in Image-Text-Label Space, CVPR 2022; for radiology as a baseline of
Silva-Rodriguez, Dolz, Ben Ayed, IPMI 2025): a label is a text too ("a radiology image of edema"), and a text is right
for each image that shares a label with it. With unit vectors v_b of images and t_j of texts, Y the present findings of
images and C those that texts name,

    T = clamp(Y C^T + I, 0, 1)
    L = 1/2 mean_b H(T_b. / sum_j T_bj, softmax_j(s v_b t_j)) + 1/2 mean_j H(T_.j / sum_b T_bj, softmax_b(s v_b t_j))

so that rows and columns are normalized each by their own number of positives. `dlilp` keeps language and labels apart.

Zero-shot: any finding of the book by its name in the template; the probability is (1 + cos) / 2, as the authors compare
raw cosines. It orders images, and is no calibrated probability.

Faithful: T and its two normalizations, the learned scale and its bound, linear heads, the template, a sentence drawn
from the report at each step.
Departs: the authors give each image one text: a sentence where it has a report, else one of its labels in the template.
Here the texts of a step are the sentences and, always, the F labels of the recipe, so that an image with labels alone
learns from all of them, and an image with both joins the two kinds. Equal sentences are right for each other's images
(`false_negatives`; `identity` is the paper's). A text naming a finding of which an image's report is uncertain is no
negative for it; silence counts as absence (`unmentioned: ignore` removes it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.base import Encoded, EncodedKnowledge, EncodedSentences, Options, Template, register_method
from medvlp.methods.convirt import one_sentence
from medvlp.methods.dual_encoder import ProjectedEncoders, ProjectionOptions
from medvlp.models import ImageFeatures, cosines
from medvlp.objectives import SampledSentences, Unmentioned, info_nce, label_targets, target_matrix
from medvlp.reports.states import FindingState


class UniCLOptions(ProjectionOptions):
    """Settings of `unicl`, beside those of `ProjectionOptions`.

    Attributes:
        templates: sentences for a label, in training and zero-shot; several are averaged.
        false_negatives: what joins images and sentences beside labels; see `target_matrix`.
        unmentioned: what a report's silence on a finding says; see `label_targets`.
    """

    templates: Annotated[tuple[Template, ...], Field(min_length=1)] = ("a radiology image of {}",)
    false_negatives: Literal["identity", "same_text"] = "same_text"
    unmentioned: Unmentioned = "negative"


@register_method("unicl")
class UniCL(ProjectedEncoders):
    """Language and labels in one space; see the top of the file."""

    Options: ClassVar[type[Options]] = UniCLOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.FINDINGS, BatchField.SENTENCES})
    options: UniCLOptions

    def encode(self, batch: Batch) -> Encoded:
        """The images, one sentence of each report, and the labels as texts."""
        drawn = one_sentence(batch, shuffle=self.training)
        image = self.image_encoder(batch.images)
        sentences = EncodedSentences(self.text_encoder(drawn.tokens, drawn.mask), drawn)
        return Encoded(image, sentences=sentences, knowledge=EncodedKnowledge(self.label_texts(self.findings)))

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        assert encoded.sentences is not None
        assert encoded.knowledge is not None
        image = self.image_head(encoded.image.global_)
        sentences = self.ranks.gather(self.text_head(encoded.sentences.features.global_))
        texts = torch.cat([sentences, encoded.knowledge.vectors])
        target, valid = self._targets(batch, encoded.sentences.sampled)
        return {"contrast": info_nce(self.scale(cosines(image, texts)), target, valid, ranks=self.ranks)}

    def _targets(self, batch: Batch, drawn: SampledSentences) -> tuple[Tensor, Tensor]:
        """T and which pairs count, `[B, all B + F]`: the sentences of all ranks, then the labels."""
        labels = torch.eye(len(self.findings), device=batch.findings.device) == 1
        named = torch.where(labels, int(FindingState.PRESENT), int(FindingState.UNMENTIONED)).to(torch.int8)
        text_states = torch.cat([self.ranks.gather(drawn.states), named])
        joined, valid = label_targets(
            batch.findings, text_states, self.options.unmentioned, has_report=batch.report_mask.any(1)
        )
        own = target_matrix(self.options.false_negatives, text_group=drawn.group, ranks=self.ranks) > 0
        own = F.pad(own, (0, len(named)))
        exists = F.pad(self.ranks.gather(drawn.exists), (0, len(named)), value=True)
        return (joined | own).float(), (valid | own) & exists

    def label_texts(self, findings: Sequence[str]) -> Tensor:
        """Unit vectors `[F, dim]` of findings, each the direction of the mean over templates."""
        texts = [template.format(self.book.name_of(f)) for template in self.options.templates for f in findings]
        each = self.encode_texts(texts).global_.unflatten(0, (-1, len(findings)))
        return F.normalize(each.mean(0), dim=1)

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        """As in `Method`: (1 + cos) / 2 with the finding in the template."""
        image = self.image_head(features.global_)
        return (1 + cosines(image, self.label_texts(findings))) / 2
