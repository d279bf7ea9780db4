"""The methods by name: a file in this folder that says `@register("name")`, or an installed package that names its own.

A package outside names its methods as entry points of the group `medvlp.methods`, `name = "module:Class"`.
"""

from __future__ import annotations

import difflib
import logging
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import medvlp.methods
from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import Method, MethodParts
from medvlp.methods.options import Options
from medvlp.models import ImageEncoder, ReportTokenizer, TextEncoder

PLUG_INS = "medvlp.methods"  # the group of entry points
_METHODS: dict[str, type[Method]] = {}
_REFUSED: dict[str, str] = {}


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
    """All registered names, sorted. The files of this folder and the plug-ins are imported at the first call."""
    for module in pkgutil.iter_modules(medvlp.methods.__path__):
        import_module(f"medvlp.methods.{module.name}")
    refused_plug_ins()
    return sorted(_METHODS)


def method_class(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        KeyError: no such method; names the nearest and all others, or says why the plug-in of that name was refused.
    """
    names = method_names()
    if name not in names:
        if reason := refused_plug_ins().get(name):
            raise KeyError(f"the method {reason}")
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise KeyError(f"no method {name!r}; {hint}There are {', '.join(names)}")
    return _METHODS[name]


def refused_plug_ins() -> dict[str, str]:
    """Import the plug-ins that are installed, at the first call; names of those that were refused -> why.

    One that cannot be imported, or whose name is taken, is told in a warning and stops no other.
    """
    waiting = _waiting_plug_ins()
    while waiting:
        entry = waiting.pop(0)  # before it is imported: its module may ask for other methods
        try:
            _register_plug_in(entry)
        except Exception as error:  # whatever another's module raises
            owner = f" of {entry.dist.name} {entry.dist.version}" if entry.dist else ""
            why = f"{type(error).__name__}: {error}"
            _REFUSED[entry.name] = f"{entry.name!r} ({entry.value}){owner} cannot be used: {why}"
            logging.getLogger(__name__).warning(f"the method {_REFUSED[entry.name]}")
    return _REFUSED


@cache
def _waiting_plug_ins() -> list[EntryPoint]:
    return sorted(entry_points(group=PLUG_INS), key=lambda entry: (entry.name, entry.value))


def _register_plug_in(entry: EntryPoint) -> None:
    """Import a plug-in's class and register it under the name of its entry point.

    Raises:
        TypeError: it is no method.
        ValueError: the name is taken.
    """
    cls = entry.load()
    if not (isinstance(cls, type) and issubclass(cls, Method)):
        raise TypeError(f"{entry.value} is no class derived from Method; an entry point says module:Class")
    register(entry.name)(cls)


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
