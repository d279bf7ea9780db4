"""`check` finds what was planted: copies over splits, an empty image, an inverted one, a false label."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.data import Manifest, Preprocess, Store, prepare
from medvlp.data.data_issues import disagreement_table, duplicate_pairs, find_data_issues
from medvlp.data.image_statistics import FRONTAL_CHEST


def chest(seed: int, size: tuple[int, int] = (300, 260)) -> np.ndarray:
    """A frontal chest's rough distribution of light, with structures of its own."""
    random = np.random.default_rng(seed)
    mean = np.asarray(Image.fromarray(FRONTAL_CHEST).resize(size[::-1], Image.Resampling.BICUBIC))
    own = np.asarray(Image.fromarray(random.normal(0, 40, (24, 20)).astype(np.float32)).resize(size[::-1]))
    return np.clip(mean + own, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("planted")
    pictures = {f"own{i}": chest(i) for i in range(8)}
    pictures["copy0"] = np.clip(pictures["own0"].astype(float) * 0.9 + 12, 0, 255).astype(np.uint8)[::2, ::2]
    pictures["copy1"] = pictures["own1"]
    pictures["empty"] = np.full((100, 100), 37, np.uint8)
    pictures["inverted"] = 255 - chest(99)
    rows = []
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
        row = {"patient_id": name, "study_id": name, "image_id": name, "path": str(folder / f"{name}.png")}
        split = "test" if name == "copy0" else "train"
        rows.append({**row, "view": "PA", "split": split, "report": "", "edema": ""})
    rows[2] |= {"report": "FINDINGS: No pulmonary edema.", "edema": "1"}
    rows[3] |= {"report": "FINDINGS: No pulmonary edema.", "edema": "0"}
    rows[4] |= {"report": "FINDINGS: As discussed."}
    return prepare(Manifest(pd.DataFrame(rows)), folder / "store", Preprocess(size=128), workers=0)


def test_everything_planted_is_found_and_nothing_else(planted: Store) -> None:
    found = {
        (c.kind, tuple(map(tuple, np.atleast_2d(planted.table["image_id"].to_numpy()[c.rows]))))
        for c in find_data_issues(planted)
    }
    assert found == {
        ("duplicate", (("own0", "copy0"),)),
        ("duplicate", (("own1", "copy1"),)),
        ("constant", (("empty",),)),
        ("polarity", (("inverted",),)),
        ("disagreement", (("own2",),)),
        ("report", (("own4",),)),
    }


@pytest.mark.parametrize("cut", [0.01, 0.03, 0.05, 0.07])
def test_a_copy_that_was_cut_evenly_is_found(cut: float, tmp_path: Path) -> None:
    pictures = {f"own{i}": chest(i) for i in range(6)}
    height, width = pictures["own4"].shape
    top, left = round(cut * height), round(cut * width)
    pictures["cut"] = pictures["own4"][top : height - top, left : width - left]
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    rows = {c: list(pictures) for c in ("patient_id", "study_id", "image_id")}
    table = pd.DataFrame(rows | {"path": [str(tmp_path / f"{name}.png") for name in pictures], "split": "train"})
    store = prepare(Manifest(table), tmp_path / "store", Preprocess(size=128), workers=0)
    found = [c.rows.tolist() for c in find_data_issues(store) if c.kind == "duplicate"]
    assert found == [[[4, 6]]]


def test_views_and_boxes_that_a_recipe_would_lose(planted: Store, tmp_path: Path) -> None:
    table = planted.table.iloc[[0, 1, 2]][["patient_id", "study_id", "image_id", "split"]].assign(view="")
    boxes = ['[{"finding": "mass", "box": [0, 0, 260, 300.5]}]', '[{"finding": "mass", "box": [9, 9, 400, 20]}]', ""]
    paths = [str(planted.path.parent / f"{name}.png") for name in table["image_id"]]
    store = prepare(Manifest(table.assign(boxes=boxes, path=paths)), tmp_path, Preprocess(size=64), workers=0)
    issues = {issue.kind: issue for issue in find_data_issues(store)}
    assert issues["view"].message.startswith("no image of train has the view PA or AP (unknown 3)")
    assert issues["view"].rows.tolist() == [0, 1, 2]
    assert issues["boxes"].rows.tolist() == [1]


def test_a_leak_is_called_a_leak(planted: Store) -> None:
    messages = [c.message for c in find_data_issues(planted) if c.kind == "duplicate"]
    assert messages[0].startswith("1 pairs of the same image in two splits")
    assert messages[1].startswith("1 pairs of the same image under two patients")


def test_disagreements_are_counted_over_what_both_say(planted: Store) -> None:
    assert disagreement_table(planted).to_dict("records") == [
        {"finding": "edema", "both": 2, "label_present": 1, "label_absent": 0}
    ]


def test_pairs_against_a_slow_search() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, 256, (60, 32), np.uint8)
    codes[40:] = codes[:20] ^ np.packbits(random.random((20, 256)) < 0.1, axis=1)
    bits = np.unpackbits(codes, axis=1)
    expected = {(i, j) for i in range(60) for j in range(i + 1, 60) if int((bits[i] != bits[j]).sum()) <= 25}
    assert 3 < len(expected) < 20
    assert set(map(tuple, duplicate_pairs(codes, 25).tolist())) == expected
    assert duplicate_pairs(codes[:0], 25).shape == (0, 2)
    turned = codes[::-1].copy()  # row i asks with the code of row 59 - i
    asked = {
        (min(i, j), max(i, j))
        for i in range(60)
        for j in range(60)
        if i != j and int((bits[59 - i] != bits[j]).sum()) <= 25
    }
    assert len(asked) > 20
    assert set(map(tuple, duplicate_pairs(codes, 25, turned).tolist())) == asked


def test_command_writes_page_table_and_json(planted: Store, tmp_path: Path) -> None:
    page, table = tmp_path / "check.html", tmp_path / "issues.csv"
    run = CliRunner().invoke(
        app, ["data", "check", str(planted.path), "-o", str(page), "--table", str(table), "--json"]
    )
    assert run.exit_code == 1
    kinds = [c["kind"] for c in json.loads(run.stdout)]
    assert kinds == ["duplicate", "duplicate", "constant", "polarity", "disagreement", "report"]
    lines = pd.read_csv(table).fillna("").to_numpy().tolist()
    assert ["duplicate", "own0", "copy0"] in lines
    assert ["constant", "empty", ""] in lines
    html = page.read_text()
    assert html.count("data:image") > 12
    assert "own0" not in html  # pictures, rows and labels, but no id and no report text
    assert "As discussed" not in html


def test_command_without_issues_and_without_store(planted: Store, tmp_path: Path) -> None:
    rows = [i for i, name in enumerate(planted.table["image_id"]) if name in ("own5", "own6")]
    paths = [str(planted.path.parent / f"own{i}.png") for i in (5, 6)]
    table = planted.table.iloc[rows][["patient_id", "study_id", "image_id", "view", "split"]].assign(path=paths)
    prepare(Manifest(table), tmp_path / "clean", Preprocess(size=64), workers=0)
    clean = CliRunner().invoke(app, ["data", "check", str(tmp_path / "clean")])
    assert clean.exit_code == 0
    assert "2 images; no issues found" in clean.output
    nothing = CliRunner().invoke(app, ["data", "check", str(tmp_path / "nowhere")])
    assert nothing.exit_code == 2
    assert "no store at" in " ".join(nothing.output.split())
