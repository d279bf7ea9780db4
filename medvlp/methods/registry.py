"""The methods by name: files of this folder, and plug-ins of the group `medvlp.methods`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import Method, MethodParts
from medvlp.methods.options import Options
from medvlp.models import ImageEncoder, ReportTokenizer, TextEncoder
from medvlp.registry import Registry


def _check_method(member: object) -> None:
    if not (isinstance(member, type) and issubclass(member, Method)):
        raise TypeError(f"{member!r} is no class derived from Method; an entry point says module:Class")


METHODS: Registry[type[Method]] = Registry("method", "medvlp.methods", "medvlp.methods", _check_method)
register_method = METHODS.register


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
        book: the texts of these findings, and of those that are scored later.
        options: its `Options`, or a mapping that they are made of; None for the defaults.

    Raises:
        UnknownMemberError: no such method.
        pydantic.ValidationError: an unknown option or value.
    """
    cls = METHODS.get(name)
    if not isinstance(options, Options):
        options = cls.Options(**(options or {}))
    return cls(MethodParts(image_encoder, text_encoder, tokenizer, tuple(findings), book), options)
