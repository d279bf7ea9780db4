"""A whole experiment at a toy size: every stage runs, the page holds what it should, and nothing is made twice."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.knowledge import name_of

FINDINGS = ["pleural_effusion", "cardiomegaly", "edema"]
TINY = {
    "findings": FINDINGS,
    "data": {"store": "store", "batch_size": 8, "validate_images": 8},
    "image_encoder": {"name": "resnet10t", "dim": 16},
    "text_encoder": {"name": "small", "layers": 1, "width": 16, "heads": 2, "vocab_size": 400, "max_tokens": 48},
    "training": {"max_steps": 2, "warmup_steps": 1, "metric": "loss"},
}
PLAN = {
    "title": "A toy experiment",
    "data": [
        {
            "name": "phantom",
            "options": {"patients": 40, "size": 64, "seed": 3, "prevalence": 2.0},
            "split": [0.5, 0.1, 0.4],
        }
    ],
    "size": 64,
    "models": {"devide": "devide.yaml", "unimodal": "unimodal.yaml"},
    "main": "devide",
    "zero_shot": {"labels": "truth", "large": ["pleural_effusion", "cardiomegaly"]},
    "segment": {"recipe": "lungs.yaml", "show": 1},
    "retrieve": {"show": 1},
    "ground": {"findings": ["pleural_effusion", "cardiomegaly"]},
    "limits": ["A toy shows nothing."],
}
LUNGS = {
    "structures": ["lungs"],
    "data": {"store": "store", "batch_size": 4},
    "training": {"max_steps": 2, "patience": None},
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    files = {"plan": PLAN, "lungs": LUNGS} | {name: {"method": name} | TINY for name in ("devide", "unimodal")}
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder / "plan.yaml"


@pytest.fixture(scope="module")
def out(plan: Path) -> Path:
    out = plan.parent / "out"
    result = CliRunner().invoke(app, ["experiment", str(plan), "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


def test_the_page_says_what_was_made_and_on_what(out: Path) -> None:
    page = (out / "index.html").read_text()
    assert page.count("Trained on generated data. Not for clinical use.") >= 1
    for words in ("Labels without annotations", "Segmentation", "Reports for an image", "Where a finding is"):
        assert words in page
    for words in ("untrained", "unimodal", "A toy shows nothing.", *(name_of(f) for f in FINDINGS)):
        assert words in page
    assert not re.search(r'(src|href)="https?:', page)


def test_figures_stand_in_files_with_their_intervals(out: Path) -> None:
    result = json.loads((out / "results" / "zero_shot" / "devide" / "result.json").read_text())
    macro = result["macro_auroc"]
    assert macro["low"] <= macro["value"] <= macro["high"]
    scores = pd.read_csv(out / "results" / "zero_shot" / "devide" / "scores.csv")
    splits = pd.read_parquet(out / "store" / "table.parquet").set_index("image_id")["split"]
    assert set(splits.loc[scores["image_id"]]) == {"test"}
    assert set(scores["notice"]) == {"Trained on generated data. Not for clinical use."}


def test_a_second_start_makes_nothing_twice(plan: Path, out: Path) -> None:
    weights = {p: p.stat().st_mtime_ns for p in out.glob("*/*/model.safetensors")}
    assert len(weights) == 5  # devide, unimodal, untrained, and two segmentation heads
    result = CliRunner().invoke(app, ["experiment", str(plan), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert {p: p.stat().st_mtime_ns for p in weights} == weights


def test_a_model_of_the_experiment_labels_files(out: Path, tmp_path: Path) -> None:
    files = [str(p) for p in sorted((out / "phantom" / "files").rglob("*.dcm"))[:2]]
    model, table = str(out / "models" / "devide"), tmp_path / "labels.csv"
    result = CliRunner().invoke(app, ["label", model, *files, "-o", str(table)])
    assert result.exit_code == 0, result.output
    labels = pd.read_csv(table)
    assert labels["path"].tolist() == files
    assert labels[FINDINGS].to_numpy().min() >= 0
    assert labels[FINDINGS].to_numpy().max() <= 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mian": "devide"}, "did you mean"),
        ({"main": "clip"}, "none of the models"),
        ({"models": {"untrained": "devide.yaml"}, "main": "untrained"}, "choose another"),
    ],
)
def test_a_wrong_plan_is_told(plan: Path, tmp_path: Path, wrong: dict[str, object], words: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(PLAN | wrong))
    result = CliRunner().invoke(app, ["experiment", str(path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert words in result.output.lower().replace("\n", " ") or words in result.stderr.replace("\n", " ").lower()
