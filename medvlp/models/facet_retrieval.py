"""The knowledge book as tensors, and retrieval of the facet that fits an image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medvlp.knowledge import KnowledgeBook
from medvlp.models.text_bank import TextBank


def book_texts(book: KnowledgeBook, findings: Sequence[str], facets: Sequence[str]) -> list[list[str | None]]:
    """What a book says of E findings in K facets, `[finding][facet]`; None where it says nothing.

    Raises:
        UnknownNameError: a finding or facet that the book lacks.
        ValueError: a finding without a text in any of the facets.
    """
    texts = book.texts(findings, facets)
    for finding, row in zip(findings, texts, strict=True):
        if not any(row):
            raise ValueError(
                f"the book {book.name} says nothing of {finding} in {', '.join(facets) or 'no facet'}; name another one"
            )
    return texts


def book_features(
    bank: TextBank, book: KnowledgeBook, findings: Sequence[str], facets: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Encode `book_texts`.

    Returns:
        features `[E, K, D]`, zero where the book has no text; and mask bool `[E, K]`, True where it has.
    """
    texts = book_texts(book, findings, facets)
    encoded = bank([text or "" for row in texts for text in row])
    shape = (len(findings), len(facets))
    return encoded.global_.unflatten(0, shape), encoded.mask.any(1).unflatten(0, shape)


def retrieve_facets(image: Tensor, book: Tensor, mask: Tensor, sharpness: float | Tensor = 1.0) -> Tensor:
    """For each image and finding, the mixture of facets that the image asks for.

        w_bek = softmax_k(s <v_b, K_ek>)      r_be = sum_k w_bek K_ek

    The knowledge retrieval module of DeViDe, as reconstructed. With one facet it is that facet; the order of facets
    does not matter.

    Args:
        image: v, `[B, D]`. book: K, `[E, K, D]`. mask: bool `[E, K]`, at least one True in each row.
        sharpness: s.

    Returns:
        `[B, E, D]`.
    """
    fit = torch.einsum("bd,ekd->bek", image, book) * sharpness
    weights = fit.masked_fill(~mask, float("-inf")).softmax(-1)
    return torch.einsum("bek,ekd->bed", weights, book)
