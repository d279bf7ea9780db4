"""From a recipe to a `Method`: encoders, tokenizer, knowledge book and findings put together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from medvlp.data.report_table import select_sentences
from medvlp.data.store import Store
from medvlp.knowledge import KnowledgeBook, KnowledgeError, LabelSpace, UnknownNameError
from medvlp.knowledge.book import NAME
from medvlp.knowledge.homogenize import HomogenizeError, Homogenizer
from medvlp.methods.auxiliary.base import AUXILIARY, AuxiliaryOptions
from medvlp.methods.base import METHODS, MethodParts, Options, build_method
from medvlp.methods.pretraining_objective import PretrainingObjective
from medvlp.models import (
    ImageEncoder,
    ReportTokenizer,
    TextEncoder,
    build_image_encoder,
    build_text_encoder,
    text_encoders,
)
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError, explain, name_nearest

_REFUSALS = (ValueError, UnknownNameError, RuntimeError, ArithmeticError)  # sizes are refused by the last two
_OFFLINE = {
    "image_encoder.pretrained": "`image_encoder.pretrained=false` begins without its weights.",
    "text_encoder.name": "A folder with its config.json, weights and tokenizer, or `small`, needs no connection.",
}


@dataclass(frozen=True)
class Parts:
    """What a method is built from beside the recipe, and what is saved beside its weights.

    Attributes:
        tokenizer: of reports, sentences and knowledge texts.
        book: the knowledge book.
        findings: finding ids; the columns of every `[B, F]` tensor.
        image_size: side of the square input, in pixels.
    """

    tokenizer: ReportTokenizer
    book: KnowledgeBook
    findings: tuple[str, ...]
    image_size: int


def finding_ids(recipe: Recipe) -> tuple[str, ...]:
    """The recipe's findings: those of a label space, or the ids it lists. Raises RecipeError for unknown ones."""
    return resolve_findings(recipe.findings, "findings")


def resolve_findings(findings: str | tuple[str, ...], key: str) -> tuple[str, ...]:
    """Ids of a label space, or the ids that are listed. Raises RecipeError for unknown ones; `key` is the recipe's."""
    try:
        return LabelSpace.resolve(findings).findings
    except (KnowledgeError, UnknownNameError, OSError) as error:
        raise RecipeError(f"{key}: {error}") from error


def check_recipe(recipe: Recipe) -> None:
    """Refuse an unknown method, option, auxiliary loss or finding, before any data are read.

    Raises:
        RecipeError: names the nearest.
    """
    finding_ids(recipe)
    _options(recipe)
    _auxiliary(recipe)


def parts_from_store(recipe: Recipe, store: Store) -> Parts:
    """Parts for a new run. The tokenizer of a registered text encoder, such as `small`, is trained on the sentences of
    the training split and on the texts of the book."""
    findings = finding_ids(recipe)
    book = _book(recipe)
    if recipe.text_encoder.name not in text_encoders:  # one of the hub or a folder, which brings its tokenizer
        with _loading("text_encoder.name", recipe.text_encoder.name):
            tokenizer = ReportTokenizer.load(recipe.text_encoder.name)
    else:
        numbers = store.table["report"].to_numpy()[store.rows(recipe.data.train_split)]
        wanted = np.isin(np.arange(len(store.reports)), numbers)
        sentences = select_sentences(store.reports, recipe.data.sections, wanted).words
        known = [text for facets in book.texts(book.findings, book.facets) for text in facets if text]
        tokenizer = ReportTokenizer.train(sentences + known, vocab_size=recipe.text_encoder.vocab_size)
    return Parts(tokenizer, book, findings, store.letterbox.size)


def _book(recipe: Recipe) -> KnowledgeBook:
    """The recipe's book, which must have the recipe's facets; rewritten in one register where the recipe says so."""
    try:
        book = KnowledgeBook.load(recipe.knowledge.book)
    except (KnowledgeError, UnknownNameError, OSError) as error:
        raise RecipeError(f"knowledge.book: {error}") from error
    if unknown := [finding for finding in finding_ids(recipe) if finding not in book.names]:
        raise RecipeError(f"knowledge.book: the book {book.name} lacks {', '.join(unknown)} of the recipe's findings")
    for facet in recipe.knowledge.facets:
        if facet not in (*book.facets, NAME):
            raise RecipeError(name_nearest("knowledge.facets", facet, (*book.facets, NAME)))
    rewriter = recipe.knowledge.homogenize
    if rewriter is None:
        return book
    texts = [facet for facet in recipe.knowledge.facets if facet != NAME]
    try:
        return Homogenizer(rewriter.endpoint, rewriter.model, rewriter.cache).homogenize(book, facets=texts)
    except (HomogenizeError, OSError) as error:
        raise RecipeError(f"knowledge.homogenize: {error}") from error


