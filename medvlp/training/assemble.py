"""From a recipe to a `Method`: encoders, tokenizer, knowledge book and findings put together."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import huggingface_hub
import numpy as np
import timm
import torch
from huggingface_hub import constants
from pydantic import ValidationError

from medvlp.data.report_table import select_sentences
from medvlp.data.store import Store
from medvlp.knowledge import KnowledgeBook, KnowledgeError, LabelSpace, UnknownNameError
from medvlp.knowledge.book import NAME
from medvlp.knowledge.homogenize import HomogenizeError, Homogenizer
from medvlp.methods.auxiliary.base import AUXILIARY, AuxiliaryOptions
from medvlp.methods.base import METHODS, MethodParts, Options
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
    "encoder.pretrained": "`encoder.pretrained=false` begins without its weights.",
    "text_encoder.name": "A folder with its config.json, weights and tokenizer, or `small`, needs no connection.",
}


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


def load_book(recipe: Recipe) -> KnowledgeBook:
    """The recipe's book, which must have the recipe's findings and facets; rewritten where `knowledge.homogenize` says.

    Raises:
        RecipeError: no such book, a finding or facet that it lacks, or a rewriting that failed.
    """
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


def make_tokenizer(recipe: Recipe, store: Store, book: KnowledgeBook) -> ReportTokenizer:
    """The tokenizer of the text encoder: its own for one of the hub or a folder; for a registered one, such as `small`,
    trained on the sentences of the training split and the texts of the book."""
    if recipe.text_encoder.name not in text_encoders:
        with _loading("text_encoder.name", recipe.text_encoder.name):
            return ReportTokenizer.load(recipe.text_encoder.name)
    numbers = store.table["report"].to_numpy()[store.rows(recipe.data.train_split)]
    wanted = np.isin(np.arange(len(store.reports)), numbers)
    sentences = select_sentences(store.reports, recipe.data.sections, wanted).words
    known = [text for facets in book.texts(book.findings, book.facets) for text in facets if text]
    return ReportTokenizer.train(sentences + known, vocab_size=recipe.text_encoder.vocab_size)


def build(recipe: Recipe, store: Store) -> PretrainingObjective:
    """The untrained method of a recipe with its auxiliary losses. The same recipe and store give the same weights,
    whatever ran before.

    Raises:
        RecipeError: an unknown method, option, finding or facet; names the nearest.
    """
    book = load_book(recipe)
    tokenizer, pretrained = make_tokenizer(recipe, store, book), recipe.image_encoder.pretrained
    return assemble(recipe, tokenizer, book, store.letterbox.size, pretrained=pretrained)


def assemble(
    recipe: Recipe,
    tokenizer: ReportTokenizer,
    book: KnowledgeBook,
    image_size: int,
    *,
    pretrained: bool,
    text_config: Path | None = None,
) -> PretrainingObjective:
    """The method of a recipe, with its auxiliary losses.

    Args:
        recipe: what to build.
        tokenizer, book: new, or those of a saved model.
        image_size: side of the square input, in pixels.
        pretrained: load public weights of the image encoder; False where saved weights follow.
        text_config: a folder with the text encoder's `config.json`: it is built from that, without weights.

    Raises:
        RecipeError: an encoder that cannot be loaded, or options that are refused; names the key.
    """
    findings, options, auxiliary = finding_ids(recipe), _options(recipe), _auxiliary(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        encoders = _encoders(recipe, tokenizer, image_size, pretrained, text_config)
        parts = MethodParts(*encoders, tokenizer, findings, book)
        try:
            method = METHODS.get(recipe.method)(parts, options)
        except _REFUSALS as error:
            given = ", ".join(f"options.{key}" for key in recipe.options) or "method"
            raise RecipeError(f"{given}: {recipe.method} cannot be built so: {error}") from error
        try:
            return PretrainingObjective(method, {n: AUXILIARY.get(n)(parts, each) for n, each in auxiliary.items()})
        except _REFUSALS as error:
            raise RecipeError(str(error) if "auxiliary." in str(error) else f"auxiliary: {error}") from error


def _encoders(
    recipe: Recipe, tokenizer: ReportTokenizer, image_size: int, pretrained: bool, text_config: Path | None
) -> tuple[ImageEncoder, TextEncoder]:
    image, text = recipe.image_encoder, recipe.text_encoder
    with _loading("image_encoder.pretrained", image.name):
        image_encoder = build_image_encoder(
            image.name, image_size=image_size, **image.model_dump(exclude={"name", "pretrained"}), pretrained=pretrained
        )
    with _loading("text_encoder.name", text.name):
        sizes = text.model_dump(exclude={"name", "vocab_size"})
        text_encoder = build_text_encoder(text.name, text_config, vocab_size=tokenizer.vocab_size, **sizes)
    return image_encoder, text_encoder


def check_hubs(recipe: Recipe) -> None:
    """Refuse within seconds what would have to be downloaded where nothing can be, before any data are read.

    Raises:
        RecipeError: names the setting, and what needs no connection.
    """
    if recipe.text_encoder.name not in text_encoders:
        check_hub("text_encoder.name", recipe.text_encoder.name)
    if recipe.image_encoder.pretrained:
        check_hub("image_encoder.pretrained", timm_repository(recipe.image_encoder.name))


def timm_repository(name: str) -> str:
    """Where timm has the weights of a network; its own name where that is not on the hub."""
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return str((config and config.hf_hub_id) or name)


def check_hub(key: str, name: str) -> None:
    """Refuse a name of the hub that is not on this machine, where the hub does not answer within 4 seconds."""
    files = ("config.json", "model.safetensors", "pytorch_model.bin")
    try:
        cached = any(isinstance(huggingface_hub.try_to_load_from_cache(name, file), str) for file in files)
    except ValueError:  # no name that the hub could have
        return
    if cached or constants.HF_HUB_OFFLINE or Path(name).exists() or "/" not in name:
        return
    hub = urlsplit(constants.ENDPOINT)
    proxy = None if proxy_bypass(hub.hostname or "") else getproxies().get(hub.scheme)
    if not _answers(urlsplit(proxy) if proxy else hub):
        raise RecipeError(
            f'{key}: "{name}" has to be downloaded from {hub.hostname}, which does not answer. {_OFFLINE[key]} '
            "`medvlp recipes` lists recipes; those named phantom and real need no connection."
        )


def _answers(url: SplitResult, seconds: float = 4.0) -> bool:
    """Whether a host takes connections; in a thread, since looking up its name has no time limit."""
    found: list[bool] = []

    def connect() -> None:
        with suppress(OSError):
            port = url.port or {"http": 80}.get(url.scheme, 443)
            socket.create_connection((url.hostname or "", port), timeout=seconds).close()
            found.append(True)

    thread = Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(found)


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
