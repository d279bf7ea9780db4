"""BioViL: global contrast, a text tower that keeps learning words, sentences in any order, and grounding by cosine.

The idea (Boecking et al.: Making the most of text semantics to improve biomedical vision-language processing, ECCV
2022): most is gained on the side of the text. A language model of radiology (CXR-BERT) is joined with the images in a
space of 128, and goes on with masked language modeling, so that it does not forget; reports are read with their
sentences shuffled, since their order says little:

    L = L_gc + a L_mlm
    L_gc   1/2 mean_b H(T_b., softmax_c(v_b t_c / tau)) + the same over columns,   tau = 0.5, not learned
    L_mlm  -mean over hidden tokens of log p(token | the text around it),          15 % of the words are hidden

v = norm( mean_p h(x_p) ) and t behind perceptrons with one hidden layer: an image is the mean of its projected patches
h(x_p), so that each of these can be compared with a phrase although nothing local was trained.

Zero-shot: several statements for and against a finding are encoded and averaged *before* they are normalized; the
probability is the softmax of the two cosines over tau. Grounding: cosine of a phrase with each patch, smoothed by a
Gaussian of 1.5 of 15 patches.

Faithful (inference code of hi-ml was read): joint width, the mean over projected patches, averaging of prompts before
the norm, patch cosines, smoothing. From memory of the paper: tau, masked language modeling, shuffling.
Reconstructed: a, and that the contrast reads the whole text and a second pass the text with hidden words.
Departs: T may join equal reports (`false_negatives`; the identity in the paper). Heads have GELU and no norm inside
(there ReLU and batch norm for images, GELU and layer norm for texts). `image_encoder.pool` has no influence. Sentences
are shuffled over the whole report, not within its sections, and what is cut off a sentence (`data.max_sentence_tokens`)
is not read. CXR-BERT's own pretraining (its vocabulary, and matching of findings with impression) is what its weights
bring, or absent from a text tower that starts from nothing. With a frozen text tower L_mlm is left out. Statements for
and against are our own; an image without report is neither right nor wrong for any text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from medvlp.data.batch import Batch
from medvlp.methods.base import Encoded, FixedTemperature, MethodParts, Options, PromptPairs, register_method
from medvlp.methods.dual_encoder import DualEncoder, DualEncoderOptions, report_contrast
from medvlp.models import (
    ImageFeatures,
    MaskedTokenHead,
    ReportTokenizer,
    Temperature,
    TextFeatures,
    cosines,
    gaussian_smooth,
)
from medvlp.objectives import MaskedTokens, join_sentences, mask_tokens, masked_token_loss, word_token_mask


class BioViLOptions(DualEncoderOptions):
    """Settings of `biovil`, beside those of `DualEncoderOptions`.

    Attributes:
        hidden: width of the hidden layer of both heads.
        temperature: tau.
        masked_weight: a, of masked language modeling; 0 leaves it out. masked_rate: share of words that are hidden.
        shuffle: read the sentences of a training report in any order.
        smoothing: of heat maps, sigma as a share of the grid's longer side; 0 shows the cosines as they are.
    """

    hidden: PositiveInt = 128
    temperature: FixedTemperature = 0.5
    masked_weight: NonNegativeFloat = 0.1
    masked_rate: float = Field(default=0.15, gt=0, le=1)
    shuffle: bool = True
    smoothing: NonNegativeFloat = 0.1
    prompts: PromptPairs = (
        ("findings consistent with {}.", "no evidence of {}."),
        ("there is {}.", "there is no {}."),
        ("{} is seen.", "no {} is seen."),
    )


@dataclass(frozen=True, kw_only=True)
class BioViLEncoded(Encoded):
    """Beside the images: the reports, in training with shuffled sentences, and again with masked words."""

    text: TextFeatures
    masked: MaskedTokens | None = None
    masked_text: TextFeatures | None = None


@register_method("biovil")
class BioViL(DualEncoder):
    """Global contrast beside masked language modeling; see the top of the file."""

    Options: ClassVar[type[Options]] = BioViLOptions
    options: BioViLOptions
    masked_head: MaskedTokenHead | None

    def __init__(self, parts: MethodParts, options: BioViLOptions) -> None:
        super().__init__(parts, options, options.hidden, Temperature(options.temperature, learnable=False))
        text = parts.text_encoder
        learns_words = options.masked_weight > 0 and not text.frozen
        vocab_size = len(text.network.get_input_embeddings().weight)
        self.masked_head = MaskedTokenHead(text.dim, vocab_size) if learns_words else None

    def encode(self, batch: Batch) -> BioViLEncoded:
        """The images, the texts, and the texts with masked words."""
        shuffle = self.options.shuffle and self.training
        read = shuffle_sentences(batch, self.tokenizer) if shuffle else batch
        image, text = self.image_encoder(batch.images), self.text_encoder(read.report_tokens, read.report_mask)
        report = None if shuffle else text
        if self.masked_head is None:
            return BioViLEncoded(image, report, text=text)
        masked = self._mask_words(read)
        masked_text = self.text_encoder(masked.ids, read.report_mask)
        return BioViLEncoded(image, report, text=text, masked=masked, masked_text=masked_text)

    def losses(self, batch: Batch, encoded: BioViLEncoded) -> dict[str, Tensor]:
        o = self.options
        image = self.project_images(encoded.image).global_
        logits = self.report_logits(image, self.text_head(encoded.text.global_))
        contrast = report_contrast(batch, logits, o.false_negatives, self.ancestors, ranks=self.ranks)
        if self.masked_head is None:
            return {"contrast": contrast}
        masked, read = encoded.masked, encoded.masked_text
        assert masked is not None
        assert read is not None
        weight = self.text_encoder.network.get_input_embeddings().weight
        logits = self.masked_head(read.tokens, masked.position, weight)
        masked_words = masked_token_loss(logits, masked.labels, masked.valid, self.ranks)
        return {"contrast": contrast, "masked_words": o.masked_weight * masked_words}

    def _mask_words(self, batch: Batch) -> MaskedTokens:
        ids, tokens = batch.report_tokens, self.tokenizer
        words = word_token_mask(ids, batch.report_mask, tokens)
        return mask_tokens(ids, words, tokens.mask_id, tokens.vocab_size, self.options.masked_rate, self.training)

    def project_images(self, features: ImageFeatures) -> ImageFeatures:
        """`patches` are projected one by one, and `global_` is the direction of their mean before the norm."""
        patches = self.image_head.layers(features.patches).float()
        return replace(features, global_=F.normalize(patches.mean(1), dim=-1), patches=F.normalize(patches, dim=-1))

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        image = self.project_images(features).global_
        prompts = self.text_head.layers(self.bank(self.prompt_texts(findings)).global_)
        statements = prompts.float().unflatten(0, (len(self.options.prompts), 2, len(findings)))
        present, absent = self.scale(cosines(image, F.normalize(statements.mean(0), dim=-1)))
        return (present - absent).sigmoid()

    def heat_map_encoded(self, features: ImageFeatures, phrase: str) -> Tensor:
        """Where a phrase is, `[B, h, w]`: its cosine with each patch, smoothed."""
        maps = super().heat_map_encoded(features, phrase)
        return gaussian_smooth(maps, self.options.smoothing * max(maps.shape[-2:]))


def shuffle_sentences(batch: Batch, tokenizer: ReportTokenizer) -> Batch:
    """The batch with the sentences of each report in any order; a report without sentences stays as it is."""
    sentences, mask = batch.sentence_tokens, batch.sentence_mask
    order = torch.rand(sentences.shape[:2], device=sentences.device).argsort(1)
    ids, mask = join_sentences(sentences, mask, order, batch.report_tokens.shape[1], tokenizer)
    shuffled = (mask.any(1) & batch.report_mask.any(1))[:, None]
    return replace(
        batch,
        report_tokens=torch.where(shuffled, ids, batch.report_tokens),
        report_mask=torch.where(shuffled, mask, batch.report_mask),
    )
