import json

import numpy as np
import pandas as pd
import pytest

from medvlp.data import Manifest, Preprocess, prepare
from medvlp.evaluation import Protocol, evaluate_retrieval
from medvlp.evaluation.retrieval import _by_image, _by_report
from medvlp.io import ReadError
from medvlp.tasks import ReportIndex, TaskError, index_store, index_table, load

NOTICE = "Trained on generated data. Not for clinical use."


@pytest.fixture(scope="module")
def index_folder(model, model_folder, store, tmp_path_factory):
    index = index_store(model.trained, model_folder, store, split="train")
    return index.save(tmp_path_factory.mktemp("retrieval") / "index")


def test_an_image_finds_a_report_that_says_what_it_shows(model, index_folder, pictures, store):
    rows = store.rows("test")
    right = 0
    for row in rows:
        hits = model.retrieve(index_folder, image=pictures.table["path"].iloc[row], k=3)
        assert hits["rank"].tolist() == [1, 2, 3]
        assert (np.diff(hits["similarity"]) <= 0).all()
        right += hits["report"][0] == store.reports[store.table["report"].iloc[row]].text.removeprefix("FINDINGS: ")
    assert right / len(rows) > 0.8


def test_words_find_images_that_show_it(model, index_folder, store):
    text = "There is pleural effusion. No pneumothorax. No cardiomegaly."
    hits = model.retrieve(index_folder, text=text, k=4)
    first = store.table.set_index("image_id").loc[hits["image_id"][0]]
    assert first[["pleural_effusion", "pneumothorax", "cardiomegaly"]].tolist() == [1, 0, 0]
    assert hits.columns.tolist() == ["rank", "similarity", "image_id", "study_id", "report_id"]


def test_the_folder_holds_distinct_reports_without_their_headings(index_folder, store):
    index = ReportIndex.load(index_folder)
    assert len(index.reports) == 8  # three findings, present or not
    assert len(index.images) == 50
    assert not index.reports["report"].str.contains("FINDINGS").any()
    first = index.reports.iloc[0]
    assert set(first["findings"].split()) >= {
        f for f in ("pleural_effusion", "pneumothorax") if f"There is {f.replace('_', ' ')}" in first["report"]
    }
    words = index.reports.set_index("report_id")["report"].loc[index.images["report_id"]].tolist()
    assert words == [store.reports.texts[n].removeprefix("FINDINGS: ") for n in store.table["report"][:50]]
    card = json.loads((index_folder / "index.json").read_text())
    assert (card["notice"], card["store"], card["split"]) == (NOTICE, store.hash, "train")


def test_similarities_are_cosines_of_the_embeddings(model, index_folder, pictures):
    path = pictures.table["path"].iloc[60]
    hits = model.retrieve(index_folder, image=path, k=100)
    assert len(hits) == 8  # k beyond the gallery gives all of it
    cosines = model.embed(texts=hits["report"]) @ model.embed(path)[0]
    np.testing.assert_allclose(hits["similarity"], cosines, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(model.embed([path, path]), axis=1), 1, atol=1e-5)


def test_a_table_of_reports_is_indexed_and_rows_without_text_are_counted(model, model_folder, tmp_path):
    table = pd.DataFrame(
        {
            "report_id": ["a", "b", "c"],
            "report": ["HISTORY: cough.\nFINDINGS: There is pneumothorax.", "  ", "No pneumothorax."],
        }
    )
    index, skipped = index_table(model.trained, model_folder, table)
    assert skipped == 1
    assert index.reports["report"].tolist() == ["There is pneumothorax.", "No pneumothorax."]
    assert index.reports["findings"].tolist() == ["pneumothorax", ""]
    again = ReportIndex.load(index.save(tmp_path / "index"))
    assert again.reports.equals(index.reports)
    with pytest.raises(TaskError, match="holds reports only"):
        again.images_for(model.embed(texts="x"))


def test_doubted_findings_are_none_of_a_table_of_reports(model, model_folder):
    text = "There is pneumothorax. Possible cardiomegaly. No pleural effusion."
    index, _ = index_table(model.trained, model_folder, pd.DataFrame({"report": [text]}))
    assert index.reports["findings"].tolist() == ["pneumothorax"]


@pytest.mark.parametrize(
    ("table", "message"),
    [({"text": ["x"]}, "no column 'report'; it has text"), ({"report": ["", " "]}, "no row of the table")],
)
def test_a_table_without_reports_is_refused(model, model_folder, table, message):
    with pytest.raises(TaskError, match=message):
        index_table(model.trained, model_folder, pd.DataFrame(table))


def test_an_index_is_refused_with_other_weights(index_folder, textless_folder):
    with pytest.raises(TaskError, match="other weights"):
        ReportIndex.load(index_folder).check_model(textless_folder)


