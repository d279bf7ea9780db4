"""A comparison at a toy size: one method fails, the others have figures, and nothing is trained twice."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.experiments.compare import _Settings, read_plan
from medvlp.experiments.comparison import comparison_from_plan
from medvlp.experiments.plan import ComparisonPlan
from medvlp.training.loop import Trainer
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError

TINY = {
    "method": "clip",
    "findings": ["pleural_effusion", "cardiomegaly", "edema"],
    "data": {"store": "store", "batch_size": 8},
    "image_encoder": {"name": "test_resnet.r160_in1k", "dim": 16},
    "text_encoder": {"name": "small", "layers": 1, "width": 16, "heads": 2, "vocab_size": 400, "max_tokens": 48},
    "training": {"warmup_steps": 100, "accelerator": "cpu", "precision": 32},
}
PLAN = {
    "title": "A toy comparison",
    "data": [
        {
            "name": "phantom",
            "options": {"patients": 40, "size": 64, "seed": 3, "prevalence": 2.0},
            "split": [0.5, 0.1, 0.4],
        }
    ],
    "size": 64,
    "recipe": "tiny.yaml",
    "changes": {"training": {"learning_rate": 0.002}},
    "methods": {
        "clip": None,
        "clip, wide": {"method": "clip", "options": {"dim": 256}},
        "nothing to see": {"method": "clip", "changes": {"data": {"views": ["OBLIQUE"]}}},
    },
    "samples": 32,
    "seeds": 2,
    "zero_shot": {"labels": "truth", "large": ["cardiomegaly"]},
    "resamples": 50,
    "limits": ["A toy shows nothing."],
}
NOTICE = "Trained on generated data. Not for clinical use."


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN, sort_keys=False))
    return folder / "plan.yaml"


@pytest.fixture(scope="module")
def first(plan: Path) -> tuple[int, str, str]:
    return invoke(plan, "--out", plan.parent / "out")


@pytest.fixture(scope="module")
def out(plan: Path, first: tuple[int, str, str]) -> Path:
    return plan.parent / "out"


def test_one_method_fails_and_the_others_have_figures(first: tuple[int, str, str], out: Path) -> None:
    status, printed, said = first
    assert status == 1
    assert "added: unimodal" in said
    assert "nothing to see, seed 1, failed: " in said
    assert str(out / "index.html") in printed
    result = json.loads((out / "compare.json").read_text())
    assert set(result["methods"]) == {"clip", "clip, wide", "unimodal"}
    assert set(result["failed"]) == {"nothing to see"}
    assert "no rows to load" in result["failed"]["nothing to see"]["0"]
    assert "Traceback" in (out / "results" / "nothing_to_see" / "seed0" / "error.txt").read_text()


def test_figures_have_intervals_and_the_cost_beside_them(out: Path) -> None:
    methods = json.loads((out / "compare.json").read_text())["methods"]
    for name, figures in methods.items():
        macro = figures["macro"]
        assert macro["low"] <= macro["value"] <= macro["high"]
        assert set(figures["seeds"]) == {"0", "1"}
        assert figures["samples"] == 32
        assert figures["samples_per_second"] > 0
        assert (figures["above_reference"] is None) == (name == "clip")
        assert (figures["above_baseline"] is None) == (name == "unimodal")
        assert (figures["precision"] is None) == (name == "unimodal")
        assert (figures["pointing"] is None) == (name == "unimodal")
    assert methods["clip, wide"]["parameters"] > methods["clip"]["parameters"]


def test_all_runs_have_the_same_budget_and_a_schedule_that_fits_it(out: Path) -> None:
    for folder in out.glob("models/[cu]*/seed*"):
        settings = yaml.safe_load((folder / "recipe.yaml").read_text())["training"]
        assert (settings["max_steps"], settings["warmup_steps"], settings["validate_every"]) == (4, 0, 1)
        assert settings["learning_rate"] == 0.002
        assert json.loads((folder / "card.json").read_text())["step"] == 4
        assert not (folder / "training_state").exists()
        assert not (folder / "last").exists()


def test_tables_say_that_the_data_are_generated(out: Path) -> None:
    table = pd.read_csv(out / "compare.csv")
    assert set(table["notice"]) == {NOTICE}
    assert table["method"].tolist()[-1] == "nothing to see"
    assert {"macro", "macro_low", "macro_high", "auroc_edema", "large"} <= set(table)
    words = (out / "table.md").read_text()
    assert words.count("\n| ") == 4  # three methods and the one that is missing, below the headings
    assert "missing" in words
    assert "nothing to see, seeds 0, 1: " in words
    assert NOTICE in words


def test_the_page_holds_all_of_it(out: Path) -> None:
    page = (out / "index.html").read_text()
    for words in (NOTICE, "A toy comparison", "A toy shows nothing.", "clip, wide", "between seeds", "above clip"):
        assert words in page
    for words in ("has been added", "no rows to load", "32 samples", "validation AUROC", "options.dim=256", "0, 1"):
        assert words in page
    assert page.count("<svg") == 4
    assert not re.search(r'(src|href)="https?:', page)


def test_nothing_is_trained_twice_but_what_is_missing(plan: Path, out: Path) -> None:
    weights = {p: p.stat().st_mtime_ns for p in out.glob("models/*/*/model.safetensors")}
    assert len(weights) == 6
    before = json.loads((out / "compare.json").read_text())["methods"]
    gone = out / "models" / "clip" / "seed1"
    shutil.rmtree(gone)
    shutil.rmtree(out / "results" / "clip" / "seed1")
    assert invoke(plan, "--out", out)[0] == 1
    assert {p for p in weights if p.stat().st_mtime_ns != weights[p]} == {gone / "model.safetensors"}
    after = json.loads((out / "compare.json").read_text())["methods"]
    assert after["clip"]["seeds"] == pytest.approx(before["clip"]["seeds"])
    assert after["clip, wide"] == before["clip, wide"]


def test_an_interrupted_run_goes_on_at_its_checkpoint(
    plan: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    step = Trainer.train_step

    def interrupted(self: Trainer, batches: Any) -> None:
        if self.step == 3 and not taken.count(-1):
            taken.append(-1)
            raise KeyboardInterrupt
        taken.append(self.step)
        step(self, batches)

    monkeypatch.setattr(Trainer, "train_step", interrupted)
    store = ["--store", out / "store", "--labels", out / "phantom" / "truth" / "images.csv"]
    command = [plan, "--methods", "clip", "--seeds", 1, *store, "--out", tmp_path / "out"]
    status, _, said = invoke(*command)
    assert status == 1
    assert "goes on with what is not finished" in said
    assert invoke(*command)[0] == 0
    assert taken == [0, 1, 2, -1, 2, 3, 0, 1, 2, 3]  # clip to its checkpoint at step 2 and on from there, then unimodal
    again, before = (f / "models" / "clip" / "seed0" / "model.safetensors" for f in (tmp_path / "out", out))
    assert again.read_bytes() == before.read_bytes()


def test_recipes_on_a_store_by_the_clock(plan: Path, out: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(TINY | {"method": "unimodal"}))
    status, printed, _ = invoke(
        plan.parent / "tiny.yaml", other, "--store", out / "store", "--minutes", 0.01, "--seeds", 1,
        "--out", tmp_path / "out", "--reference", "other", "training.validate_every=1000", "--json",
    )  # fmt: skip
    assert status == 0
    result = json.loads(printed)
    assert (result["reference"], result["baseline"]) == ("other", "other")
    assert list(result["methods"]) == ["tiny", "other"]
    for figures in result["methods"].values():
        assert figures["seconds"] >= 0.6
        assert figures["samples"] % 8 == 0


def test_other_settings_need_another_folder(plan: Path, out: Path) -> None:
    status, _, said = invoke(plan, "--out", out, "training.learning_rate=0.5")
    assert status == 2
    assert "training.learning_rate: 0.002 before, 0.5 now" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--methods", "clop"], "did you mean"),
        (["--reference", "unimodl"], 'did you mean "unimodal"'),
        (["--samples", "5", "--minutes", "1"], "one of the two"),
        (["training.learning=1"], "did you mean training.learning_rate?"),
        (["options.dmi=3"], "options.dmi"),
        (["another.yaml"], "stands alone"),
        (["--store", "nowhere"], "say --labels"),
        (["--labels", "nowhere.csv"], "does not exist"),
        (["--views", "PA"], "--views is for recipes"),
    ],
)
def test_a_wrong_request_is_told_before_anything_is_made(
    plan: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    status, _, words = invoke(plan, "--out", tmp_path / "out", *arguments)
    assert status == 2
    assert said in words
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--store is missing"),
        (["--data", "."], "--data is for a comparison plan"),
        (["--store", "s"], "--samples or --minutes"),
        (["--methods", "a"], "is a recipe"),
    ],
)
def test_recipes_need_a_store_and_a_budget(plan: Path, arguments: list[str], said: str) -> None:
    status, _, words = invoke(plan.parent / "tiny.yaml", *arguments)
    assert status == 2
    assert said in words


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": {"clip": {"optoins": {"dim": 3}}}}, "did you mean methods.clip.options?"),
        ({"methods": {"clip a": {"method": "clip"}, "clip_a": {"method": "clip"}}}, "clip a and clip_a would be the"),
        ({"minutes": 3}, "Error: changed.yaml: a budget is `samples` or `minutes`, one of the two."),
        ({"zero_shot": {"findings": ["edma"]}}, "edema"),
        ({"zero_shot": {"large": ["cardiomegalyy"]}}, "cardiomegaly"),
        ({"zero_shot": {"split": "tset"}}, 'did you mean "test"'),
        ({"data": [{"name": "phantom", "optoins": {}}]}, "did you mean data.0.options?"),
    ],
)
def test_a_plan_that_is_wrong_says_where(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump(PLAN | changes))
    monkeypatch.chdir(tmp_path)
    status, _, words = invoke("changed.yaml", "--out", "out")
    assert status == 2
    assert said in words
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "said"), [("views: [OBLIQUE]", "has no OBLIQUE images"), ("source: nih", "no nih")]
)
def test_what_cannot_be_measured_is_not_trained(plan: Path, out: Path, tmp_path: Path, changes: str, said: str) -> None:
    settings = PLAN | {"zero_shot": yaml.safe_load(changes), "methods": {"unimodal": None}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(settings))
    status, _, words = invoke(tmp_path / "plan.yaml", "--store", out / "store", "--out", tmp_path / "out")
    assert status == 2
    assert said in words
    assert not list(tmp_path.glob("out/models/*"))


def test_labels_that_say_the_same_of_all_are_not_trained_for(plan: Path, out: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    table = pd.read_csv(out / "phantom" / "truth" / "images.csv")
    table.assign(pleural_effusion=1, cardiomegaly=0, edema=1).to_csv(labels, index=False)
    status, _, words = invoke(plan, "--store", out / "store", "--labels", labels, "--out", tmp_path / "out")
    assert status == 2
    assert "None of the 3 findings is both present and absent" in words


def test_lines_without_the_plans_reference_are_held_against_the_first(plan: Path) -> None:
    (plan.parent / "held.yaml").write_text(yaml.safe_dump(PLAN | {"reference": "clip"}, sort_keys=False))

    def reference(chosen: list[str] | None, asked: str | None = None) -> str:
        loaded = read_plan([plan.parent / "held.yaml"], _Settings(None, None, None, asked), chosen)
        assert loaded is not None
        return comparison_from_plan(loaded, plan.parent, (), chosen).reference

    assert reference(None) == reference(["clip, wide", "clip"]) == "clip"
    assert reference(["clip, wide"]) == "clip, wide"
    assert reference(["clip, wide"], "unimodal") == "unimodal"


def test_the_added_baseline_is_the_same_whichever_lines_are_chosen(plan: Path) -> None:
    methods = {
        "impressions": {"method": "clip", "options": {"dim": 8}, "changes": {"data": {"sections": ["impression"]}}},
        "clip": None,
    }

    def baseline(lines: dict[str, Any], *chosen: str) -> tuple[str, Recipe, bool]:
        loaded = ComparisonPlan.from_dict(PLAN | {"methods": lines})
        comparison = comparison_from_plan(loaded, plan.parent, ["data.batch_size=4", "options.dim=16"], chosen or None)
        return comparison.baseline, comparison.recipes[comparison.baseline], comparison.baseline_added

    name, recipe, added = baseline(methods)
    assert (name, added, recipe.method, recipe.options) == ("unimodal", True, "unimodal", {})
    assert recipe.data.sections == Recipe.from_dict(TINY).data.sections
    assert (recipe.data.batch_size, recipe.training.learning_rate) == (4, 0.002)
    assert baseline(methods, "impressions") == baseline(methods, "clip") == (name, recipe, added)

    own = methods | {"supervised": {"method": "unimodal", "changes": {"training": {"learning_rate": 0.1}}}}
    name, recipe, added = baseline(own)
    assert (name, added, recipe.training.learning_rate) == ("supervised", False, 0.1)
    assert baseline(own, "supervised")[:2] == (name, recipe)
    assert baseline(own, "impressions") == baseline(own, "clip") == (name, recipe, True)

    with pytest.raises(RecipeError, match="unimodal is trained with clip"):
        baseline({"unimodal": {"method": "clip"}})
