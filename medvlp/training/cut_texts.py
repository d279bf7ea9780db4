"""Texts that a method reads of its book, longer than its text encoder takes: they lose their end, and that is said."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import Method
from medvlp.models.knowledge_pairs import KnowledgePairs
from medvlp.training.recipe import Recipe

_SHOWN = 30  # texts that the warning lists


def warn_of_cut_texts(recipe: Recipe, method: Method) -> None:
    """Say in one warning which texts of the book, and which prompts, have lost their end, and what to set.

    Args:
        recipe: what the method was built from.
        method: after its first step, when it has read what its losses are made of.
    """
    if not method.reads_text:
        return
    lost = method.bank.cut()
    for part in method.modules():
        if isinstance(part, KnowledgePairs):
            lost |= part.cut
    if lost:
        logging.getLogger(__name__).warning(_words(recipe, method, lost))


def _words(recipe: Recipe, method: Method, lost: Mapping[str, int]) -> str:
    limit = method.text_encoder.max_tokens
    entries = [f"{_origin(method.book, text)} loses {n}" for text, n in lost.items()]
    more = f"; and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
    if recipe.text_encoder.name == "small":
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
