"""GLoRIA: an image and a sentence agree as a whole, and word by word with the patches that each word looks at.

The idea (Huang, Shen, Lungren, Yeung: GLoRIA, ICCV 2021): a report speaks of small parts of an image, which a single
vector loses. With v_b an image, p_bp its patches, t_n a sentence, w_nt its words, and T which sentence is right:

    L = L_global + L_local
    L_global   target contrast of 10 cos(v_b, t_n)                                              [B, B]
    L_local    target contrast of 10 log sum_t exp( 5 cos(c_bnt, w_nt) )                        [B, B]
               c_bnt = sum_p softmax_p( 4 softmax_t 10 cos(p_bp, w_nt) ) p_bp

Faithful: both losses, their four fixed factors, equal weights, linear heads, words as a whole instead of their pieces,
one sentence of each report drawn at each step.
Departs: the inner softmax reads 10 cosines; there it reads products of vectors of any length (`attention_sharpness:
null`). On towers from nothing these grow to 230 within 300 steps, one word takes each patch whole, no gradient is left,
and all words look everywhere alike. The sentence is drawn among those that state a finding first. Words are means of
their pieces (sums there), of the encoder's last layer (the last four there), and [CLS] and [SEP] are no words. A
sentence is pooled as the recipe says (there by the mean of all places, padding among them). T may join sentences that
are equal, or those of images that show the same (`false_negatives`). Directions are averaged (summed there). Patches
are those of the recipe's encoder (layer 3 of a ResNet-50 at 299 pixels there). A heat map is the mean cosine of a
phrase's words with each patch: of a phrase of one word the inner softmax is 1 everywhere, so that attention says
nothing of it.

Zero-shot: the similarity of an image and a prompt is the mean of the global cosine and of the soft maximum over words
(1/5) log mean_t exp(5 cos), both in [-1, 1]; the probability is the softmax over a pair of prompts with the factor 10,
and the mean over pairs is returned. There the local one is 5 times the largest cosine of a word, prompts are drawn per
class, and scores are standardized over the test batch, which makes an answer depend on its neighbors; a pair needs
neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.base import Encoded, EncodedSentences, MethodParts, Options, register_method
from medvlp.methods.dual_encoder import DualEncoder, DualEncoderOptions
from medvlp.models import ImageFeatures, Temperature, TextFeatures, WordPooling, cosines
from medvlp.objectives import SampledSentences, info_nce, sample_sentences, target_matrix, word_patch_similarity

_SCALE, _WORDS = 10.0, 5.0  # of both contrasts, and of a word's cosine


class GLoRIAOptions(DualEncoderOptions):
    """Settings of `gloria`, beside those of `DualEncoderOptions`.

    Attributes:
        local_dim: width of the space in which words are compared with patches.
        read: what an image is compared with: one `sentence` of its report, or the whole `report`.
        global_weight, local_weight: of the two losses; 0 leaves one out.
        attention_sharpness: factor of the cosines of words and patches in the inner softmax; None takes the products of
            vectors of any length, as the paper does.
        chunk: images that the words of all texts look at at a time; see `word_patch_similarity`.
    """

    local_dim: PositiveInt = 128
    read: Literal["sentence", "report"] = "sentence"
    global_weight: NonNegativeFloat = 1.0
    local_weight: NonNegativeFloat = 1.0
    attention_sharpness: PositiveFloat | None = 10.0
    chunk: PositiveInt | None = None


@register_method("gloria")
class GLoRIA(DualEncoder):
    """Global and local contrast; see the top of the file."""

    Options: ClassVar[type[Options]] = GLoRIAOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.REPORTS, BatchField.SENTENCES})
    options: GLoRIAOptions

    def __init__(self, parts: MethodParts, options: GLoRIAOptions) -> None:
        super().__init__(parts, options, scale=Temperature(1 / _SCALE, learnable=False))
        self.patch_head = nn.Linear(parts.image_encoder.dim, options.local_dim)
        self.word_head = nn.Linear(parts.text_encoder.dim, options.local_dim)
        self.words = WordPooling(parts.tokenizer)

    def encode(self, batch: Batch) -> Encoded:
        """The images, and one text of each."""
        image, read = self.image_encoder(batch.images), self._texts(batch)
        text = self.text_encoder(read.tokens, read.mask)
        report = text if self.options.read == "report" else None
        return Encoded(image, report, EncodedSentences(text, read))

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        o, features = self.options, encoded.image
        assert encoded.sentences is not None
        text, read = encoded.sentences.features, encoded.sentences.sampled
        target = target_matrix(
            o.false_negatives, text_group=read.group, states=batch.findings, ancestors=self.ancestors, ranks=self.ranks
        )
        valid = read.exists[:, None] & self.ranks.gather(read.exists)[None]
        losses = {}
        if o.global_weight > 0:
            logits = self.report_logits(self.image_head(features.global_), self.text_head(text.global_))
            losses["global"] = o.global_weight * info_nce(logits, target, valid, ranks=self.ranks)
        if o.local_weight > 0:
            words, mask = self._words(text, read.tokens, read.mask)
            patches = self.ranks.gather(self.project_patches(features.patches))  # texts of ranks differ in length
            logits = word_patch_similarity(patches, words, mask, word_sharpness=_WORDS, scale=_SCALE, chunk=o.chunk).t()
            losses["local"] = o.local_weight * info_nce(logits, target, valid, ranks=self.ranks)
        return losses

    def _texts(self, batch: Batch) -> SampledSentences:
        """One text of each image."""
        if self.options.read == "sentence":
            tokens, mask, states = batch.sentence_tokens, batch.sentence_mask, batch.sentence_findings
            return sample_sentences(tokens, mask, states, k=1, shuffle=self.training)
        own = torch.arange(len(batch), device=batch.images.device)
        return SampledSentences(batch.report_tokens, batch.report_mask, batch.findings, own, batch.text_group)

    def _words(self, text: TextFeatures, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Words of encoded texts in the local space `[N, T, local_dim]`, and their mask."""
        words, word_mask = self.words(text.tokens, ids, mask)
        return self.project_tokens(words), word_mask

    def _normalize(self, x: Tensor) -> Tensor:
        """Patches or words at the length at which their products are cosines times the sharpness."""
        sharpness = self.options.attention_sharpness
        return x if sharpness is None else F.normalize(x.float(), dim=-1) * sharpness**0.5

    def _phrases(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        ids, mask = self.tokenizer(texts, max_length=self.text_encoder.max_tokens)
        device = self.words.continues.device
        return self._words(self.bank(texts), ids.to(device), mask.to(device))

    # ------------------------------------------------------------------------------------------------------------- use

    def project_patches(self, patches: Tensor) -> Tensor:
        """Patches in the local space."""
        return self._normalize(self.patch_head(patches))

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """Word pieces in the local space."""
        return self._normalize(self.word_head(tokens))

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        """As in `Method`, by pairs of prompts that are compared as wholes and as words; see the top of the file."""
        image = self.project_images(features)
        pairs = self.options.prompts
        texts = self.prompt_texts(findings)
        words, mask = self._phrases(texts)
        local = word_patch_similarity(image.patches, words, mask, word_sharpness=_WORDS, scale=1.0)
        local = (local - mask.sum(1).log()) / _WORDS
        both = 0.5 * (cosines(image.global_, self.encode_texts(texts).global_) + local)
        present, absent = self.scale(both).unflatten(1, (len(pairs), 2, len(findings))).unbind(2)
        return (present - absent).sigmoid().mean(1)

    def heat_map_encoded(self, features: ImageFeatures, phrase: str) -> Tensor:
        """Where a phrase is, `[B, h, w]`: the mean over its words of their cosines with each patch."""
        features = self.project_images(features)
        words, found = self._phrases([phrase])
        cosine = cosines(F.normalize(features.patches, dim=-1), F.normalize(words[0], dim=-1))  # [B, P, T]
        return ((cosine * found).sum(2) / found.sum().clamp_min(1)).unflatten(1, features.grid)
