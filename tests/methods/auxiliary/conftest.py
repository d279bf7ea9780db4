"""Methods with auxiliary losses, on the small world of `tests/methods/conftest.py`."""

from __future__ import annotations

import pytest
import torch

from medvlp.methods.auxiliary.base import AUXILIARY
from medvlp.methods.base import MethodParts
from medvlp.methods.pretraining_objective import PretrainingObjective


@pytest.fixture
def parts(build):
    """The parts of a small method, text tower included."""
    method = build("clip")
    return MethodParts(method.image_encoder, method.text_encoder, method.tokenizer, method.findings, method.book)


@pytest.fixture
def build_auxiliary(parts):
    """`build_auxiliary(name, **options)`: an auxiliary loss alone, with fixed weights."""

    def make(name, **options):
        torch.manual_seed(2)
        kind = AUXILIARY.get(name)
        return kind(parts, kind.Options(**options))

    return make


@pytest.fixture
def build_with(build):
    """`build_with("clip", filip={...}, ...)`: a method with auxiliary losses."""

    def make(name, **chosen):
        method = build(name)
        text_encoder = method.text_encoder if method.reads_text else build("clip").text_encoder
        parts = MethodParts(method.image_encoder, text_encoder, method.tokenizer, method.findings, method.book)
        torch.manual_seed(2)
        kinds = {name: AUXILIARY.get(name) for name in chosen}
        return PretrainingObjective(method, {n: kind(parts, kind.Options(**chosen[n])) for n, kind in kinds.items()})

    return make
