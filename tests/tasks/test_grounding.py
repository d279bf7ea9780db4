import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from medvlp.evaluation import GroundingOptions, Protocol, evaluate_grounding
from medvlp.evaluation.grounding import boxed_rows
from medvlp.io import read_image
from medvlp.metrics import box_mask, cnr, pointing_game
from medvlp.tasks import TaskError
from medvlp.tasks.ground import ground_files

NOTICE = "Trained on generated data. Not for clinical use."


@pytest.fixture
def pointer(model, monkeypatch):
    """The model, made to point at bright places: the boxes of the pictures are brighter than all else."""
    asked = []

    def heat_map(images, phrase):
        asked.append(phrase)
        return torch.nn.functional.avg_pool2d(images, 4)[:, 0]

    monkeypatch.setattr(model.trained.method, "heat_map", heat_map)
    model.asked = asked
    return model


def test_maps_and_boxes_meet_in_the_letterbox(pointer, store):
    got = evaluate_grounding(pointer.trained, store, Protocol(resamples=50))
    assert got.macro["cnr"].value > 1
    # a picture with several findings has several bright places: its maximum is in one of them
    alone = got.pairs.groupby("image_id").filter(lambda rows: len(rows) == 1)
    assert len(alone) >= 5
    assert (alone["pointing"] == 1).all()
    assert (alone["miou"] > 0.5).all()
    assert got.pairs["chance"].between(0.05, 0.15).all()


def test_a_phrase_is_asked_for_each_finding_and_only_where_it_has_a_box(pointer, store):
    options = GroundingOptions(phrases={"pneumothorax": "air at the apex"})
    got = evaluate_grounding(pointer.trained, store, Protocol(resamples=10), options)
    assert set(pointer.asked) == {"pleural effusion", "air at the apex", "cardiomegaly"}
    truth = store.table.iloc[store.rows("test")]
    counts = got.pairs["finding"].value_counts()
    assert counts["pneumothorax"] == (truth["pneumothorax"] == 1).sum()


def test_the_macro_is_the_mean_of_the_findings(pointer, store, tmp_path):
    got = evaluate_grounding(pointer.trained, store, Protocol(resamples=50))
    for name, estimate in got.macro.items():
        assert estimate.value == pytest.approx(np.mean([each[name].value for each in got.findings.values()]))
    saved = json.loads((got.save(tmp_path) / "result.json").read_text())
    assert saved["macro"]["pointing"]["value"] == got.macro["pointing"].value
    assert (pd.read_csv(tmp_path / "pairs.csv")["notice"] == NOTICE).all()


def test_boxes_of_one_finding_are_merged_by_row(store):
    boxed = boxed_rows(store, store.rows("test"), ("pneumothorax", "edema"))
    assert list(boxed) == ["pneumothorax"]
    assert all(len(boxes) == 1 for boxes in boxed["pneumothorax"].values())
    two = [{"finding": "edema", "box": [0, 0, 2, 2]}, {"finding": "edema", "box": [5, 5, 9, 9]}]
    table = pd.DataFrame({"boxes": ["", json.dumps(two)]})
    assert boxed_rows(SimpleNamespace(table=table), np.arange(2), ("edema",)) == {
        "edema": {1: [[0, 0, 2, 2], [5, 5, 9, 9]]}
    }


def test_a_split_without_such_boxes_is_told(model, store):
    with pytest.raises(TaskError, match="has a box of these findings"):
        evaluate_grounding(model.trained, store, Protocol(findings=("edema",)))


def test_a_heat_map_has_the_size_of_the_file_and_points_at_the_original_place(pointer, pictures, store):
    row = next(r for r in store.rows("test") if len(json.loads(pictures.table["boxes"].iloc[r])) == 1)
    path, (item,) = pictures.table["path"].iloc[row], json.loads(pictures.table["boxes"].iloc[row])
    heat = pointer.ground(path, "a bright place")
    region = box_mask(item["box"], (48, 64))
    assert heat.shape == (48, 64)
    assert pointing_game(heat, region) == 1
    assert cnr(heat, region) > 1
    np.testing.assert_array_equal(pointer.ground(read_image(path), "a bright place"), heat)


def test_bad_files_are_given_with_their_reason(model, pictures, tmp_path):
    whole = pictures.table["path"].iloc[0]
    missing, read = ground_files(model.trained, [tmp_path / "none.png", whole], "pneumothorax")
    assert (missing.file.status, missing.heat) == ("no such file", None)
    assert read.heat.shape == (48, 64)


def test_an_empty_phrase_is_refused(model, pictures):
    with pytest.raises(TaskError, match="phrase is empty"):
        model.ground(pictures.table["path"].iloc[0], "  ")
