"""The book of a recipe: its facets, and texts that a language model rewrites before training."""

from __future__ import annotations

from pathlib import Path

import pytest

from medvlp.knowledge import KnowledgeBook
from medvlp.knowledge.homogenise import Homogeniser
from medvlp.training.assemble import _book
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError


def recipe(**knowledge: object) -> Recipe:
    settings = {"method": "devide", "findings": "chexpert14", "data": {"store": "store"}, "knowledge": knowledge}
    return Recipe.from_dict(settings)


def test_every_book_has_names_as_a_facet() -> None:
    book = _book(recipe(facets=["name", "definition"]))
    assert book.texts(["edema"], ["name"]) == [["pulmonary edema"]]
    with pytest.raises(RecipeError, match='did you mean "name"'):
        _book(recipe(facets=["names"]))


def test_a_language_model_rewrites_the_facets_that_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def rewrite(self: Homogeniser, text: str, facet: str) -> str:
        asked.append((self.endpoint, self.model, self.cache, facet))
        return f"{facet} in short"

    monkeypatch.setattr(Homogeniser, "rewrite", rewrite)
    model = {"endpoint": "http://localhost:1/v1", "model": "some-model", "cache": str(tmp_path)}
    book = _book(recipe(facets=["definition", "name"], homogenise=model))
    assert set(asked) == {("http://localhost:1/v1", "some-model", tmp_path, "definition")}
    before = KnowledgeBook.load("default")
    for finding in before.findings:  # those too that the recipe does not train on
        assert book.text(finding, "definition") == "definition in short"
        assert book.text(finding, "radiographic") == before.text(finding, "radiographic")
    assert "some-model" in book.entry("edema", "definition").sources[-1]


def test_an_endpoint_that_does_not_answer_is_named(tmp_path: Path) -> None:
    model = {"endpoint": "http://127.0.0.1:9/v1", "model": "some-model", "cache": str(tmp_path)}
    with pytest.raises(RecipeError, match=r"knowledge\.homogenise: no answer from http://127\.0\.0\.1:9/v1"):
        _book(recipe(facets=["definition"], homogenise=model))


def test_a_recipe_with_a_language_model_survives_its_yaml() -> None:
    full = recipe(homogenise={"endpoint": "http://localhost:1/v1", "model": "some-model"})
    assert Recipe.from_yaml(full.to_yaml()) == full
