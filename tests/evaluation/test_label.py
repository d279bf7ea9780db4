import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from medvlp.data import Preprocess, StoreError, prepare
from medvlp.evaluation import Protocol, compare_auroc, evaluate_labels
from medvlp.evaluation.label import label_result
from medvlp.evaluation.label_scores import LabelScores
from medvlp.io import read_image
from medvlp.io.tables import TableError
from medvlp.metrics import bootstrap_values, roc_curve
from medvlp.reports.states import FindingState
from medvlp.tasks import TaskError
from medvlp.training.model_folder import PreprocessingError

NOTICE = "Trained on generated data. Not for clinical use."
FINDINGS = ("pleural_effusion", "pneumothorax", "cardiomegaly")


def result(states, scores, names=("a", "b"), unmentioned="ignore"):
    states, scores = np.asarray(states, np.int8), np.asarray(scores, np.float32)
    ids = np.array([f"i{i}" for i in range(len(states))], object)
    patients = np.array([f"p{i // 2}" for i in range(len(states))], object)
    scored = LabelScores(
        names=tuple(names),
        image_ids=ids,
        patient_ids=patients,
        scores=scores,
        states=states,
        protocol={"unmentioned": unmentioned},
        notice=None,
    )
    return label_result(scored, Protocol(resamples=50))


@pytest.fixture
def noisy():
    rng = np.random.default_rng(0)
    states = rng.choice([-1, 0, 1, 2], size=(200, 2))
    return states, rng.normal(size=(200, 2)) + (states == 1)


def test_labels_are_those_of_the_method_one_row_a_file(model, pictures, store):
    files = pictures.table["path"].iloc[:5].tolist()
    table = model.label(files, batch_size=2)
    assert table.columns.tolist() == ["path", "modality", "view", "frame", *FINDINGS, "status", "remark", "notice"]
    assert table["path"].tolist() == files
    assert (table["status"] == "ok").all()
    assert (table["notice"] == NOTICE).all()
    pixels = torch.from_numpy(store.images(np.arange(5)))
    with torch.no_grad():
        expected = model.trained.method.score(store.preprocess.normalize(pixels), FINDINGS)
    np.testing.assert_allclose(table[list(FINDINGS)], expected, atol=1e-5)


def test_bad_files_have_a_row_with_the_reason_and_stop_nothing(model, pictures, tmp_path):
    whole = pictures.table["path"].iloc[0]
    (tmp_path / "cut.png").write_bytes(Path(whole).read_bytes()[:300])
    (tmp_path / "words.dcm").write_text("no image")
    table = model.label([tmp_path / "missing.dcm", whole, tmp_path / "cut.png", tmp_path / "words.dcm", whole])
    assert table["status"].tolist().count("ok") == 2
    assert "no such file" in table["status"][0]
    assert "damaged" in table["status"][2]
    assert table[list(FINDINGS)].isna().all(axis=1).tolist() == [True, False, True, True, False]
    np.testing.assert_allclose(table.loc[1, "pneumothorax"], table.loc[4, "pneumothorax"])


def test_one_file_or_one_image_in_memory(model, pictures):
    path = pictures.table["path"].iloc[0]
    from_memory = model.label(read_image(path), ["pneumothorax"])
    assert from_memory["path"].tolist() == [""]
    np.testing.assert_allclose(from_memory["pneumothorax"], model.label(path)["pneumothorax"], atol=1e-6)


def test_a_finding_that_nobody_knows_is_named_with_the_nearest(model, pictures):
    with pytest.raises(KeyError, match="pneumothorax"):
        model.label(pictures.table["path"].iloc[0], ["pneumotorax"])


def test_the_trained_model_tells_shapes_apart_on_other_patients(model, store):
    got = evaluate_labels(model.trained, store, Protocol(resamples=100))
    assert got.macro.value > 0.95
    assert set(got.findings) == set(FINDINGS)
    rows = store.rows("test")
    truth = store.states(FINDINGS)[rows] == FindingState.PRESENT
    assert [r.positives for r in got.findings.values()] == truth.sum(0).tolist()
    assert got.protocol["patients"] == 15
    assert got.protocol["store"] == store.hash
    assert got.notice == NOTICE


def test_only_present_and_absent_count(noisy):
    states, scores = noisy
    got = result(states, scores)
    for f, name in enumerate("ab"):
        known = np.isin(states[:, f], (0, 1))
        expected = roc_auc_score(states[known, f], scores[known, f])
        assert got.findings[name].auroc.value == pytest.approx(expected, abs=1e-6)
        assert got.findings[name].positives + got.findings[name].negatives == known.sum()
    assert got.macro.value == pytest.approx(np.mean([r.auroc.value for r in got.findings.values()]))


def test_unmentioned_as_negative_is_another_protocol(noisy):
    states, scores = noisy
    got = result(states, scores, unmentioned="negative")
    known = states[:, 0] != 2
    assert got.findings["a"].auroc.value == pytest.approx(
        roc_auc_score(states[known, 0] == 1, scores[known, 0]), abs=1e-6
    )
    assert got.findings["a"].negatives == np.isin(states[:, 0], (-1, 0)).sum()


