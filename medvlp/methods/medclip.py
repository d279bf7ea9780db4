"""MedCLIP: an image is matched with every sentence that is true of it, whoever the sentence was written for.

The idea (Wang, Wu, Agarwal, Sun: MedCLIP: Contrastive learning from unpaired medical images and text, EMNLP 2022):
images have labels, sentences have labels, and what matches is decided by labels alone. So pairs are taken apart: any
image with labels and any sentence with labels train together, and a copy of the right sentence is no false negative.
With y in {1, 0, -1}^F (present, unknown, absent), v_b images and t_n sentences, unit vectors both,

    T_bn = softmax_n(cos(y_b, y_n) / tau)                          and the same over images for a sentence
    L    = 1/2 mean_b H(T_b., softmax_n(s v_b t_n)) + 1/2 mean_n H(T_.n, softmax_b(s v_b t_n)),  s = exp(.) in [1, 100]

less the entropies of T, which have no gradient: 0 is then the least, where v t says what the labels say.

Zero-shot: the cosines with several prompts of a class are averaged (a mean of cosines, not of probabilities), and the
probability is the softmax over presence and absence, scaled.

Faithful: the soft target in both directions, the pairs taken apart, the learned scale and its bound, the mean of
cosines.
Departs: a sentence is pooled as the recipe says (there by the mean of hidden states 1, 2 and last). T is the cosine of
the paper; the authors' code takes the product of labels, which grows with their number, and no temperature, which
leaves T nearly uniform (`target_temperature: 1` is that). Sentences are those of the batch, k of each report, instead
of an own draw from all. An image or sentence without any label is left out (there it is matched with all alike, or
counted as "no finding"). Presence is asked against absence, not against the other classes, so that an answer does not
depend on what else is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field, PositiveInt
from torch import Tensor

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.base import Encoded, EncodedSentences, Options, register_method
from medvlp.methods.dual_encoder import DualEncoder, PromptOptions
from medvlp.models import ImageFeatures, cosines
from medvlp.objectives import info_nce, label_affinity, sample_sentences, signed_labels


class MedCLIPOptions(PromptOptions):
    """Settings of `medclip`, beside those of `PromptOptions`.

    Attributes:
        sentences: sentences of each report in a step, those that state a finding first.
        target_temperature: tau, of the target. The smaller, the more of the mass goes to the texts that agree best.
    """

    sentences: PositiveInt = 3
    target_temperature: float = Field(default=0.2, ge=0.02)


@register_method("medclip")
class MedCLIP(DualEncoder):
    """Matching by labels; see the top of the file."""

    Options: ClassVar[type[Options]] = MedCLIPOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.SENTENCES, BatchField.FINDINGS})
    options: MedCLIPOptions

    def encode(self, batch: Batch) -> Encoded:
        """The images, and k sentences of each report."""
        sentences = batch.sentence_tokens, batch.sentence_mask, batch.sentence_findings
        drawn = sample_sentences(*sentences, self.options.sentences, shuffle=self.training)
        image = self.image_encoder(batch.images)
        return Encoded(image, sentences=EncodedSentences(self.text_encoder(drawn.tokens, drawn.mask), drawn))

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        assert encoded.sentences is not None
        drawn = encoded.sentences.sampled
        image = self.image_head(encoded.image.global_)
        text = self.text_head(encoded.sentences.features.global_)
        of_image = signed_labels(batch.findings)
        of_text = self.ranks.gather(signed_labels(drawn.states) * drawn.exists[:, None])
        target = label_affinity(of_image, of_text, self.options.target_temperature)
        known = (of_image != 0).any(1)[:, None] & (of_text != 0).any(1)[None]
        logits = self.scale(cosines(image, self.ranks.gather(text)))
        least = info_nce(target.log(), target, known, ranks=self.ranks)  # the entropy of T
        return {"matching": info_nce(logits, target, known, ranks=self.ranks) - least}

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        present, absent = self.scale(self.pair_cosines(features, findings)).mean(0)
        return (present - absent).sigmoid()
