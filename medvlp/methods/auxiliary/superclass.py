"""SuperClass as an auxiliary loss: the words of the report are the classes of the image.

The idea (Huang et al., Classification Done Right for Vision-Language Pre-Training, NeurIPS 2024): no text tower and no
large batch is needed where the raw tokens of a text are classification labels. With x_bc = 1 where report b holds the
vocabulary's entry c,

    L = mean_b [ - sum_c y_bc log softmax_c(W v_b)_c ],  y_bc = w_c x_bc / sum_c' w_c' x_bc',  w_c = log((1+N)/(1+n_c))

Faithful: tokens as they are, none filtered but the special ones; one softmax with shares as its target; the inverse
document frequency, counted as training goes.
Departs: it is added to another method. Counts are of texts, where the paper's code counts batches, which is the same
weight for batches of one size. Images without report are left out.

It reads token ids and no text features, so that methods without a text tower may have it too.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.auxiliary.base import AuxiliaryLoss, AuxiliaryOptions, register_auxiliary
from medvlp.methods.base import Encoded, MethodParts
from medvlp.models import DocumentFrequency
from medvlp.objectives import bag_cross_entropy, bag_of_words


@register_auxiliary("superclass")
class SuperClass(AuxiliaryLoss):
    """Words as classes; see the top of the file."""

    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.REPORTS})
    reads_text: ClassVar[bool] = False

    def __init__(self, parts: MethodParts, options: AuxiliaryOptions) -> None:
        super().__init__(parts, options)
        self.vocabulary = parts.tokenizer.vocab_size
        words = parts.tokenizer
        self.special = (words.pad_id, words.unk_id, words.cls_id, words.sep_id, words.mask_id)
        self.classes = nn.Linear(parts.image_encoder.dim, self.vocabulary)
        self.frequency = DocumentFrequency(self.vocabulary)

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        words = batch.report_mask
        for special in self.special:
            words = words & (batch.report_tokens != special)
        bag = bag_of_words(batch.report_tokens, words, self.vocabulary)
        if self.training:
            self.frequency.count(bag, self.ranks)
        loss = bag_cross_entropy(self.classes(encoded.image.global_), bag * self.frequency(), self.ranks)
        return {"words": loss}
