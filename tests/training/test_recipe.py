"""A recipe reads back equal, takes overrides, and names the nearest valid key or value when one is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

import medvlp.reports
from medvlp.training.recipe import Recipe, SectionName
from medvlp.training.recipe_errors import RecipeError, explain

TEXT = """
method: devide
options: {weights: {bce: 1.0}}
findings: phantom15
data: {store: runs/store, batch_size: 8}
training: {epochs: 3, precision: 32, learning_rate: 1e-3}
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(TEXT)
    return path


def test_defaults_and_values_are_read(recipe_file: Path) -> None:
    recipe = Recipe.load(recipe_file)
    assert (recipe.training.precision, recipe.training.learning_rate, recipe.training.epochs) == ("32", 1e-3, 3)
    assert recipe.data.store == Path("runs/store")
    assert recipe.image_encoder.name == "resnet10t"


def test_saved_recipe_reads_back_equal(recipe_file: Path, tmp_path: Path) -> None:
    recipe = Recipe.load(recipe_file, ["data.views=[PA,AP]", "findings=[edema,mass]"])
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert Recipe.load(tmp_path / "again.yaml") == recipe


def test_overrides_reach_every_level(recipe_file: Path) -> None:
    recipe = Recipe.load(
        recipe_file, ["seed=7", "training.ema=0.99", "options.weights.bce=0.5", "image_encoder.name=resnet50"]
    )
    assert (recipe.seed, recipe.training.ema, recipe.image_encoder.name) == (7, 0.99, "resnet50")
    assert recipe.options == {"weights": {"bce": 0.5}}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.warmup_step=3", "training.warmup_step is not a key; did you mean training.warmup_steps"),
        ("learning_rate=1e-3", "learning_rate is not a key; did you mean training.learning_rate?"),
        ("training.metric=aurocc", 'training.metric: "aurocc" is unknown; did you mean "auroc"?'),
        ("training.precision=16", 'training.precision: "16" is unknown; did you mean "bf16"? Valid: 32, auto, bf16.'),
        ("training.metric=xyzzy", "unknown; valid: auroc, loss."),
        ("training.epochs=many", "training.epochs: Input should be a valid integer"),
        ("data.batch_size=1", "data.batch_size: Input should be greater than or equal to 2 (given: 1)"),
        ("training.clip_norm.x=1", "training.clip_norm: Input should be a valid number"),
        ("seed.x=1", "seed: Input should be a valid integer"),
        ("method.x=1", "method holds a value, not keys"),
        ("epochs", "is not of the form key.sub=value"),
        ("seed=[1", "the value is not valid YAML"),
        ("data.sections=[impresion]", 'data.sections.0: "impresion" is unknown; did you mean "impression"'),
        ("data.xyzzy=1", "data.xyzzy is not a key; valid here: augment, batch_size"),
    ],
)
def test_wrong_override_says_where_and_what_is_valid(recipe_file: Path, override: str, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.load(recipe_file, [override])
    assert expected in str(caught.value)


def test_a_recipe_may_name_each_section_that_headings_open() -> None:
    headings = Path(medvlp.reports.__file__).with_name("headings.yaml")
    assert set(get_args(SectionName)) == {*yaml.safe_load(headings.read_text()), "preamble"}


def test_every_wrong_key_is_listed(recipe_file: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.load(recipe_file, ["sed=1", "data.batchsize=4"])
    assert 'did you mean "seed"' in str(caught.value)
    assert "did you mean data.batch_size?" in str(caught.value)
    assert str(recipe_file) in str(caught.value)


def test_flat_names_every_setting(recipe_file: Path) -> None:
    flat = Recipe.load(recipe_file).flat()
    assert (flat["training.epochs"], flat["options.weights.bce"], flat["seed"]) == (3, 1.0, 0)


def test_missing_entries_are_named(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("method: clip\n")
    with pytest.raises(RecipeError, match="findings is missing"):
        Recipe.load(tmp_path / "r.yaml")


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "a: [1\n"])
def test_files_that_hold_no_recipe(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.yaml").write_text(content)
    with pytest.raises(RecipeError, match=r"r\.yaml"):
        Recipe.load(tmp_path / "r.yaml")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="Cannot read the recipe"):
        Recipe.load(tmp_path / "nowhere.yaml")


def test_options_of_a_method_are_explained_with_their_path() -> None:
    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")
        unmentioned: Literal["ignore", "negative"] | None = None

    def complaint(**given: Any) -> str:
        with pytest.raises(ValidationError) as caught:
            Options(**given)
        return explain(caught.value, Options, "options")

    assert complaint(unmentoned="ignore") == "options.unmentoned is not a key; did you mean options.unmentioned?"
    assert (
        complaint(unmentioned="ignored")
        == 'options.unmentioned: "ignored" is unknown; did you mean "ignore"? Valid: ignore, negative.'
    )


def test_a_recipe_says_only_what_differs_from_its_base(recipe_file: Path) -> None:
    above = recipe_file.with_name("above.yaml")
    above.write_text("base: recipe.yaml\ntraining: {epochs: 5}\noptions: {weights: {patch: 2.0}}\n")
    recipe = Recipe.load(above, ["seed=3"])
    assert (recipe.training.epochs, recipe.training.precision, recipe.data.batch_size, recipe.seed) == (5, "32", 8, 3)
    assert recipe.options == {"weights": {"bce": 1.0, "patch": 2.0}}


def test_options_of_another_method_are_not_taken_over(recipe_file: Path) -> None:
    above = recipe_file.with_name("above.yaml")
    above.write_text("base: recipe.yaml\nmethod: clip\n")
    assert Recipe.load(above).options == {}


def test_a_base_that_leads_back_to_itself_is_named(recipe_file: Path) -> None:
    above = recipe_file.with_name("above.yaml")
    above.write_text("base: above.yaml\n")
    with pytest.raises(RecipeError, match=r"above\.yaml: its `base` leads back to itself"):
        Recipe.load(above)
    above.write_text("base: missing.yaml\n")
    with pytest.raises(RecipeError, match=r"Cannot read the recipe .*missing\.yaml"):
        Recipe.load(above)


def test_the_old_spelling_of_a_key_is_read_with_a_warning(recipe_file: Path) -> None:
    with pytest.warns(FutureWarning, match=r"knowledge\.homogenise is called knowledge\.homogenize"):
        recipe = Recipe.load(recipe_file, ["knowledge.homogenise={endpoint: 'http://x/v1', model: m}"])
    assert recipe.knowledge.homogenize is not None
    assert recipe.knowledge.homogenize.model == "m"
    assert "homogenise" not in recipe.to_yaml()
