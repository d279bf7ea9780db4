"""The archive on disk: official layout and columns, the same bytes from any number of workers, nothing identifying."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.uid import UID

from medvlp.io import read_image
from medvlp.phantom import FINDINGS, PhantomConfig, generate, write_contact_sheet
from medvlp.phantom.dicom import uid, write_dicom
from medvlp.phantom.layout import CHEXPERT, METADATA

PATIENTS, SIZE = 5, 64


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    done: list[int] = []
    root = generate(
        tmp_path_factory.mktemp("phantom") / "one",
        PATIENTS,
        seed=3,
        size=SIZE,
        workers=1,
        rle=0.5,
        progress=done.append,
    )
    assert done == list(range(1, PATIENTS + 1))
    return root


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def table(root: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(root / f"mimic-cxr-2.0.0-{name}.csv.gz")


def test_same_bytes_from_two_workers(archive: Path, tmp_path: Path) -> None:
    again = generate(tmp_path / "two", PATIENTS, seed=3, size=SIZE, workers=2, rle=0.5)
    assert digests(again) == digests(archive)


def test_a_patient_is_the_same_among_fewer(archive: Path, tmp_path: Path) -> None:
    fewer = digests(generate(tmp_path / "few", 2, seed=3, size=SIZE, workers=1, rle=0.5))
    whole = digests(archive)
    files = [name for name in fewer if name.startswith("files") or "masks" in name]
    assert len(files) > 4
    assert all(fewer[name] == whole[name] for name in files)


def test_official_layout(archive: Path) -> None:
    metadata = table(archive, "metadata")
    assert tuple(metadata.columns) == METADATA
    assert tuple(table(archive, "split").columns) == ("dicom_id", "study_id", "subject_id", "split")
    assert tuple(table(archive, "chexpert").columns) == ("subject_id", "study_id", *CHEXPERT)
    for row in metadata.itertuples():
        subject, study = f"p{row.subject_id}", f"s{row.study_id}"
        assert re.fullmatch(r"p1\d{7}", subject)
        assert re.fullmatch(r"s5\d{7}", study)
        assert re.fullmatch(r"([0-9a-f]{8}-){4}[0-9a-f]{8}", row.dicom_id)
        folder = archive / "files" / subject[:3] / subject
        assert (folder / study / f"{row.dicom_id}.dcm").is_file()
        assert (folder / f"{study}.txt").read_text().lstrip().startswith("FINAL REPORT")
    assert len(list(archive.rglob("*.dcm"))) == len(metadata)
    assert json.loads((archive / "phantom.json").read_text())["generated"] is True


def test_splits_keep_patients_together(archive: Path) -> None:
    split = table(archive, "split")
    assert (split.groupby("subject_id")["split"].nunique() == 1).all()
    assert set(split["split"]) <= {"train", "validate", "test"}


def test_truth_of_images(archive: Path) -> None:
    images = pd.read_csv(archive / "truth" / "images.csv").set_index("image_id")
    assert tuple(images.columns[-15:]) == FINDINGS
    objects = [json.loads(line) for line in (archive / "truth" / "objects.jsonl").read_text().splitlines()]
    stated = {(o["image_id"], o["finding"]) for o in objects}
    for image, row in images.iterrows():
        assert {f for f in FINDINGS if row[f]} == {f for i, f in stated if i == image}
        masks = np.load(archive / "truth" / "masks" / f"{image}.npz")
        assert {"lungs", "heart"} <= set(masks.files) == {"lungs", "heart", *(f for f in FINDINGS if row[f])}
        assert all(masks[name].dtype == bool and masks[name].shape == (SIZE, SIZE) for name in masks.files)
    for item in objects:
        x0, y0, x1, y1 = item["box"]
        mask = np.load(archive / "truth" / "masks" / f"{item['image_id']}.npz")[item["finding"]]
        assert mask[y0:y1, x0].any()
        assert mask[y1 - 1, x0:x1].any()
        assert item["size_mm"] > 0


def test_truth_of_sentences(archive: Path) -> None:
    texts = {path.stem: path.read_text() for path in archive.rglob("s5*.txt")}
    for line in (archive / "truth" / "sentences.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert texts[f"s{row['study_id']}"][row["start"] : row["end"]] == row["text"]


def test_files_are_twelve_bit_and_anonymous(archive: Path) -> None:
    kinds = set()
    for path in archive.rglob("*.dcm"):
        ds = pydicom.dcmread(path)
        kinds.add((ds.PhotometricInterpretation, str(ds.file_meta.TransferSyntaxUID)))
        assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation) == (16, 12, 11, 0)
        assert ds.pixel_array.max() <= 4095
        assert ds.BurnedInAnnotation == "NO"
        assert ds.ViewPosition in {"PA", "AP", "LL"}
        assert not any(ds.get(tag) for tag in ("PatientName", "PatientBirthDate", "AccessionNumber", "InstitutionName"))
        assert str(ds.PatientID) in path.parts[-3]
        for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            assert UID(ds[name].value).is_valid
        assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID
    assert {"MONOCHROME1", "MONOCHROME2"} == {photometric for photometric, _ in kinds}
    assert len({syntax for _, syntax in kinds}) == 2


def test_both_polarities_read_back_as_drawn(tmp_path: Path) -> None:
    config = PhantomConfig(seed=0, size=96)
    patient = config.patient(0)
    study = patient.studies[0]
    view = config.render(patient, study, 0)
    seen = set()
    for seed in range(12):
        path = tmp_path / f"{seed}.dcm"
        write_dicom(
            path,
            view.image,
            view.projection,
            key=(0, 0, 0, seed),
            subject=patient.number,
            study=study.number,
            day=study.day,
            time="120000",
            rng=np.random.default_rng(seed),
            compress=seed % 2 == 1,
        )
        ds = pydicom.dcmread(path)
        seen.add((ds.PhotometricInterpretation, "WindowCenter" in ds))
        image = read_image(path)
        np.testing.assert_allclose(image.array, view.image, atol=2 / 4095)
        assert image.spacing == pytest.approx((view.projection.pitch,) * 2, abs=1e-3)
    assert len(seen) == 4


def test_uid_depends_on_its_parts() -> None:
    assert uid("a", 1) == uid("a", 1) != uid("a", 2)
    assert uid("a", 1).is_valid


def test_folder_of_others_is_refused(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(FileExistsError, match="other files"):
        generate(tmp_path, 1)
    with pytest.raises(FileExistsError, match="other settings"):
        generate(archive, 1)
    with pytest.raises(ValueError, match="at least 1"):
        generate(tmp_path / "none", 0)


def test_sheet_shows_every_finding(tmp_path: Path) -> None:
    from PIL import Image

    write_contact_sheet(tmp_path / "sheet.png", seed=1, size=64)
    contact_sheet = Image.open(tmp_path / "sheet.png")
    assert contact_sheet.size == (4 * 64, 4 * (64 + 22))
    assert np.asarray(contact_sheet).std() > 20
