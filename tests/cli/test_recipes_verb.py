"""`medvlp recipes`, and recipes of the package by their name."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_file import recipe_folder


def run(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["recipes", *words])
    assert result.exit_code == status, result.output
    return result.output


def test_every_recipe_is_listed_with_what_it_is() -> None:
    lines = run().splitlines()
    assert [line.split()[0] for line in lines] == sorted(path.stem for path in recipe_folder().glob("*.yaml"))
    assert any(line.startswith("mimic_devide ") and "devide on MIMIC-CXR" in line for line in lines)


def test_a_recipe_is_shown_as_it_is() -> None:
    assert run("show", "phantom_clip") == (recipe_folder() / "phantom_clip.yaml").read_text()
    assert 'did you mean "phantom_clip"' in run("show", "phantom_clp", status=2)


def test_a_copy_loads_as_the_recipe_does_and_replaces_nothing(tmp_path: Path) -> None:
    run("copy", "mimic_clip", "-o", str(tmp_path / "mine.yaml"))
    assert Recipe.load(tmp_path / "mine.yaml") == Recipe.load("mimic_clip")
    assert "is there already" in run("copy", "mimic_devide", "-o", str(tmp_path / "mine.yaml"), status=2)


def test_pretrain_takes_a_name() -> None:
    result = CliRunner().invoke(app, ["pretrain", "phantom_clip", "data.store=/nowhere"])
    assert (result.exit_code, "no store at /nowhere" in result.output) == (2, True)
    result = CliRunner().invoke(app, ["pretrain", "phantom_clap"])
    assert (result.exit_code, 'did you mean "phantom_clip"' in result.output) == (2, True)
