"""The verbs as people type them: what is printed and written, and the exit status (0 done, 1 some failed, 2 usage)."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from medvlp.cli.main import app

NOTICE = "Trained on generated data. Not for clinical use."
FINDINGS = ["pleural_effusion", "pneumothorax", "cardiomegaly"]


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def files(pictures):
    return pictures.table["path"].iloc[60:63].tolist()


@pytest.fixture
def bad_file(tmp_path):
    path = tmp_path / "bad.dcm"
    path.write_bytes(b"no image")
    return path


def test_label_writes_a_row_for_each_file_of_a_folder(model_folder, files, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i, path in enumerate(files):
        Image.open(path).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("no image")
    done = run("label", model_folder, folder, "-o", tmp_path / "new" / "labels.csv")
    assert done.exit_code == 0
    table = pd.read_csv(tmp_path / "new" / "labels.csv")
    assert table.columns.tolist() == ["path", "modality", "view", "frame", *FINDINGS, "status", "remark", "notice"]
    assert (table["notice"] == NOTICE).all()
    assert len(table) == 3
    assert "3 files labeled, 0 could not be read" in done.stderr


def test_label_goes_on_after_bad_files_and_says_so(model_folder, files, bad_file, tmp_path):
    done = run("label", model_folder, bad_file, files[0], tmp_path / "none.png")
    assert done.exit_code == 1
    rows = pd.read_csv(pd.io.common.StringIO(done.stdout))
    assert (rows["status"] == "ok").tolist() == [False, True, False]
    assert "none.png: no such file" in done.stderr


def test_label_takes_findings_and_answers_programs(model_folder, files):
    done = run("label", model_folder, files[0], "--findings", "pneumothorax, edema", "--json")
    assert done.exit_code == 0
    (row,) = json.loads(done.stdout)
    assert list(row) == ["path", "modality", "view", "frame", "pneumothorax", "edema", "status", "remark", "notice"]
    assert 0 <= row["edema"] <= 1


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--findings", "pneumotorax"], 'did you mean "pneumothorax"'),
        (["--findings", "phantom51"], 'unknown finding "phantom51"'),
    ],
)
def test_label_names_the_nearest_finding(model_folder, files, extra, message):
    done = run("label", model_folder, files[0], *extra)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_folder_without_weights_or_images_is_a_usage_error(model_folder, files, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "empty").mkdir()
    without = run("label", tmp_path / "model", files[0])
    assert (without.exit_code, "not a complete model folder" in without.stderr) == (2, True)
    nothing = run("label", model_folder, tmp_path / "empty")
    assert (nothing.exit_code, "no image in" in nothing.stderr) == (2, True)


def test_evaluate_prints_a_table_and_writes_the_files(model_folder, store, tmp_path):
    done = run("evaluate", model_folder, "--store", store.path, "--resamples", 20, "-o", tmp_path / "out")
    assert done.exit_code == 0
    assert "macro" in done.stdout
    assert NOTICE in done.stdout
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"result.json", "result.csv", "scores.csv", "roc.csv"}
    assert (pd.read_csv(tmp_path / "out" / "scores.csv")["notice"] == NOTICE).all()


@pytest.mark.parametrize("task", ["label", "retrieval", "grounding"])
def test_evaluate_answers_programs(model_folder, store, task):
    done = run("evaluate", model_folder, "--store", store.path, "--task", task, "--resamples", 20, "--json")
    assert done.exit_code == 0
    answer = json.loads(done.stdout)
    assert (answer["task"], answer["notice"], answer["protocol"]["split"]) == (task, NOTICE, "test")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--task", "segmentation"], "no segmentation head"),
        (["--split", "testing"], 'no split "testing"; did you mean "test"'),
        (["--store", "/nowhere"], "no store at /nowhere"),
        (["--findings", "hernia"], "no finding has both"),
        (["--labels", "/nowhere.csv"], "/nowhere.csv"),
    ],
)
def test_evaluate_says_what_does_not_fit(model_folder, store, extra, message):
    done = run("evaluate", model_folder, "--store", store.path, *extra)
    assert done.exit_code == 2
    assert message in done.stderr


def test_finetune_then_segment(model_folder, store, files, bad_file, tmp_path):
    recipe = tmp_path / "lungs.yaml"
    recipe.write_text(
        f"structures: [lungs]\ndecoder: {{width: 4}}\ndata: {{store: {store.path}, batch_size: 10}}\n"
        "training: {max_steps: 2, warmup_steps: 1, precision: 32}\n"
    )
    trained = run("finetune", recipe, f"encoder.model={model_folder}", "--out", tmp_path / "lungs", "--json")
    assert trained.exit_code == 0
    assert json.loads(trained.stdout)["notice"] == NOTICE
    misspelled = run("finetune", recipe, "trainng.epochs=3", "--out", tmp_path / "other")
    assert (misspelled.exit_code, 'did you mean "training"' in misspelled.stderr) == (2, True)

    done = run("segment", tmp_path / "lungs", *files, bad_file, "-o", tmp_path / "masks")
    assert done.exit_code == 1
    table = pd.read_csv(tmp_path / "masks" / "segmentation.csv")
    assert (table["status"] == "ok").tolist() == [True, True, True, False]
    assert (table["notice"] == NOTICE).all()
    masks = sorted((tmp_path / "masks").rglob("*_lungs.png"))
    assert len(masks) == 3
    assert len(list((tmp_path / "masks").rglob("*_overlay.png"))) == 3
    mask = Image.open(masks[0])
    assert (mask.size, mask.mode, mask.text["Comment"]) == ((64, 48), "L", NOTICE)
    assert set(np.unique(mask)) <= {0, 255}


def test_retrieve_builds_and_answers(model_folder, store, files, tmp_path):
    built = run("retrieve", "build", model_folder, "--store", store.path, "--split", "train", "-o", tmp_path / "index")
    assert built.exit_code == 0
    assert "8 reports, 50 images" in built.stdout
    by_image = run("retrieve", "query", tmp_path / "index", "--image", files[0], "-k", 2, "--json")
    answer = json.loads(by_image.stdout)
    assert answer["notice"] == NOTICE
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2]
    by_text = run("retrieve", "query", tmp_path / "index", "--text", "There is pneumothorax.", "-k", 1)
    assert "image_id: image" in by_text.stdout
    assert NOTICE in by_text.stdout


def test_retrieve_counts_reports_without_text(model_folder, tmp_path):
    pd.DataFrame({"report": ["No pneumothorax.", ""]}).to_csv(tmp_path / "reports.csv", index=False)
    done = run("retrieve", "build", model_folder, "--table", tmp_path / "reports.csv", "-o", tmp_path / "index")
    assert done.exit_code == 1
    assert "1 reports, 0 images; 1 rows without text" in done.stdout


def test_retrieve_wants_one_of_two(model_folder, tmp_path):
    assert run("retrieve", "build", model_folder, "-o", tmp_path / "index").exit_code == 2
    assert run("retrieve", "query", tmp_path / "index").exit_code == 2
    missing = run("retrieve", "query", tmp_path / "index", "--text", "x")
    assert (missing.exit_code, "is no index" in missing.stderr) == (2, True)


def test_ground_draws_at_the_size_of_the_file(model_folder, files, bad_file, tmp_path):
    done = run("ground", model_folder, files[0], "pneumothorax", "-o", tmp_path / "heat.png", "--json")
    assert done.exit_code == 0
    answer = json.loads(done.stdout)
    assert 0 <= answer["peak"]["row"] < answer["peak"]["height"] == 48
    picture = Image.open(tmp_path / "heat.png")
    assert (picture.size, picture.mode, picture.text["Comment"]) == ((64, 48), "RGB", NOTICE)
    refused = run("ground", model_folder, bad_file, "pneumothorax", "-o", tmp_path / "other.png")
    assert (refused.exit_code, (tmp_path / "other.png").exists()) == (2, False)


def test_ground_needs_a_method_that_reads_text(textless_folder, files, tmp_path):
    done = run("ground", textless_folder, files[0], "pneumothorax", "-o", tmp_path / "heat.png")
    assert done.exit_code == 2
    assert "unimodal is trained without text" in done.stderr
