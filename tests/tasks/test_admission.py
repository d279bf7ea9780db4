"""What a model may be asked: headers, looks and words; a refused file is never `ok`, and no remark is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image as Picture
from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.data import Manifest, Store
from medvlp.io import Image, read_image
from medvlp.io.radiograph_header import refusal, remarks
from medvlp.tasks import Model, TaskError
from medvlp.tasks.admission import Admission, check_phrase
from medvlp.training.image_distribution import FILE, UNLIKE, ImageDistribution

SQUARE = np.zeros((16, 16), np.float32)
FINDINGS = ["pleural_effusion", "pneumothorax", "cardiomegaly"]


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "PT", "SEG", "SR", "MG", "NM", "XX"])
def test_another_modality_is_refused_with_its_name(modality: str) -> None:
    assert f"modality {modality}" in refusal(Image(SQUARE, modality=modality))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"modality": "OT", "object_class": "CT Image Storage"}, "no radiograph (CT Image)"),
        ({"modality": "DX", "body_part": "HAND"}, "another body part (HAND)"),
        ({"modality": "DX", "body_part": "PORT CHEST"}, ""),
        ({"modality": "CR", "object_class": "Computed Radiography Image Storage", "body_part": "CHEST"}, ""),
        ({"object_class": "Secondary Capture Image Storage"}, ""),
        ({}, ""),
    ],
)
def test_class_and_body_part_decide_where_the_modality_does_not(header: dict[str, str], reason: str) -> None:
    assert reason in refusal(Image(SQUARE, **header))
    assert bool(reason) == bool(refusal(Image(SQUARE, **header)))


def test_what_is_admitted_has_its_remarks() -> None:
    image = Image(SQUARE, modality="DX", view="LATERAL", frame=2, frames=6, burned_in=True, colored=True)
    assert [text.split()[0] for text in remarks(image, ["PA", "AP"])] == ["view", "frame", "annotation", "in"]
    assert remarks(replace(image, view="LL"), ["LATERAL"])[0] == "frame 3 of 6"
    assert remarks(Image(SQUARE, view="PA"), ["PA"]) == []


def test_force_admits_and_says_so() -> None:
    image = Image(SQUARE, modality="CT")
    assert Admission().check_header(image)[0].startswith("refused: a CT")
    assert Admission(force=True).check_header(image) == ("", [f"forced: {refusal(image)}"])


@pytest.mark.parametrize("phrase", ["banana on the table", "xyzzy", "the of", " "])
def test_a_phrase_without_a_known_word_is_refused(model: Model, pictures, phrase: str) -> None:
    with pytest.raises(TaskError):
        check_phrase(model.pretrained.book, phrase)
    with pytest.raises(TaskError):
        model.ground(pictures.table["path"].iloc[0], phrase)


def test_a_folder_knows_its_training_images(model_folder: Path, model: Model, store) -> None:
    known = ImageDistribution.load(model_folder)
    assert known is not None
    assert known.views == ("PA",)
    rows = store.rows("validate")
    with_store = Admission.of(model.pretrained)

    images = store.preprocess.normalize(torch.from_numpy(store.images(rows)))
    assert sum(map(bool, with_store.check_looks(images))) <= 1  # the limit is their 99th percentile
    noise = torch.randn(4, *images.shape[1:]) * 5
    assert with_store.check_looks(noise) == [[UNLIKE]] * 4


@pytest.mark.parametrize("use", ["label", "embed"])
def test_images_pass_the_network_once(
    model: Model, pictures: Manifest, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    """The answer and the check of looks read the same features."""
    trunk, passes = model.pretrained.trunk, []
    forward = trunk.forward_intermediates
    monkeypatch.setattr(trunk, "forward_intermediates", lambda *a, **k: (passes.append(1), forward(*a, **k))[1])
    getattr(model, use)(pictures.table["path"].tolist()[:3])
    assert len(passes) == 1


def test_features_that_are_there_give_the_same_remarks(model: Model, store: Store) -> None:
    admission = Admission.of(model.pretrained)
    images = store.preprocess.normalize(torch.from_numpy(store.images(store.rows("test"))))
    images = torch.cat([images, torch.randn(4, *images.shape[1:]) * 5])
    features = model.pretrained.method.image_encoder(images)
    assert admission.check_looks(images, features) == admission.check_looks(images)


def test_a_folder_without_them_says_so(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    older = replace(model.pretrained, training_images=None)
    assert Admission.of(older).check_looks(np.zeros((2, 1, 64, 64))) == [[], []]
    assert "unlike them are not flagged" in caplog.text
    with pytest.raises(TaskError, match='frames is "al"; did you mean "all"'):
        Admission.of(older, frames="al")  # type: ignore[arg-type]


def test_a_picture_unlike_the_training_images_is_flagged_in_its_row(model: Model, pictures, tmp_path: Path) -> None:
    assert (model.folder / FILE).is_file()
    random = np.random.default_rng(0)
    Picture.fromarray((random.random((64, 64, 3)) * 255).astype(np.uint8)).save(tmp_path / "noise.png")
    table = model.label([tmp_path / "noise.png", pictures.table["path"].iloc[0]], ["pneumothorax", "edema"])
    assert table["status"].tolist() == ["ok", "ok"]
    assert UNLIKE in table["remark"][0]
    assert "in color" in table["remark"][0]
    assert table["remark"].str.endswith("not trained on edema").all()


@pytest.fixture
def frames_file(pictures, tmp_path: Path) -> Path:
    """A TIFF of three pages."""
    pages = [Picture.open(path) for path in pictures.table["path"].iloc[:3]]
    pages[0].save(tmp_path / "three.tiff", save_all=True, append_images=pages[1:])
    return tmp_path / "three.tiff"


def test_all_frames_are_labeled_where_asked(model: Model, frames_file: Path, pictures) -> None:
    first = model.label(frames_file)
    assert (first["frame"].tolist(), first["remark"].str.contains("frame 1 of 3").tolist()) == ([1], [True])
    every = model.label(frames_file, frames="all")
    assert every["frame"].tolist() == [1, 2, 3]
    alone = model.label(pictures.table["path"].iloc[:3].tolist())
    np.testing.assert_allclose(every[FINDINGS], alone[FINDINGS], atol=1e-5)


def test_the_verbs_refuse_and_force(model_folder: Path, tmp_path: Path, ct_file: Path) -> None:
    def run(*given: object) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, [str(each) for each in given])
        return done.exit_code, done.stdout, done.stderr

    status, out, err = run("label", model_folder, ct_file, "--json")
    (row,) = json.loads(out)
    assert (status, row["modality"], row["status"][:13]) == (1, "CT", "refused: a CT")
    assert row["pneumothorax"] is None
    assert "1 refused (--force takes them)" in err
    status, _, _ = run("label", model_folder, ct_file, "--force", "-o", tmp_path / "labels.csv")
    table = pd.read_csv(tmp_path / "labels.csv", dtype=str)
    assert status == 0
    assert "forced: a CT" in table["remark"][0]
    assert len(table["pneumothorax"][0].split(".")[1]) == 4
    status, _, err = run("ground", model_folder, ct_file, "pneumothorax", "-o", tmp_path / "heat.png")
    assert (status, "refused: a CT" in err) == (2, True)
    status, out, _ = run("ground", model_folder, ct_file, "edema", "--force", "--json", "-o", tmp_path / "heat.png")
    assert (status, "not trained on edema" in json.loads(out)["remark"]) == (0, True)


@pytest.fixture
def ct_file(tmp_path: Path) -> Path:
    """A slice of a CT."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = CTImageStorage, meta.MediaStorageSOPInstanceUID, "CT"
    data.Rows, data.Columns, data.BitsAllocated, data.BitsStored, data.HighBit = 32, 32, 16, 12, 11
    data.PixelRepresentation, data.SamplesPerPixel, data.PhotometricInterpretation = 0, 1, "MONOCHROME2"
    data.PixelData = np.arange(1024, dtype=np.uint16).tobytes()
    data.save_as(tmp_path / "slice.dcm")
    assert read_image(tmp_path / "slice.dcm").object_class == "CT Image Storage"
    return tmp_path / "slice.dcm"
