"""MGCA: alignment at three levels: of an image with its report, of words with patches, and of both with prototypes.

The idea (Wang, Zhou, Wang, Vardhanabhuti, Yu: MGCA, NeurIPS 2022): a report and its image agree as a whole (instance),
in their parts (tokens), and in the kind of case that they are (prototypes, which many patients share). With unit
vectors v_b of images, t_b of reports, p_bp of patches, w_bt of words, and K prototypes C:

    L = L_ita + L_cta + L_cpa
    L_ita   target contrast of cos(v, t) / 0.07                                                  [B, B]
    L_cta   1/2 (words ask patches + patches ask words), in each image alone; for words:
            c_bt = norm( sum_p softmax_p(w_bt p_bp / 0.1) p_bp )
            mean_b sum_t g_bt 1/2 [ H(t, softmax_u w_bt c_bu / 0.1) + H(t, softmax_u w_bu c_bt / 0.1) ]     [T, T]
    L_cpa   1/2 [ H(q(C t_b), softmax(C v_b / 0.2)) + H(q(C v_b), softmax(C t_b / 0.2)) ],  q = Sinkhorn codes

Faithful: the three losses and their temperatures, 500 prototypes, codes without gradient, two-layer heads of width 128,
words as a whole instead of their pieces, weights g clipped between their 10th and 90th percentile.
Departs: g asks with the pooled vector, not with [CLS] in the last layer, and so in a ConvNet too, whose patches all
count alike there (see `token_weights`). Words are told from words alone (there from padding and [SEP] too), and are
means of their pieces (sums there). L_ita and L_cta are the means of their two directions (sums there; L_cpa is a mean
in both, so that `prototype_weight: 0.5` has the balance of their weights of 1). Heads have GELU and no batch norm, so
that a row does not depend on its neighbors. A report is pooled as the recipe says ([CLS] there). Prototypes learn from
the first step (frozen in the first epoch there). Equal reports are right for each other's images (`false_negatives`).
The temperature of L_ita starts at 0.07 and learns.

Zero-shot: the paper fine-tunes only; here the instance space is asked with pairs of prompts, as CLIP's.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from medvlp.data.batch import Batch
from medvlp.methods.base import Encoded, MethodParts, Options, register_method
from medvlp.methods.dual_encoder import DualEncoder, DualEncoderOptions, report_contrast
from medvlp.models import ImageFeatures, ProjectionHead, TextFeatures, WordPooling, cosines
from medvlp.objectives import swapped_prediction, token_alignment_loss, token_weights


class MGCAOptions(DualEncoderOptions):
    """Settings of `mgca`, beside those of `DualEncoderOptions`.

    Attributes:
        hidden: width of the hidden layer of all heads.
        prototypes: K.
        instance_weight, token_weight, prototype_weight: of the three losses; 0 leaves one out.
    """

    hidden: PositiveInt = 256
    prototypes: int = Field(default=500, ge=2)
    instance_weight: NonNegativeFloat = 1.0
    token_weight: NonNegativeFloat = 1.0
    prototype_weight: NonNegativeFloat = 1.0


@register_method("mgca")
class MGCA(DualEncoder):
    """Instances, tokens and prototypes; see the top of the file."""

    Options: ClassVar[type[Options]] = MGCAOptions
    options: MGCAOptions

    def __init__(self, parts: MethodParts, options: MGCAOptions) -> None:
        super().__init__(parts, options, hidden=options.hidden)
        self.patch_head = ProjectionHead(parts.image_encoder.dim, options.dim, options.hidden)
        self.word_head = ProjectionHead(parts.text_encoder.dim, options.dim, options.hidden)
        self.words = WordPooling(parts.tokenizer)
        self.prototypes = nn.Parameter(torch.randn(options.prototypes, options.dim))

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        o = self.options
        features, text = encoded.image, encoded.report
        assert text is not None
        image, report = self.image_head(features.global_), self.text_head(text.global_)
        losses = {}
        if o.instance_weight > 0:
            logits = self.report_logits(image, report)
            contrast = report_contrast(batch, logits, o.false_negatives, self.ancestors, ranks=self.ranks)
            losses["instance"] = o.instance_weight * contrast
        if o.token_weight > 0:
            losses["token"] = o.token_weight * self._token_contrast(batch, features, text)
        if o.prototype_weight > 0:
            bank = F.normalize(self.prototypes, dim=1)
            scores, has_report = (cosines(image, bank), cosines(report, bank)), batch.report_mask.any(1)
            losses["prototype"] = o.prototype_weight * swapped_prediction(*scores, valid=has_report, ranks=self.ranks)
        return losses

    def _token_contrast(self, batch: Batch, features: ImageFeatures, text: TextFeatures) -> Tensor:
        """L_cta."""
        words, mask = self.words(text.tokens, batch.report_tokens, batch.report_mask)
        everywhere = torch.ones_like(features.patches[..., 0], dtype=torch.bool)
        word_weights = token_weights(text.global_, words, mask)
        patch_weights = token_weights(features.global_, features.patches, everywhere)
        words, patches = self.word_head(words), self.patch_head(features.patches)
        by_word = token_alignment_loss(words, patches, mask, everywhere, word_weights, ranks=self.ranks)
        by_patch = token_alignment_loss(patches, words, everywhere, mask, patch_weights, ranks=self.ranks)
        return 0.5 * (by_word + by_patch)

    # ------------------------------------------------------------------------------------------------------------- use

    def project_patches(self, patches: Tensor) -> Tensor:
        return self.patch_head(patches)

    def project_tokens(self, tokens: Tensor) -> Tensor:
        return self.word_head(tokens)

    def heat_map_encoded(self, features: ImageFeatures, phrase: str) -> Tensor:
        """Where a phrase is, `[B, h, w]`: the mean over its words of their cosines with each patch."""
        ids, mask = self.tokenizer([phrase], max_length=self.text_encoder.max_tokens)
        device = self.words.continues.device
        words, found = self.words(self.bank([phrase]).tokens, ids.to(device), mask.to(device))
        cosine = cosines(self.patch_head(features.patches), self.word_head(words[0]))  # [B, P, T]
        return ((cosine * found).sum(2) / found.sum().clamp_min(1)).unflatten(1, features.grid)
