"""ConVIRT: an image finds one sentence of its report, drawn anew at each step.

The idea (Zhang, Jiang, Miura, Manning, Langlotz: Contrastive learning of medical visual representations from paired
images and text, MLHC 2022; the ancestor of CLIP): with unit vectors v_b of images and t_b of the sentence drawn for b,
both behind a perceptron with one hidden layer,

    L = w mean_b H(T_b., softmax_c(v_b t_c / tau)) + (1 - w) mean_c H(T_.c, softmax_b(v_b t_c / tau))
    w = 0.75 for image to text, tau = 0.1, not learned

where T is the identity in the paper. A sentence such as "No pneumothorax." stands in half of all reports, so that here
T is 1 for equal sentences too (`false_negatives`).

Zero-shot: not in the paper, which goes on to linear probes and retrieval; here that of `DualEncoder`.

Faithful: the loss, its weight and temperature (from memory of the paper; MGCA, whose code was read, has 0.07
and weighs both directions alike), the heads, a sentence drawn uniformly from the report.
Departs: T; heads with GELU for ReLU (and without the batch norm that MGCA gives them); the text tower pools as the
recipe says (the paper takes the maximum over tokens, and freezes the first six layers); images are never flipped and
not blurred; a report without sentences is neither right nor wrong for any image. Where nothing is trained, the first
sentence is taken, so that a validation can be repeated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import PositiveInt
from torch import Tensor

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.base import (
    Encoded,
    EncodedSentences,
    FixedTemperature,
    Fraction,
    MethodParts,
    Options,
    register_method,
)
from medvlp.methods.dual_encoder import DualEncoder, DualEncoderOptions, report_contrast
from medvlp.models import Temperature
from medvlp.objectives import SampledSentences, sample_sentences


class ConVIRTOptions(DualEncoderOptions):
    """Settings of `convirt`, beside those of `DualEncoderOptions`.

    Attributes:
        hidden: width of the hidden layer of both heads.
        image_weight: w, share of the direction image to text.
        temperature: tau.
    """

    hidden: PositiveInt = 256
    image_weight: Fraction = 0.75
    temperature: FixedTemperature = 0.1


@register_method("convirt")
class ConVIRT(DualEncoder):
    """Contrast of images with a sentence of each report; see the top of the file."""

    Options: ClassVar[type[Options]] = ConVIRTOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.REPORTS, BatchField.SENTENCES})
    options: ConVIRTOptions

    def __init__(self, parts: MethodParts, options: ConVIRTOptions) -> None:
        super().__init__(parts, options, options.hidden, Temperature(options.temperature, learnable=False))

    def encode(self, batch: Batch) -> Encoded:
        """The images, and one sentence of each report."""
        sentence = one_sentence(batch, shuffle=self.training)
        image = self.image_encoder(batch.images)
        return Encoded(image, sentences=EncodedSentences(self.text_encoder(sentence.tokens, sentence.mask), sentence))

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        o = self.options
        assert encoded.sentences is not None
        image, text = self.image_head(encoded.image.global_), self.text_head(encoded.sentences.features.global_)
        logits = self.report_logits(image, text)
        batch = with_sentence(batch, encoded.sentences.sampled)
        loss = report_contrast(batch, logits, o.false_negatives, self.ancestors, o.image_weight, self.ranks)
        return {"contrast": loss}


def one_sentence(batch: Batch, shuffle: bool) -> SampledSentences:
    """One sentence of each report: drawn uniformly, or the first one."""
    sentences = batch.sentence_tokens, batch.sentence_mask, batch.sentence_findings
    return sample_sentences(*sentences, 1, shuffle, first="any")


def with_sentence(batch: Batch, sentence: SampledSentences) -> Batch:
    """The batch with one sentence of each report in place of the report."""
    return replace(batch, report_tokens=sentence.tokens, report_mask=sentence.mask, text_group=sentence.group)
