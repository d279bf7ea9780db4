"""Texts beside the reports that are longer than the text encoder takes: they lose their end, and that is said."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import Method
from medvlp.models import KnowledgePairs, LabelCaptions, text_encoders
from medvlp.training.recipe import Recipe

_SHOWN = 30  # texts that the warning lists


class TruncatedTexts:
    """Names the texts of the book, the captions and the prompts that have lost their end, each once in a run.

    What a method reads is known when it has read it: its losses' texts after the first step, its prompts after the
    first validation by AUROC. Prompts that training never reads (`training.metric=loss`, or no validation images) are
    not seen here, and neither is what is asked of the trained model later; reports lose their end without a warning.

    Args:
        recipe: what the method was built from.
        method: the one in training.
    """

    def __init__(self, recipe: Recipe, method: Method) -> None:
        self.recipe, self.method = recipe, method
        self.told: set[str] = set()

    def warn(self) -> None:
        """Say in one warning which of the texts read so far are cut, what each loses, and what to set."""
        if not self.method.reads_text:
            return
        lost = self.method.bank.truncated_texts()
        for part in self.method.modules():
            if isinstance(part, KnowledgePairs | LabelCaptions):
                lost |= part.truncated_texts
        if new := {text: tokens for text, tokens in lost.items() if text not in self.told}:
            self.told.update(new)
            logging.getLogger(__name__).warning(_words(self.recipe, self.method, new))


def _words(recipe: Recipe, method: Method, lost: Mapping[str, int]) -> str:
    limit = method.text_encoder.max_tokens
    entries = [f"{_origin(method.book, text)} loses {n}" for text, n in lost.items()]
    more = f"; and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
    if recipe.text_encoder.name in text_encoders:
        advice = f"Set text_encoder.max_tokens={limit + max(lost.values())}, or give shorter texts in knowledge.book."
    else:
        advice = f"{recipe.text_encoder.name} reads no more: give shorter texts in knowledge.book."
    return (
        f"{recipe.method} reads texts longer than the {limit} tokens of its text encoder, and their end is cut off: "
        f"{'; '.join(entries[:_SHOWN])}{more} (tokens). {advice}"
    )


def _origin(book: KnowledgeBook, text: str) -> str:
    """The finding and the facets of the book that a text is made of, or the text itself, cut short."""
    for finding in book.findings:
        said = {facet: book.text(finding, facet) for facet in book.facets}
        if facets := [facet for facet, words in said.items() if words and words in text]:
            return f"{' and '.join(facets)} of {finding}"
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
