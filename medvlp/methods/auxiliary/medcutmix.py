"""MedCutMix as an augmentation of any method: a disease moves from one patient to another, in both modalities.

The idea (Wang, Xie, Liu, Wu: MedCutMix, arXiv 2509.16673): pairs are few, and mixing images alone breaks their match
with the text. So a sentence of report j that states a disease joins report i, what contradicts it goes, and the image
features of i take on those of j where the sentence points:

    M = minmax_p softmax_p(k <s, p_jp>)        Z_i <- Z_i (1 - (1 - l) M) + Z_j (1 - l) M,      l uniform in `keep`

All losses then see mixed features with the mixed report, its sentences, labels and places. Pointing has to be learned:
sentences and patches have heads here, and a loss of their own on the images as they are,

    L = target contrast of 1/k log mean_p exp(k <s_n, p_bp>) / tau       (`patch_sentence_similarity`)

Reconstructed (no code was published): every formula, from the abstract and summaries of the paper; the constants.
Faithful: diagnostic sentences, the labels' algebra, attention of the pasted sentence to the partner's patches, mixing
of features instead of pixels.
Departs: features are mixed after the trunk and not at a layer drawn at random, so that any trunk will do. A sentence of
any partner of the batch may be drawn that brings a finding and contradicts none. The mixed report is a text of its own,
and the contrast's soft target for j's report is left out. Regions stay at their coordinates, so that "left" stays true.
In evaluation mode nothing is mixed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor
from torch.nn import functional as F

from medvlp.data.batch import Batch, BatchField
from medvlp.data.sentence_cutmix import Contradictions, PastedSentences, compatible_sentences, sentence_cutmix
from medvlp.knowledge import get_finding
from medvlp.methods.auxiliary.base import Augmentation, AugmentedBatch, AuxiliaryOptions, register_auxiliary
from medvlp.methods.base import Fraction, MethodParts
from medvlp.models import ImageFeatures, ProjectionHead, Temperature, TextEncoder
from medvlp.objectives import (
    SampledSentences,
    ancestor_matrix,
    attention_region,
    info_nce,
    manifold_mix,
    patch_sentence_similarity,
    row_hash,
    sample_sentences,
    sentence_targets,
)


class MedCutMixOptions(AuxiliaryOptions):
    """Settings of `medcutmix`.

    Attributes:
        share: of the images that are mixed, where a sentence fits. keep: l, drawn between the two.
        sentences: of each report that may be pasted and that teach what points. dim: width of their space.
    """

    share: Fraction = 0.5
    keep: tuple[Fraction, Fraction] = (0.0, 0.5)
    sentences: PositiveInt = 2
    dim: PositiveInt = 128


@register_auxiliary("medcutmix")
class MedCutMix(Augmentation):
    """Sentence CutMix with attention-guided manifold mix; see the top of the file."""

    Options: ClassVar[type[AuxiliaryOptions]] = MedCutMixOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset(
        {BatchField.REPORTS, BatchField.SENTENCES, BatchField.FINDINGS}
    )
    options: MedCutMixOptions
    is_a: Tensor
    normal: Tensor

    def __init__(self, parts: MethodParts, options: MedCutMixOptions) -> None:
        super().__init__(parts, options)
        self.patch_head = ProjectionHead(parts.image_encoder.dim, options.dim)
        self.sentence_head = ProjectionHead(parts.text_encoder.dim, options.dim)
        self.attention_scale, self.scale = Temperature(0.1), Temperature()
        self.pools_patches = parts.image_encoder.to_global is None
        self.special = (parts.tokenizer.cls_id, parts.tokenizer.sep_id)
        lineage = ancestor_matrix(parts.findings)
        self.register_buffer("is_a", (lineage[None] <= lineage[:, None]).all(2), persistent=False)
        normal = torch.tensor([get_finding(finding).kind == "normal" for finding in parts.findings])
        self.register_buffer("normal", normal, persistent=False)

    def augment(self, batch: Batch, text_encoder: TextEncoder) -> AugmentedBatch:
        """Paste into the reports that are drawn to be mixed a sentence that fits each; in evaluation mode into none."""
        tokens, mask, states = batch.sentence_tokens, batch.sentence_mask, batch.sentence_findings
        drawn = sample_sentences(tokens, mask, states, self.options.sentences, self.training, first="present")
        vectors = self.sentence_head(text_encoder(drawn.tokens, drawn.mask).global_)
        rules = Contradictions(self.is_a, self.normal, *self.special)
        chosen, mixed = self._choose(batch, drawn, rules)
        pasted = PastedSentences(
            drawn.tokens[chosen], drawn.mask[chosen], drawn.states[chosen], drawn.image_index[chosen], mixed
        )
        changed = sentence_cutmix(batch, pasted, rules, text_encoder.max_tokens)
        new_group = row_hash(changed.report_tokens, changed.report_mask)
        changed = replace(changed, text_group=torch.where(mixed, new_group, batch.text_group))
        least, most = self.options.keep
        strength = (1 - least - (most - least) * torch.rand(len(batch), device=mixed.device)) * mixed
        return _Mixed(self, batch, changed, drawn, vectors, chosen, strength)

    def _choose(self, batch: Batch, drawn: SampledSentences, rules: Contradictions) -> tuple[Tensor, Tensor]:
        """For each image a sentence `[B]` that fits it, and whether it is mixed, bool `[B]`."""
        fits = compatible_sentences(batch, drawn.states, drawn.image_index, rules) & drawn.exists
        drawn_value, chosen = torch.rand(fits.shape, device=fits.device).masked_fill(~fits, -1.0).max(1)
        wanted = torch.rand(len(batch), device=fits.device) < self.options.share
        return chosen, (drawn_value >= 0) & wanted & self.training


@dataclass
class _Mixed(AugmentedBatch):
    """One batch of MedCutMix."""

    mixer: MedCutMix
    before: Batch
    batch: Batch
    drawn: SampledSentences
    vectors: Tensor
    chosen: Tensor
    strength: Tensor
    _patches: Tensor | None = None

    def augment_features(self, features: ImageFeatures) -> ImageFeatures:
        """Patches, maps and global vector, mixed where the pasted sentence points in the image that it is of."""
        donor = self.drawn.image_index[self.chosen]
        self._patches = self.mixer.patch_head(features.patches)
        sharpness = self.mixer.attention_scale.scale
        region = attention_region(self.vectors[self.chosen], self._patches[donor], sharpness)
        share = self.strength[:, None] * region
        patches = manifold_mix(features.patches, features.patches[donor], share)
        if self.mixer.pools_patches:
            global_ = patches.mean(1)
        else:
            global_ = manifold_mix(features.global_, features.global_[donor], share.mean(1))
        on_grid = share.unflatten(1, features.grid)[:, None]
        pyramid = [
            torch.lerp(level, level[donor], F.interpolate(on_grid, size=level.shape[2:]).to(level.dtype))
            for level in features.pyramid
        ]
        return ImageFeatures(global_, patches, features.grid, pyramid)

    def losses(self) -> dict[str, Tensor]:
        """What teaches sentences to point: the images as they are, with the sentences that say what is there."""
        assert self._patches is not None  # the images are encoded before any loss
        ranks, drawn, has_report = self.mixer.ranks, self.drawn, self.before.report_mask.any(1)
        sharpness = self.mixer.attention_scale.scale
        similarity = patch_sentence_similarity(self._patches, ranks.gather(self.vectors), sharpness)
        states = drawn.states, self.before.findings, drawn.image_index, drawn.group
        target, valid = sentence_targets(*states, ranks=ranks, unmentioned="negative", has_report=has_report)
        counts = ranks.gather(drawn.has_present & drawn.exists)
        return {"pointing": info_nce(self.mixer.scale(similarity), target.float(), valid & counts, ranks=ranks)}