def build(recipe: Recipe, store: Store) -> PretrainingObjective:
    """The untrained method of a recipe with its auxiliary losses. The same recipe and store give the same
    weights, whatever ran before.

    Raises:
        RecipeError: an unknown method, option, finding or facet; names the nearest.
    """
    return assemble(recipe, parts_from_store(recipe, store), pretrained=recipe.image_encoder.pretrained)


def assemble(
    recipe: Recipe, parts: Parts, *, pretrained: bool, text_config: Path | None = None
) -> PretrainingObjective:
    """The method of a recipe on given parts, with its auxiliary losses.

    Args:
        recipe: what to build.
        parts: tokenizer, book, findings and image size.
        pretrained: load public weights of the image encoder; False where saved weights follow.
        text_config: a folder with the text encoder's `config.json`: it is built from that, without weights.

    Raises:
        RecipeError: an encoder that cannot be loaded, or options that are refused; names the key.
    """
    options, auxiliary = _options(recipe), _auxiliary(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        image_encoder, text_encoder = _encoders(recipe, parts, pretrained, text_config)
        try:
            method = build_method(
                recipe.method,
                image_encoder=image_encoder,
                text_encoder=text_encoder,
                tokenizer=parts.tokenizer,
                findings=parts.findings,
                book=parts.book,
                options=options,
            )
        except _REFUSALS as error:
            given = ", ".join(f"options.{key}" for key in recipe.options) or "method"
            raise RecipeError(f"{given}: {recipe.method} cannot be built so: {error}") from error
        shared = MethodParts(image_encoder, text_encoder, parts.tokenizer, parts.findings, parts.book)
        try:
            return PretrainingObjective(method, {n: AUXILIARY.get(n)(shared, each) for n, each in auxiliary.items()})
        except _REFUSALS as error:
            raise RecipeError(str(error) if "auxiliary." in str(error) else f"auxiliary: {error}") from error


def _encoders(
    recipe: Recipe, parts: Parts, pretrained: bool, text_config: Path | None
) -> tuple[ImageEncoder, TextEncoder]:
    image, text = recipe.image_encoder, recipe.text_encoder
    with _loading("image_encoder.pretrained", image.name):
        image_encoder = build_image_encoder(
            image.name,
            pretrained=pretrained,
            image_size=parts.image_size,
            dim=image.dim,
            patch_stride=image.patch_stride,
            patch_dropping=image.patch_dropping,
        )
    with _loading("text_encoder.name", text.name):
        text_encoder = build_text_encoder(
            text.name,
            text_config,
            vocab_size=parts.tokenizer.vocab_size,
            layers=text.layers,
            width=text.width,
            heads=text.heads,
            max_tokens=text.max_tokens,
            pooling=text.pooling,
            freeze=text.freeze,
        )
    return image_encoder, text_encoder


@contextmanager
def _loading(key: str, name: str) -> Iterator[None]:
    """What goes wrong inside, on the way to the hub or with the sizes, as a RecipeError."""
    try:
        yield
    except OSError as error:
        raise RecipeError(
            f'{key}: "{name}" cannot be loaded ({" ".join(str(error).split())}). Is this the name of a public model, '
            f"and the machine online? {_OFFLINE[key]}"
        ) from error
    except ValueError as error:
        raise RecipeError(str(error)) from error


def _auxiliary(recipe: Recipe) -> dict[str, AuxiliaryOptions]:
    """The options of each auxiliary loss that the recipe names."""
    chosen = {}
    for name, options in recipe.auxiliary.items():
        if name not in AUXILIARY:
            raise RecipeError(name_nearest("auxiliary", name, AUXILIARY.names()))
        try:
            chosen[name] = AUXILIARY.get(name).Options(**options)
        except ValidationError as error:
            raise RecipeError(explain(error, AUXILIARY.get(name).Options, f"auxiliary.{name}")) from error
    return chosen


def _options(recipe: Recipe) -> Options:
    """The method's options; one that reads facets and is not told which takes those of `knowledge.facets`."""
    if recipe.method not in METHODS:
        if reason := METHODS.refused().get(recipe.method):
            raise RecipeError(f"method: {reason}")
        raise RecipeError(name_nearest("method", recipe.method, METHODS.names()))
    kind = METHODS.get(recipe.method).Options
    facets = {"facets": recipe.knowledge.facets} if "facets" in kind.model_fields else {}
    try:
        return kind(**{**facets, **recipe.options})
    except ValidationError as error:
        raise RecipeError(explain(error, kind, "options")) from error