def test_no_index_says_how_to_make_one(tmp_path):
    with pytest.raises(TaskError, match="medvlp retrieve build"):
        ReportIndex.load(tmp_path)


def test_a_method_without_text_is_refused(textless_folder, store):
    textless = load(textless_folder, "cpu")
    with pytest.raises(TaskError, match="unimodal is trained without text"):
        textless.embed(texts="x")
    with pytest.raises(TaskError, match="unimodal is trained without text"):
        evaluate_retrieval(textless.trained, store)


def test_a_store_without_reports_is_told(model, model_folder, pictures, tmp_path):
    silent = Manifest(pictures.table.iloc[60:64].assign(report=""), generated=True)
    store = prepare(silent, tmp_path / "store", Preprocess(size=64), workers=0)
    with pytest.raises(TaskError, match="in the split 'test' has a report"):
        evaluate_retrieval(model.trained, store)
    with pytest.raises(TaskError, match="has a report to index"):
        index_store(model.trained, model_folder, store)


def test_embed_and_retrieve_take_one_of_two(model, index_folder, tmp_path):
    with pytest.raises(TaskError, match="one of the two"):
        model.embed()
    with pytest.raises(TaskError, match="one of the two"):
        model.retrieve(index_folder)
    with pytest.raises(ReadError, match="no such file"):
        model.retrieve(index_folder, image=tmp_path / "none.png")


def test_texts_keep_their_order_whatever_their_length(model):
    texts = ["No pneumothorax.", "x", "There is cardiomegaly. No pneumothorax.", "No"]
    together = model.embed(texts=texts)
    alone = np.concatenate([model.embed(texts=t) for t in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_figures_on_a_split(model, store, tmp_path):
    got = evaluate_retrieval(model.trained, store, Protocol(resamples=50))
    figures = got.figures
    assert figures["finding_precision@1"].value > 0.8
    assert figures["finding_precision@1"].low > figures["finding_precision_chance"].high
    assert figures["image_to_report_recall@1"].value <= figures["image_to_report_recall@5"].value
    assert got.protocol["reports"] == 8
    saved = json.loads((got.save(tmp_path) / "result.json").read_text())
    assert saved["notice"] == NOTICE
    assert saved["figures"]["finding_precision@1"]["value"] == figures["finding_precision@1"].value


def test_by_hand():
    """Three images of patients a, a, b; reports 0 (of a), 1 (of a and b)."""
    images = np.array([[1, 0], [0, 1], [0.8, 0.6]], np.float32)
    reports = np.array([[1, 0], [0, 1]], np.float32)
    own, patients = np.array([0, 1, 1]), np.array(["a", "a", "b"], object)
    overlap = np.array([[1, 0.5], [0.5, 1], [0.25, 1]])
    got = _by_image(images, reports, own, patients, overlap)
    assert got["image_to_report_recall@1"].tolist() == [1, 1, 0]
    assert got["finding_precision@1"].tolist() == [0.5, 1, 0.25]  # report 0 is a's alone, report 1 is shared
    assert got["finding_precision_chance"].tolist() == [0.5, 1, 0.625]
    assert _by_report(images, reports, own)["report_to_image_recall@1"].tolist() == [1, 1]


def test_reports_and_images_beyond_the_first_block_find_their_own():
    vectors, own = np.eye(600, dtype=np.float32), np.arange(600)
    patients = np.array([f"p{i}" for i in own], object)
    found = _by_report(vectors, vectors, own) | _by_image(vectors, vectors, own, patients, np.eye(600))
    for name in ("report_to_image_recall@1", "image_to_report_recall@1"):
        assert found[name].tolist() == [1] * 600


def test_doubted_findings_are_no_overlap(model, pictures, tmp_path):
    """Present findings of four patients: pneumothorax; none; none; cardiomegaly. A doubt is not among them."""
    reports = ["There is pneumothorax.", "Possible pneumothorax.", "No pneumothorax.", "There is cardiomegaly."]
    rows = pictures.table.iloc[[60, 62, 64, 66]].drop(columns=["pleural_effusion", "pneumothorax", "cardiomegaly"])
    manifest = Manifest(rows.assign(report=reports), generated=True)
    store = prepare(manifest, tmp_path / "store", Preprocess(size=64), workers=0)
    got = evaluate_retrieval(model.trained, store, Protocol(resamples=5))
    assert got.images["finding_precision_chance"].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 0])


def test_a_report_is_resampled_with_the_patient_who_first_has_it(model, store):
    rows = store.rows("test")
    first = store.table.iloc[rows].drop_duplicates("report")["patient_id"]
    got = evaluate_retrieval(model.trained, store, Protocol(resamples=5)).figures
    assert got["report_to_image_recall@1"].n == first.nunique()
    assert got["image_to_report_recall@1"].n == 15
