"""MedKLIP: a report becomes triples (finding, place, presence), and findings become queries.

The idea (Wu, Zhang, Zhang, Wang, Xie: MedKLIP: Medical knowledge enhanced language-image pre-training for X-ray
diagnosis, ICCV 2023): raw reports are noisy supervision, so only what they state is kept, which finding is there and
where. A finding is not a column of a classifier but a question, asked by its definition.

    L = L_presence + L_place

With q_e the definition of finding e as a query, p_b the patches of image b, C_l the sentence of place l ("It is located
at the left lower lobe."), and y, A the states of findings and of finding x place:

    o_be        = decoder(q_e; M(p_b))
    L_presence    BCE of w o_be + c where y_be is known
    L_place       cross-entropy of <U o_be, C_+> against <U o_be, C_j> of k = 7 other places, drawn, neither normalized
                  nor scaled; mean over the findings that have a place

Faithful: both terms and their weights, definitions as queries, the perceptron M, places as texts and 7 wrong ones drawn
among those not marked as present, no gradient where nothing is known.
Departs: two logits and their softmax are one logit and its sigmoid, which is the same. Queries do not see each other,
keys carry the position of their patch, texts are centered (see `QueryNetwork` for each). The text tower learns (the
paper freezes Bio_ClinicalBERT; `text_encoder.freeze` does that here). Findings are those of the recipe, not 75 words of
reports, and their definitions our own. What a report leaves unmentioned counts as absent (`unmentioned: ignore` is the
paper). L_place is the mean over a finding's true places, where the paper draws one, and a place in doubt is not drawn
as wrong. The decoder is half as deep and wide (4 layers of 256 in the paper), and its perceptrons have twice its width
(four times in the paper).

Zero-shot: any finding of the book, trained on or not, is asked by its definition: score = sigmoid(w o + c).
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.base import Encoded, MethodParts, Options, register_method
from medvlp.methods.query_network import QueryNetwork, QueryOptions, patch_perceptron, require_places
from medvlp.models import cosines, place_features
from medvlp.objectives import place_contrast


class MedKLIPOptions(QueryOptions):
    """Settings of `medklip`, beside those of `QueryOptions`.

    Attributes:
        facet: facet of the book that asks for a finding.
        negatives: wrong places against which a true one is held.
        presence_weight, place_weight: of the two losses.
    """

    facet: str = "definition"
    negatives: PositiveInt = 7
    presence_weight: NonNegativeFloat = 1.0
    place_weight: NonNegativeFloat = 1.0


@register_method("medklip")
class MedKLIP(QueryNetwork):
    """Triples and a query decoder; see the top of the file."""

    Options: ClassVar[type[Options]] = MedKLIPOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.FINDINGS, BatchField.PLACES})
    options: MedKLIPOptions

    def __init__(self, parts: MethodParts, options: MedKLIPOptions) -> None:
        width, text_dim = options.decoder_width, parts.text_encoder.dim
        super().__init__(parts, options, patch_perceptron(parts.image_encoder.dim, width), text_dim)
        self.to_place = nn.Linear(width, text_dim)

    def query_texts(self, finding: str) -> tuple[str, ...]:
        """The facet that asks for a finding, or its name where the book has none."""
        return (self.book.text(finding, self.options.facet) or self.book.name_of(finding),)

    def encode(self, batch: Batch) -> Encoded:
        """The images, the queries of the findings, and the sentences of the places."""
        image, queries = self.image_encoder(batch.images), self.encode_queries(self.trained_texts)
        return Encoded(image, knowledge=replace(queries, places=place_features(self.bank)))

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        o, knowledge = self.options, encoded.knowledge
        assert knowledge is not None
        assert knowledge.places is not None
        answers, _ = self.decode_queries(encoded.image, knowledge.vectors)
        return {
            "presence": o.presence_weight * self.presence_loss(batch, answers),
            "place": o.place_weight * self._place_loss(batch, answers, knowledge.places),
        }

    def _place_loss(self, batch: Batch, answers: Tensor, places: Tensor) -> Tensor:
        """L_place."""
        scores = cosines(self.to_place(answers), places)
        return place_contrast(scores, require_places(batch), self.options.negatives, self.training, self.ranks)
