"""KEEP: groups of pairs that show the same, kept apart as the tree of diseases allows.

The idea (Zhou et al.: KEEP, knowledge-enhanced pathology vision-language pre-training, Cancer Cell 2026): captions are
noisy and repeat, so pairs are put into groups by disease; one good pair of a group is enough, and a disease is no
negative of another that it is a kind of. With S = s v t^T, s = 25, groups i, images a and texts b,

    P_i  = sum_{a in i} [ sum_{b in i} exp(-S_ab) ]^-1          N_ij = sum_{a in i} sum_{b in j} exp(S_ab)
    L    = -1/2 mean_i log( P_i / (P_i + sum_{j != i} N_ij) ) + the same with images and texts exchanged

The text of a training image is, half of the time, a sentence made from one of its labels and what that is a kind of
("findings of pneumonia, lung opacity"); and half of the texts lose 40 % of their word pieces.

Zero-shot: texts of several templates are averaged; the probability of a finding is its share of a softmax of 10 cosines
over all trained findings and the normal chest.

Faithful (the authors' code was read): P and N, s, both directions, captions from the tree, dropped words, the zero-shot
softmax.
Departs: radiographs instead of pathology. Groups are images with the same present findings, as large as the batch has
them (theirs: 32 groups of 4, drawn so); a group is related to another whose findings it includes, ancestors counted,
and related pairs leave the sums (theirs get a cosine of -1). Images of which nothing is stated, and those on which
nothing is present and something uncertain, are negatives only, as their unknown groups; images without report count for
nothing. The text tower is not trained on a disease ontology first, and towers are not frozen in the first epoch.
Templates are our own, 5 for 22. A finding that was not trained on is added to the classes when it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from pydantic import PositiveFloat
from torch import Tensor
from torch.nn import functional as F

from medvlp.data.batch import Batch, BatchField
from medvlp.knowledge.prompts import PromptSet
from medvlp.knowledge.study_labels import NO_FINDING
from medvlp.methods.base import Encoded, FixedTemperature, Fraction, MethodParts, Options, register_method
from medvlp.methods.dual_encoder import ProjectedEncoders, ProjectionOptions
from medvlp.models import ImageFeatures, LabelCaptions, Temperature, TextFeatures, cosines
from medvlp.objectives import LabelGroups, ancestor_matrix, group_metric_loss, label_groups, word_token_mask

_PROMPTS = "hierarchy"


class KEEPOptions(ProjectionOptions):
    """Settings of `keep`, beside those of `ProjectionOptions`.

    Attributes:
        temperature: 1 / s.
        caption_rate: share of training reports that a sentence from labels stands in for.
        shortened_rate: share of training texts that lose words. dropped_words: share of the pieces that these lose.
        sharpness: of the zero-shot softmax.
    """

    temperature: FixedTemperature = 0.04
    caption_rate: Fraction = 0.5
    shortened_rate: Fraction = 0.5
    dropped_words: Fraction = 0.4
    sharpness: PositiveFloat = 10.0


@dataclass(frozen=True, kw_only=True)
class KEEPEncoded(Encoded):
    """Beside the images: the texts that are compared with them, and the groups of the batch."""

    text: TextFeatures
    groups: LabelGroups


@register_method("keep")
class KEEP(ProjectedEncoders):
    """Groups by disease; see the top of the file."""

    Options: ClassVar[type[Options]] = KEEPOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.REPORTS, BatchField.FINDINGS})
    options: KEEPOptions
    ancestors: Tensor

    def __init__(self, parts: MethodParts, options: KEEPOptions) -> None:
        super().__init__(parts, options, scale=Temperature(options.temperature, learnable=False))
        self.captions = LabelCaptions(
            parts.findings, parts.book, parts.tokenizer, parts.text_encoder.max_tokens, _PROMPTS
        )
        self.register_buffer("ancestors", ancestor_matrix(parts.findings), persistent=False)

    def encode(self, batch: Batch) -> KEEPEncoded:
        """The images, and reports; in training with captions in place of some, and some of their words dropped."""
        groups, read = label_groups(batch.findings, batch.report_mask.any(1), self.ancestors, self.ranks), batch
        if self.training:
            read = self._words_dropped(self._captioned(batch, groups.anchors))
        image, text = self.image_encoder(batch.images), self.text_encoder(read.report_tokens, read.report_mask)
        return KEEPEncoded(image, None if self.training else text, text=text, groups=groups)

    def losses(self, batch: Batch, encoded: KEEPEncoded) -> dict[str, Tensor]:
        image, text = self.image_head(encoded.image.global_), self.text_head(encoded.text.global_)
        both = [
            group_metric_loss(self.scale(cosines(rows, self.ranks.gather(columns))), encoded.groups, self.ranks)
            for rows, columns in ((image, text), (text, image))
        ]
        return {"groups": (both[0] + both[1]) / 2}

    def _captioned(self, batch: Batch, known: Tensor) -> Batch:
        """The batch with sentences from labels in place of some reports of images whose labels are known."""
        ids, mask = self.captions(batch.findings)
        wider, short = ids.shape[1] - batch.report_mask.shape[1], batch.report_mask.shape[1] - ids.shape[1]
        reports = F.pad(batch.report_tokens, (0, max(0, wider))), F.pad(batch.report_mask, (0, max(0, wider)))
        ids, mask = F.pad(ids, (0, max(0, short))), F.pad(mask, (0, max(0, short)))
        drawn = known & (torch.rand(len(ids), device=ids.device) < self.options.caption_rate)
        return replace(
            batch,
            report_tokens=torch.where(drawn[:, None], ids, reports[0]),
            report_mask=torch.where(drawn[:, None], mask, reports[1]),
        )

    def _words_dropped(self, batch: Batch) -> Batch:
        """The batch with some words of some texts left unread."""
        mask, o = batch.report_mask, self.options
        words = word_token_mask(batch.report_tokens, mask, self.tokenizer)
        some = torch.rand(len(mask), 1, device=mask.device) < o.shortened_rate
        dropped = words & some & (torch.rand(mask.shape, device=mask.device) < o.dropped_words)
        return replace(batch, report_mask=mask & ~dropped)

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        image = self.image_head(features.global_)
        trained = dict.fromkeys((*self.findings, NO_FINDING))
        logits = self.options.sharpness * cosines(image, self._classes(findings))
        classes = (self.options.sharpness * cosines(image, self._classes(tuple(trained)))).logsumexp(1, keepdim=True)
        is_class = torch.tensor([finding in trained for finding in findings], device=logits.device)
        return (logits - torch.where(is_class, classes, torch.logaddexp(classes, logits))).exp()

    def _classes(self, findings: Sequence[str]) -> Tensor:
        """Mean unit vectors `[F, dim]` of the templates of each finding."""
        prompts = PromptSet.load(_PROMPTS)
        templates = [prompts.prompts(finding, self.book).present for finding in findings]
        text = self.encode_texts([text for texts in templates for text in texts]).global_
        return F.normalize(
            torch.stack([part.mean(0) for part in text.split([len(texts) for texts in templates])]), dim=1
        )
