"""ConceptCLIP: each pair of image and report is a yes or no, and each concept of a report is in some patch.

The idea (Nie et al.: An Explainable Biomedical Foundation Model via Large-Scale Concept-Enhanced Vision-Language
Pre-training, arXiv 2501.15579, 2025): a report is right or wrong for an image as a whole (IT-Align, the loss of
SigLIP), and the findings that it names are somewhere in it (PC-Align). With unit vectors v_b of images, t_c of reports,
p_bi of patches, and k_n the mean over the tokens of the n-th span that names a finding,

    L = -1/B sum_bc log sigmoid(y_bc (s v_b t_c + a)) - w 1/N sum_bn log sigmoid(z_bn (s' max_i p_bi k_n + a'))

    y, z = +1 for a positive and -1 for a negative,  s, s' start at 10 and a, a' at -10,  w = 0.5

Zero-shot: half the answer of prompt pairs, sigmoid(s (v t+ - v t-)), in which a cancels; and half that of PC-Align,
that the concept of the finding's name is in some patch, sigmoid(s' max_i p_i k + a'). Heat maps are p_i k. Where
`region_weight` is 0 nothing has taught the patches, and prompts alone answer.

Faithful: both losses with their own scales and starts, what each is divided by, concept vectors from the text tower's
last tokens, the weight. `region_weight: 0` is the paper's first stage, and what is trained with it can be gone on with.
Departs: a concept is a positive of every image whose report affirms it, and y joins equal reports (`false_negatives`);
the authors have their own image alone. Concepts are the findings that the parser reads, not UMLS terms: affirmed ones
only, since a denied one has no place, and up to `concepts` of each report are drawn at a step. Spans beyond the last
token are left out (the authors move them to the last token). Patches and concepts have linear heads, since the towers
differ in width. The authors ask classes by prompts alone (`region_share: 0`), and concepts by the image and by
the mean over patches, half each; here the best patch answers, as it was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, NonPositiveFloat, PositiveInt
from torch import Tensor

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.base import Encoded, Fraction, MethodParts, Options, register_method
from medvlp.methods.dual_encoder import DualEncoder, DualEncoderOptions, report_pair_mask
from medvlp.models import ImageFeatures, ProjectionHead, SigmoidScale, TextFeatures, cosines, mean_over_ranks, span_mean
from medvlp.objectives import concept_targets, sample_concepts, sigmoid_contrast, target_matrix, top_patch_similarity


class ConceptCLIPOptions(DualEncoderOptions):
    """Settings of `conceptclip`, beside those of `DualEncoderOptions`.

    Attributes:
        region_weight: w; 0 leaves the concepts out.
        concepts: of each report, drawn at a step.
        start_bias: a and a' at the start. The paper's is for thousands of pairs in a row.
        region_share: part of the patches in zero-shot.

    Of graded `false_negatives` (`ontology`), what agrees by half or more is right: a pair is a yes or a no here.
    """

    region_weight: NonNegativeFloat = 0.5
    concepts: PositiveInt = 8
    start_bias: NonPositiveFloat = -10.0
    region_share: Fraction = 0.5


@register_method("conceptclip")
class ConceptCLIP(DualEncoder):
    """Sigmoid contrast of images with reports and of patches with concepts; see the top of the file."""

    Options: ClassVar[type[Options]] = ConceptCLIPOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.REPORTS, BatchField.CONCEPTS})
    options: ConceptCLIPOptions

    def __init__(self, parts: MethodParts, options: ConceptCLIPOptions) -> None:
        super().__init__(parts, options, scale=SigmoidScale(bias=options.start_bias))
        self.patch_head = ProjectionHead(parts.image_encoder.dim, options.dim)
        self.concept_head = ProjectionHead(parts.text_encoder.dim, options.dim)
        self.region_scale = SigmoidScale(bias=options.start_bias)

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        o = self.options
        features, report = encoded.image, encoded.report
        assert report is not None
        terms = {"report": self._report_contrast(batch, features, report)}
        if o.region_weight > 0:
            terms["region"] = o.region_weight * self._region_contrast(batch, features, report)
        return terms

    def _report_contrast(self, batch: Batch, features: ImageFeatures, report: TextFeatures) -> Tensor:
        """IT-Align, a sum over reports and a mean over images."""
        logits = self.report_logits(self.image_head(features.global_), self.text_head(report.global_))
        target = target_matrix(
            self.options.false_negatives,
            text_group=batch.text_group,
            states=batch.findings,
            ancestors=self.ancestors,
            ranks=self.ranks,
        )
        count = mean_over_ranks(batch.report_mask.any(1).float().sum(), self.ranks)
        return sigmoid_contrast(logits, target >= 0.5, report_pair_mask(batch, self.ranks), count)

    def _region_contrast(self, batch: Batch, features: ImageFeatures, report: TextFeatures) -> Tensor:
        """PC-Align, a sum over images and a mean over concepts: own images, and the concepts of all ranks."""
        if batch.concepts is None:
            raise ValueError("conceptclip reads Batch.concepts; a BatchLoader makes them with concepts=True")
        has_report = batch.report_mask.any(1)
        drawn = sample_concepts(batch.concepts, self.options.concepts, self.training)
        drawn = torch.where(has_report[:, None, None], drawn, drawn.new_tensor((0, 0, -1, -1)))
        vectors = self.concept_head(span_mean(report.tokens, drawn[..., 0], drawn[..., 1]))
        concept_ids = self.ranks.gather(drawn[..., 2].flatten())
        patches, concepts = self.patch_head(features.patches), self.ranks.gather(vectors.flatten(0, 1))
        target, valid = concept_targets(batch.concepts, concept_ids, has_report)
        count = mean_over_ranks((drawn[..., 2] >= 0).float().sum(), self.ranks)
        return sigmoid_contrast(self.region_scale(top_patch_similarity(patches, concepts)), target, valid, count)

    def concept_vectors(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors `[N, dim]` of phrases: each a span of all its tokens but [CLS] and [SEP]."""
        features = self.bank(texts)
        end = features.mask.sum(1, keepdim=True) - 1
        return self.concept_head(span_mean(features.tokens, torch.ones_like(end), end)[:, 0])

    def project_patches(self, patches: Tensor) -> Tensor:
        return self.patch_head(patches)

    def project_tokens(self, tokens: Tensor) -> Tensor:
        return self.concept_head(tokens)

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        """As in `Method`: prompts and patches together, see the top of the file."""
        features, share = self.project_images(features), self.options.region_share * (self.options.region_weight > 0)
        concepts = self.concept_vectors([self.book.name_of(finding) for finding in findings])
        region = self.region_scale(top_patch_similarity(features.patches, concepts)).sigmoid()
        return (1 - share) * self.pair_probability(self.prompt_cosines(features.global_, findings)) + share * region

    def heat_map_encoded(self, features: ImageFeatures, phrase: str) -> Tensor:
        """As in `Method`: the cosine of each patch with the phrase as a concept."""
        features = self.project_images(features)
        return cosines(features.patches, self.concept_vectors([phrase]))[..., 0].unflatten(1, features.grid)