def test_findings_without_both_classes_are_left_out_with_the_count(noisy):
    states, scores = noisy
    states = states.copy()
    states[states[:, 1] == 1, 1] = 0
    got = result(states, scores)
    assert list(got.findings) == ["a"]
    assert got.left_out == {"b": f"0 positives and {(states[:, 1] == 0).sum()} negatives are known"}
    assert got.macro.value == got.findings["a"].auroc.value
    with pytest.raises(TaskError, match="no finding has both"):
        result(np.full((4, 2), -1), np.zeros((4, 2)))


def test_files_hold_the_figures_the_scores_and_the_curves(noisy, tmp_path):
    got = result(*noisy)
    got.save(tmp_path / "out")
    saved = json.loads((tmp_path / "out" / "result.json").read_text())
    assert saved["findings"]["a"]["auroc"]["value"] == got.findings["a"].auroc.value
    table = pd.read_csv(tmp_path / "out" / "result.csv")
    assert table["finding"].tolist() == ["a", "b", "macro"]
    assert table["auroc_low"].iloc[0] == pytest.approx(got.findings["a"].auroc.low)
    scores = pd.read_csv(tmp_path / "out" / "scores.csv", dtype=str, keep_default_na=False)
    assert set(scores["a_label"]) == {"1", "0", "u", ""}
    curves = pd.read_csv(tmp_path / "out" / "roc.csv")
    assert curves.groupby("finding").size().to_dict() == {"a": 101, "b": 101}
    assert (curves["low"] <= curves["high"]).all()


def test_two_models_are_compared_patient_by_patient(noisy):
    states, scores = noisy
    better = result(states, scores + 3 * (states == 1))
    difference = compare_auroc(better, result(states, scores))
    assert list(difference) == ["a", "b", "macro"]
    assert difference["macro"].low > 0
    assert difference["a"].value == pytest.approx(
        better.findings["a"].auroc.value - result(states, scores).findings["a"].auroc.value
    )
    with pytest.raises(TaskError, match="different images"):
        compare_auroc(better, result(states[:100], scores[:100]))
    with pytest.raises(TaskError, match="different labels"):
        compare_auroc(better, result(states, scores, unmentioned="negative", names=("b", "a")))


def test_findings_are_compared_by_name_in_whatever_order(noisy):
    states, scores = noisy
    better, plain = result(states, scores + 3 * (states == 1)), result(states, scores)
    turned = result(states[:, ::-1], scores[:, ::-1], names=("b", "a"))
    assert compare_auroc(better, turned) == compare_auroc(better, plain)


def test_the_band_of_a_curve_leaves_out_a_fortieth_at_each_side(noisy):
    got = result(*noisy)
    band, ranked = got.roc("a"), np.sort(bootstrap_values(roc_curve, *got.columns("a"), n=50, seed=0), axis=1)
    # of 50 sorted values, a fortieth of the way is 49 / 40 = 1.225 values from either end
    np.testing.assert_allclose(band["low"], 0.775 * ranked[:, 1] + 0.225 * ranked[:, 2])
    np.testing.assert_allclose(band["high"], 0.775 * ranked[:, 48] + 0.225 * ranked[:, 47])


def test_labels_of_a_file_replace_those_of_the_store(model, store, tmp_path):
    rows = store.table.iloc[store.rows("test")]
    own = rows[["image_id"]].assign(pneumothorax=["1", "0", "u", ""] * 7 + ["1", "0"])
    own.sample(frac=1, random_state=0).to_csv(tmp_path / "labels.csv", index=False)
    got = evaluate_labels(model.trained, store, Protocol(labels=tmp_path / "labels.csv", resamples=20))
    assert (got.findings["pneumothorax"].positives, got.findings["pneumothorax"].negatives) == (8, 8)
    assert got.states[:, got.names.index("pneumothorax")].tolist() == [1, 0, 2, -1] * 7 + [1, 0]
    assert set(got.left_out) == {"pleural_effusion", "cardiomegaly"}
    assert got.protocol["labels"] == "labels.csv"


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"image_id": ["image60"], "pneumothorax": ["maybe"]}, TaskError, "none of the four states"),
        ({"image": ["image60"], "pneumothorax": ["1"]}, TableError, "no column 'image_id'"),
        ({"image_id": ["image60", "image60"], "pneumothorax": ["1", "0"]}, TaskError, "more than one row"),
        ({"image_id": ["other"], "pneumothorax": ["1"]}, TaskError, "no row or no column"),
    ],
)
def test_a_table_of_labels_that_does_not_fit_is_refused(model, store, tmp_path, columns, error, message):
    pd.DataFrame(columns).to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(error, match=message):
        evaluate_labels(model.trained, store, Protocol(labels=tmp_path / "labels.csv"))


def test_a_store_prepared_otherwise_is_refused_with_what_differs(model, pictures, tmp_path):
    other = prepare(pictures.select(np.arange(60, 64)), tmp_path / "store", Preprocess(size=48), workers=0)
    with pytest.raises(PreprocessingError, match="size: 48 against 64"):
        evaluate_labels(model.trained, other)


def test_an_empty_split_is_told(model, store):
    with pytest.raises(StoreError, match="the test split has no LATERAL images, its 30 are PA 30"):
        evaluate_labels(model.trained, store, Protocol(views=["LATERAL"]))
