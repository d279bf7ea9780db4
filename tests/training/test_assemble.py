"""What a recipe asks for and no method, book or hub can give is refused with its key; a rewritten book."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest

from medvlp.data import Store
from medvlp.knowledge import KnowledgeBook
from medvlp.knowledge.homogenize import Homogenizer
from medvlp.training.assemble import build, load_book
from medvlp.training.pretraining import pretrain
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError


def recipe(**knowledge: object) -> Recipe:
    settings = {"method": "devide", "findings": "chexpert14", "data": {"store": "store"}, "knowledge": knowledge}
    return Recipe.from_dict(settings)


def test_every_book_has_names_as_a_facet() -> None:
    book = load_book(recipe(facets=["name", "definition"]))
    assert book.texts(["edema"], ["name"]) == [["pulmonary edema"]]
    with pytest.raises(RecipeError, match='did you mean "name"'):
        load_book(recipe(facets=["names"]))


def test_a_language_model_rewrites_the_facets_that_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def rewrite(self: Homogenizer, text: str, facet: str) -> str:
        asked.append((self.endpoint, self.model, self.cache, facet))
        return f"{facet} in short"

    monkeypatch.setattr(Homogenizer, "rewrite", rewrite)
    model = {"endpoint": "http://localhost:1/v1", "model": "some-model", "cache": str(tmp_path)}
    book = load_book(recipe(facets=["definition", "name"], homogenize=model))
    assert set(asked) == {("http://localhost:1/v1", "some-model", tmp_path, "definition")}
    before = KnowledgeBook.load("default")
    for finding in before.findings:  # those too that the recipe does not train on
        assert book.text(finding, "definition") == "definition in short"
        assert book.text(finding, "radiographic") == before.text(finding, "radiographic")
    assert "some-model" in book.entry("edema", "definition").sources[-1]


def test_an_endpoint_that_does_not_answer_is_named(tmp_path: Path) -> None:
    model = {"endpoint": "http://127.0.0.1:9/v1", "model": "some-model", "cache": str(tmp_path)}
    with pytest.raises(RecipeError, match=r"knowledge\.homogenize: no answer from http://127\.0\.0\.1:9/v1"):
        load_book(recipe(facets=["definition"], homogenize=model))


def test_a_recipe_with_a_language_model_survives_its_yaml() -> None:
    full = recipe(homogenize={"endpoint": "http://localhost:1/v1", "model": "some-model"})
    assert Recipe.from_yaml(full.to_yaml()) == full


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["method=mavl", "options.aspects=[shade]"], r'^options\.aspects: mavl .* unknown facet "shade".*"?shape'),
        (
            ["method=medklip", "options.facet=treatment"],
            r'^options\.facet: medklip .* unknown facet "treatment"; valid',
        ),
        (["method=medslip", "options.facets=[ctt]"], r'^options\.facets: medslip .* did you mean "ct"'),
        (["method=devide", "options.facets=[ctt]"], r'^options\.facets: devide .* did you mean "ct"'),
        (
            ["method=devide", "findings=[stent]", "knowledge.facets=[ct]"],
            r"^method: devide .* says nothing of stent in ct",
        ),
        (["method=devide", "knowledge.facets=[]"], r"knowledge\.facets: .* at least 1 item"),
        (["method=keep", "options.temperature=2"], r"^options\.temperature: .* less than or equal to 1 \(given: 2\)"),
        (
            ["method=kad", "options.decoder_heads=7"],
            r"^options\.decoder_heads: 7 heads do not divide decoder_width, 128",
        ),
        (["method=clip", "options.dim=-1"], r"^options\.dim: .* greater than 0"),
        (["method=clip", "auxiliary.filip={dim: -1}"], r"^auxiliary\.filip\.dim: .* greater than 0"),
    ],
)
def test_options_that_are_refused_are_said_with_their_key(
    tiny_recipe: Callable[..., Recipe], tiny_store: Store, changes: list[str], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        build(tiny_recipe(*changes), tiny_store)


def test_a_book_without_a_finding_of_the_recipe_is_refused(tmp_path: Path) -> None:
    KnowledgeBook.load("default").to_yaml(tmp_path / "book.yaml", ["edema", "pneumothorax"])
    with pytest.raises(RecipeError, match=r"^knowledge\.book: .* lacks no_finding, .*cardiomegaly"):
        load_book(recipe(book=str(tmp_path / "book.yaml")))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("text_encoder.name=nobody/no-such-bert", r'^text_encoder\.name: "nobody/no-such-bert" .* A folder with its'),
        ("text_encoder.name=./no-such-folder", r"^text_encoder\.name: .* no tokenizer\.json and no vocab\.txt"),
        ("image_encoder.pretrained=true", r'^image_encoder\.pretrained: "test_resnet\.r160_in1k" .*=false` begins'),
    ],
)
def test_weights_that_cannot_be_had_are_named_with_the_way_out(
    tiny_recipe: Callable[..., Recipe],
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    said: str,
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RecipeError, match=said):
        build(tiny_recipe(change), tiny_store)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("text_encoder.name=some/encoder", r"text_encoder\.name: .*localhost, which does not answer.*`small`"),
        ("image_encoder={name: resnet50, pretrained: true}", r"image_encoder\.pretrained=false.*medvlp recipes"),
    ],
)
def test_a_hub_out_of_reach_is_named_at_once(
    tiny_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, message: str
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://localhost:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("no_proxy", "localhost")
    with pytest.raises(RecipeError, match=message):
        pretrain(tiny_recipe("method=clip", override), tmp_path / "run", progress=False)
