"""Methods with extras, on the small world of `tests/methods/conftest.py`."""

from __future__ import annotations

import pytest
import torch

from medvlp.methods.base import MethodParts
from medvlp.methods.extras.registry import extras_by_name
from medvlp.methods.extras.with_extras import add_extras


@pytest.fixture
def parts(build):
    """The parts of a small method, text tower included."""
    method = build("clip")
    return MethodParts(method.image_encoder, method.text_encoder, method.tokenizer, method.findings, method.book)


@pytest.fixture
def build_extra(parts):
    """`build_extra(name, **options)`: an extra alone, with fixed weights."""

    def make(name, **options):
        torch.manual_seed(2)
        kind = extras_by_name()[name]
        return kind(parts, kind.Options(**options))

    return make


@pytest.fixture
def build_with(build):
    """`build_with("clip", filip={...}, ...)`: a method with extras."""

    def make(name, **extras):
        method = build(name)
        text_encoder = method.text_encoder if method.reads_text else build("clip").text_encoder
        parts = MethodParts(method.image_encoder, text_encoder, method.tokenizer, method.findings, method.book)
        torch.manual_seed(2)
        return add_extras(
            method, parts, {extra: extras_by_name()[extra].Options(**given) for extra, given in extras.items()}
        )

    return make
