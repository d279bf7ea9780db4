"""The methods by name. A file in this folder that says `@register("name")` is all that a new one needs."""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import medvlp.methods
from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import Method, MethodParts, Options
from medvlp.models.image_encoder import ImageEncoder
from medvlp.models.text_encoder import TextEncoder
from medvlp.models.tokenizer import ReportTokenizer

_METHODS: dict[str, type[Method]] = {}


def register(name: str) -> Callable[[type[Method]], type[Method]]:
    """Class decorator: make a method known to recipes under `name`.

    Raises:
        ValueError: the name belongs to another class.
    """

    def keep(cls: type[Method]) -> type[Method]:
        other = _METHODS.setdefault(name, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"the method {name!r} is already {other.__module__}.{other.__qualname__}")
        return cls

    return keep


def method_names() -> list[str]:
    """All registered names, sorted. The files of this folder are imported at the first call."""
    for module in pkgutil.iter_modules(medvlp.methods.__path__):
        import_module(f"medvlp.methods.{module.name}")
    return sorted(_METHODS)


def method_class(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        KeyError: no such method; names the nearest and all others.
    """
    names = method_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise KeyError(f"no method {name!r}; {hint}There are {', '.join(names)}")
    return _METHODS[name]


def build_method(
    name: str,
    *,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    tokenizer: ReportTokenizer,
    findings: Sequence[str],
    book: KnowledgeBook,
    options: Options | Mapping[str, Any] | None = None,
) -> Method:
    """Put a method together.

    Args:
        name: a registered method.
        image_encoder, text_encoder, tokenizer: its encoders, and the tokenizer of the text encoder.
        findings: finding ids, the columns of `Batch.findings`.
        book: the texts of these findings, and of those to be asked later.
        options: its `Options`, or a mapping that they are made of; None for the defaults.

    Raises:
        KeyError: no such method.
        pydantic.ValidationError: an unknown option or value.
    """
    cls = method_class(name)
    if not isinstance(options, Options):
        options = cls.Options(**(options or {}))
    return cls(MethodParts(image_encoder, text_encoder, tokenizer, tuple(findings), book), options)
