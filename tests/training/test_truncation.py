"""Texts of the book that the text encoder cannot read to their end are named once, at the start of a run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from medvlp.knowledge import KnowledgeBook
from medvlp.knowledge.book import BookText
from medvlp.training.pretraining import pretrain
from medvlp.training.recipe import Recipe

SHORT, LONG = "Fluid in the pleural space.", "Fluid " * 60 + "in the pleural space."  # 7 or 8, and 67 tokens or more


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """Every text is short, but the definition of pleural effusion and the description of cardiomegaly."""
    default = KnowledgeBook.load("default")
    texts = {f: {facet: BookText(SHORT + f) for facet in default.facets} for f in default.findings}
    texts["pleural_effusion"]["definition"] = BookText(LONG)
    texts["cardiomegaly"]["radiographic"] = BookText("Heart " + LONG)
    default.with_texts("ours", texts).to_yaml(tmp_path / "book.yaml")
    return tmp_path / "book.yaml"


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name.startswith("medvlp") and r.levelno == logging.WARNING]


@pytest.mark.parametrize(
    ("method", "named", "unnamed"),
    [
        ("devide", ["definition of pleural_effusion", "radiographic of cardiomegaly"], []),
        ("medslip", ["definition of pleural_effusion"], ["cardiomegaly"]),
        ("medklip", ["definition of pleural_effusion"], ["cardiomegaly"]),
        ("kad", ["definition of pleural_effusion"], ["cardiomegaly"]),
    ],
)
def test_a_run_names_what_is_cut_once(
    tiny_recipe: Callable[..., Recipe],
    book: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    method: str,
    named: list[str],
    unnamed: list[str],
) -> None:
    changes = [f"method={method}", f"knowledge.book={book}", "training.max_steps=2"]
    if method == "medslip":
        changes.append("knowledge.facets=[definition]")
    pretrain(tiny_recipe(*changes), tmp_path / "run", progress=False)
    (said,) = warnings_of(caplog)
    assert f"{method} reads texts longer than the 48 tokens" in said
    assert all(words in said for words in named)
    assert not any(words in said for words in unnamed)
    longest = int(said.split("text_encoder.max_tokens=")[1].split(",")[0])
    caplog.clear()
    pretrain(tiny_recipe(*changes, f"text_encoder.max_tokens={longest}"), tmp_path / "longer", progress=False)
    assert warnings_of(caplog) == []
    pretrain(tiny_recipe(*changes, f"text_encoder.max_tokens={longest - 1}"), tmp_path / "shorter", progress=False)
    (said,) = warnings_of(caplog)
    assert "loses 1" in said


def test_a_method_without_text_says_nothing(
    tiny_recipe: Callable[..., Recipe], book: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pretrain(tiny_recipe(f"knowledge.book={book}", "training.max_steps=1"), tmp_path / "run", progress=False)
    assert warnings_of(caplog) == []


def test_prompts_are_named_when_they_are_first_read_and_captions_too(
    tiny_recipe: Callable[..., Recipe], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = ["text_encoder.max_tokens=16", "training.max_steps=2", "training.validate_every=1"]
    asked = "options.prompts=[['there is {} in this image of the chest.', 'no {}.']]"
    pretrain(tiny_recipe("method=clip", *short, asked), tmp_path / "clip", progress=False)
    (said,) = warnings_of(caplog)  # of two validations
    assert "clip reads texts longer than the 16 tokens" in said
    assert "'there is pleural effusion in this ima" in said
    assert "'no pleural" not in said
    caplog.clear()
    pretrain(tiny_recipe("method=clip", *short, asked, "training.metric=loss"), tmp_path / "loss", progress=False)
    assert warnings_of(caplog) == []  # which reads no prompt
    pretrain(tiny_recipe("method=keep", *short, "training.metric=loss"), tmp_path / "keep", progress=False)
    (said,) = warnings_of(caplog)
    assert "'a radiology image showing pleural eff" in said
