"""CLIP for radiographs: each image with its own report, against the other reports of the batch.

The idea (ConVIRT, Zhang et al., MLHC 2022; CLIP, Radford et al., ICML 2021; on impressions CheXzero, Tiu et al.,
Nat. BME 2022): with unit vectors v_b of images and t_b of reports,

    L = 1/2 mean_b H(T_b., softmax_c(s v_b t_c)) + 1/2 mean_c H(T_.c, softmax_b(s v_b t_c)),     s = exp(.) in [1, 100]

where T is the identity in the paper, and may join images whose reports are equal or agree (`false_negatives`).

Zero-shot: for each pair of templates ("{}", "no {}") the probability is softmax over the two scaled cosines, that is
sigmoid(s (v t+ - v t-)); the mean over pairs is returned. CheXzero leaves the scale out, which squeezes probabilities
into (0.12, 0.88) and, for more than one pair of templates, also changes the order of images.

Faithful: the loss, the learnt scale and its bound, linear heads, the prompt pair.
Departs: `false_negatives` (the default `same_text` takes equal reports as equal); an image without report is neither
right nor wrong for any text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from torch import Tensor

from medvlp.data.batch import Batch
from medvlp.methods.base import Method, MethodParts, Options
from medvlp.methods.registry import register
from medvlp.models.features import ImageFeatures, TextFeatures
from medvlp.models.projection import ProjectionHead
from medvlp.objectives.contrast import target_nce
from medvlp.objectives.ontology import ancestor_matrix
from medvlp.objectives.precision import cosines
from medvlp.objectives.targets import TargetKind, target_matrix
from medvlp.objectives.temperature import Temperature


class CLIPOptions(Options):
    """Settings of `clip`.

    Attributes:
        dim: width of the space in which images and reports are compared.
        false_negatives: target of the contrast; see `target_matrix`.
        image_weight: share of the direction image to text; ConVIRT has 0.75.
        prompts: pairs of templates for a finding that is present and absent.
    """

    dim: int = 128
    false_negatives: TargetKind = "same_text"
    image_weight: float = 0.5
    prompts: tuple[tuple[str, str], ...] = (("{}", "no {}"), ("there is {}.", "there is no {}."))


@register("clip")
class CLIP(Method):
    """Symmetric contrast of images and reports; see the top of the file."""

    Options: ClassVar[type[Options]] = CLIPOptions
    needs: ClassVar[frozenset[str]] = frozenset({"reports"})
    options: CLIPOptions
    ancestors: Tensor | None

    def __init__(self, parts: MethodParts, options: CLIPOptions) -> None:
        super().__init__(parts, options)
        self.image_head = ProjectionHead(parts.image_encoder.dim, options.dim)
        self.text_head = ProjectionHead(parts.text_encoder.dim, options.dim)
        self.scale = Temperature()
        ancestors = ancestor_matrix(parts.findings) if options.false_negatives == "ontology" else None
        self.register_buffer("ancestors", ancestors, persistent=False)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        image = self.image_head(self.image_encoder(batch.images).global_)
        text = self.text_head(self.text_encoder(batch.report_tokens, batch.report_mask).global_)
        target = target_matrix(
            self.options.false_negatives,
            text_group=batch.text_group,
            states=batch.findings,
            ancestors=self.ancestors,
            ranks=self.ranks,
        )
        has_report = batch.report_mask.any(1)
        valid = has_report[:, None] & self.ranks.gather(has_report)[None]
        logits = self.scale(cosines(image, self.ranks.gather(text)))
        return {"contrast": target_nce(logits, target, valid, self.options.image_weight, self.ranks)}

    def encode_images(self, images: Tensor) -> ImageFeatures:
        features = self.image_encoder(images)
        return replace(features, global_=self.image_head(features.global_), patches=self.image_head(features.patches))

    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        features = self.bank(texts)
        return replace(features, global_=self.text_head(features.global_), tokens=self.text_head(features.tokens))

    def score(self, images: Tensor, findings: Sequence[str]) -> Tensor:
        image = self.image_head(self.image_encoder(images).global_)
        names = [self.book.name_of(finding) for finding in findings]
        texts = [template.format(name) for pair in self.options.prompts for template in pair for name in names]
        text = self.encode_texts(texts).global_.unflatten(0, (len(self.options.prompts), 2, len(names)))
        present, absent = self.scale(cosines(image, text)).movedim(1, 0).split(1)
        return (present - absent).sigmoid().squeeze(0).mean(0)
