"""TCL's intra-modal terms as an auxiliary loss: two views of one image or report belong together, whole and part.

The idea (Yang et al., Vision-Language Pre-Training with Triple Contrastive Learning, CVPR 2022): to bring images and
texts together is not enough, since each modality has a structure of its own that the contrast between them may fold.
With g the features of an image or report, g' and l' the whole and the parts of its second view as momentum twins see
it, and Q a queue of earlier g',

    L_imc = mean_b - log exp(s g_b g'_b) / sum over g'_c of the batch and Q of exp(s g_b g')
    L_lmi = see `global_local_contrast`                                  L = 1/4 (L_imc + L_lmi, of images and of texts)

Faithful: both terms for both modalities, the momentum twins of encoders and heads, the queue, one scale, the mean.
Departs: it is added to another method, which brings its own contrast between modalities. The second view of an image
is made from the batch's own images on the device (`random_view`: no flip, since left is not right), and the method sees
the first as the loader made it. A twin has no dropout, so that the second view of a text differs from the first by the
twin's weights, and by the dropout of the tower where it has some. Equal reports are right for each other, and their
words no negatives. Patches are not pooled, and negatives of the local term come from all ranks.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from medvlp.data.augment import random_view
from medvlp.data.batch import Batch, BatchField
from medvlp.methods.auxiliary.base import AuxiliaryLoss, AuxiliaryOptions, register_auxiliary
from medvlp.methods.base import Encoded, Method, MethodParts
from medvlp.models import (
    FeatureQueue,
    ImageFeatures,
    MomentumEncoder,
    ProjectionHead,
    Temperature,
    TextFeatures,
    cosines,
    own_columns,
)
from medvlp.objectives import global_local_contrast, info_nce, row_hash

_NOBODY = -1  # group of what is no text: an image without report, and slots of the queue that are still empty


class TCLOptions(AuxiliaryOptions):
    """Settings of `tcl`.

    Attributes:
        dim: width of the space of each modality. decay: of the momentum twins.
        queue: earlier features that serve as negatives too: at least the images of a batch over all ranks, and far
            fewer than there are training images, since an image's own feature of the last epoch is no negative.
    """

    dim: PositiveInt = 128
    decay: float = Field(default=0.995, ge=0, lt=1)
    queue: PositiveInt = 256


@register_auxiliary("tcl")
class TCL(AuxiliaryLoss):
    """Intra-modal contrast; see the top of the file."""

    Options: ClassVar[type[AuxiliaryOptions]] = TCLOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.REPORTS})
    options: TCLOptions

    def __init__(self, parts: MethodParts, options: TCLOptions) -> None:
        super().__init__(parts, options)
        self.image_head = ProjectionHead(parts.image_encoder.dim, options.dim)
        self.text_head = ProjectionHead(parts.text_encoder.dim, options.dim)
        self.scale = Temperature()
        self.image_twin = MomentumEncoder(parts.image_encoder, options.decay)
        self.text_twin = MomentumEncoder(parts.text_encoder, options.decay)
        self.image_head_twin = MomentumEncoder(self.image_head, options.decay)
        self.text_head_twin = MomentumEncoder(self.text_head, options.decay)
        self.images, self.texts = FeatureQueue(options.queue, options.dim), FeatureQueue(options.queue, options.dim)
        self.special = (parts.tokenizer.cls_id, parts.tokenizer.sep_id)

    def update(self, method: Method) -> None:
        self.image_twin.update(method.image_encoder)
        self.text_twin.update(method.text_encoder)
        self.image_head_twin.update(self.image_head)
        self.text_head_twin.update(self.text_head)

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        assert encoded.report is not None
        terms = {**self._image_terms(batch, encoded.image), **self._text_terms(batch, encoded.report)}
        return {name: 0.25 * loss for name, loss in terms.items()}

    def _image_terms(self, batch: Batch, features: ImageFeatures) -> dict[str, Tensor]:
        images, query = batch.images, self.image_head(features.global_)
        with torch.no_grad():
            view = self.image_twin(random_view(images) if self.training else images)
            key, parts = self.image_head_twin(view.global_), self.image_head_twin(view.patches)
        keys = self.ranks.gather(key)
        own = own_columns(len(query), len(keys), self.ranks, query.device)
        target = F.pad(own, (0, len(self.images.filled)))
        valid = torch.cat([torch.ones_like(own[0]), self.images.filled]).expand_as(target)
        whole = self._against(query, keys, self.images, target, valid)
        row = torch.arange(len(query), device=query.device) + self.ranks.first_row(len(query))
        everything = torch.ones(parts.shape[:2], dtype=torch.bool, device=parts.device)
        if self.training:
            self.images.push(keys)
        local = global_local_contrast(query, parts, everything, row, self.scale.scale, self.ranks)
        return {"image": whole, "image_parts": local}

    def _text_terms(self, batch: Batch, features: TextFeatures) -> dict[str, Tensor]:
        has_report = batch.report_mask.any(1)
        query = self.text_head(features.global_)
        with torch.no_grad():
            view = self.text_twin(batch.report_tokens, batch.report_mask)
            key, parts = self.text_head_twin(view.global_), self.text_head_twin(view.tokens)
        group = row_hash(batch.report_tokens, batch.report_mask).masked_fill(~has_report, _NOBODY)
        keys, groups = self.ranks.gather(key), self.ranks.gather(group)
        every_group = torch.cat([groups, self.texts.groups])
        target = group[:, None] == every_group
        valid = has_report[:, None] & (every_group != _NOBODY)
        whole = self._against(query, keys, self.texts, target, valid)
        if self.training:
            self.texts.push(keys, groups)
        words = batch.report_mask
        for special in self.special:
            words = words & (batch.report_tokens != special)
        local = global_local_contrast(query, parts, words, group, self.scale.scale, self.ranks)
        return {"text": whole, "text_parts": local}

    def _against(self, query: Tensor, keys: Tensor, queue: FeatureQueue, target: Tensor, valid: Tensor) -> Tensor:
        """Queries against the keys of the batch and those of the queue, as rows."""
        columns = torch.cat([keys, queue.features.clone()])  # the queue is written over before the backward pass
        return info_nce(self.scale(cosines(query, columns)), target, valid, row_weight=1.0, ranks=self.ranks)
