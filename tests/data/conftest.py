"""Small data sets on disk: 8 pictures of 4 patients, one broken, with reports, labels and a mask; and CT volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from medvlp.data import Manifest, Store, prepare

REPORTS = [
    "FINDINGS: There is a small left pleural effusion. No pneumothorax.\nIMPRESSION: Small left pleural effusion.",
    "FINDINGS: The lungs are clear. No pleural effusion. No pneumothorax.\nIMPRESSION: No acute process.",
    "",
    "FINDINGS: Possible pneumonia in the right lower lobe.\nIMPRESSION: Possible pneumonia.",
]


@pytest.fixture(scope="session")
def small_table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Rows of a manifest whose sixth image is cut off in the middle."""
    folder = tmp_path_factory.mktemp("small")
    random = np.random.default_rng(0)
    rows = []
    for i in range(8):
        patient = i // 2
        path = folder / f"image{i}.png"
        height, width = (60, 80) if i % 2 else (80, 60)
        Image.fromarray(random.integers(0, 256, (height, width), np.uint8)).save(path)
        rows.append(
            {
                "patient_id": f"p{patient}",
                "study_id": f"s{i // 2}",
                "image_id": f"image{i}",
                "path": str(path),
                "view": "LATERAL" if i % 2 else "PA",
                "split": "test" if patient == 3 else "train",
                "report": REPORTS[patient],
                "source": "a" if patient < 3 else "b",
                "cardiomegaly": ["1", "0", "u", ""][patient] if patient < 3 else "",
                "mask_lungs": "",
            }
        )
    broken = Path(rows[5]["path"])
    broken.write_bytes(broken.read_bytes()[:300])
    mask = np.zeros((80, 60), bool)
    mask[20:60, 15:45] = True
    np.savez(folder / "mask0.npz", lungs=mask)
    rows[0]["mask_lungs"] = str(folder / "mask0.npz#lungs")
    rows[2]["mask_lungs"] = str(folder / "absent.npz#lungs")
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def small_manifest(small_table: pd.DataFrame) -> Manifest:
    return Manifest(small_table)


@pytest.fixture(scope="session")
def small_store(small_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    from medvlp.data import Preprocess

    return prepare(small_manifest, tmp_path_factory.mktemp("store") / "small", Preprocess(size=32), workers=0)


SHAPE = (20, 24, 28)  # to the head, the front, the right
SPACING = (4.0, 3.0, 3.0)

PLANTED = {
    "PatientName": "PLANTEDNAME^ANNA",
    "PatientID": "PLANTEDID-4711",
    "PatientBirthDate": "19430217",
    "AccessionNumber": "PLANTEDACC99",
    "StudyDate": "20190304",
    "InstitutionName": "PLANTEDHOSPITAL",
    "SeriesDescription": "PLANTEDSERIES of Mrs A",
}
TRACES = ("PLANTED", "19430217", "20190304", "4711")


def _phantom(seed: int = 0) -> NDArray[np.int16]:
    """`[D, H, W]` in HU: a lumpy body in air, bone at the right, metal at the top, a soft ball in front."""
    random = np.random.default_rng(seed)
    volume = np.full(SHAPE, -1000, np.int16)
    volume[2:18, 4:20, 4:24] = np.kron(random.integers(-900, 200, (8, 4, 10)), np.ones((2, 4, 2)))
    volume[4:16, 8:16, 20:23] = 1000
    volume[16:18, 8:16, 8:12] = 5000  # beyond what is stored
    volume[6:10, 16:20, 10:16] = 300
    return volume


def _write_nifti(path: Path, volume: NDArray[np.int16], flipped: bool = False) -> Path:
    """NIfTI whose voxels run to the right, the front and the head, or with `flipped` to the left, the back and the
    feet, as its affine says."""
    array = volume.transpose(2, 1, 0)
    affine = np.diag([SPACING[2], SPACING[1], SPACING[0], 1.0])
    if flipped:
        array = array[::-1, ::-1, ::-1]
        affine[:3, 3] = np.diag(affine)[:3] * (np.array(array.shape) - 1)
        affine[:3, :3] *= -1
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def _write_series(folder: Path, volume: NDArray[np.int16], patient: str = "", study: str = "1.2.3.4711") -> Path:
    """DICOM slices of one CT series, in no order, with identifiers in their headers."""
    folder.mkdir(parents=True, exist_ok=True)
    series, frame = generate_uid(), generate_uid()
    for index, name in enumerate(np.random.default_rng(0).permutation(len(volume))):
        rows = volume[index, ::-1, ::-1] + 1024  # DICOM's rows run to the back and its columns to the left
        _write_slice(
            rows.clip(0, 4095).astype(np.uint16), index, series, frame, patient, study, folder / f"{name:03d}.dcm"
        )
    return folder


def _write_slice(
    stored: NDArray[np.uint16], index: int, series: str, frame: str, patient: str, study: str, path: Path
) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    for keyword, value in PLANTED.items():
        setattr(data, keyword, value)
    data.PatientID = PLANTED["PatientID"] + patient
    request = Dataset()
    request.AccessionNumber = "PLANTEDNESTED"
    data.RequestAttributesSequence = [request]
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
    data.Modality, data.PhotometricInterpretation, data.SamplesPerPixel = "CT", "MONOCHROME2", 1
    data.Rows, data.Columns = stored.shape
    data.ImagePositionPatient = [0.0, 0.0, index * SPACING[0]]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.PixelSpacing = [SPACING[1], SPACING[2]]
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = stored.tobytes()
    data.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="session")
def ct() -> SimpleNamespace:
    """`ct.phantom(seed)`, `ct.nifti(path, volume)`, `ct.series(folder, volume)`, and what is planted in its headers."""
    return SimpleNamespace(
        phantom=_phantom, nifti=_write_nifti, series=_write_series, shape=SHAPE, spacing=SPACING, traces=TRACES
    )


@pytest.fixture(scope="session")
def volume_manifest(ct: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Five CTs of four patients: NIfTI (one turned, one with a mask, one cut off in the middle) and a DICOM series."""
    folder = tmp_path_factory.mktemp("volumes")
    paths = [ct.nifti(folder / f"{i}.nii.gz", ct.phantom(i), flipped=i == 1) for i in range(4)]
    paths[3].write_bytes(paths[3].read_bytes()[:-400])
    paths.append(ct.series(folder / "series", ct.phantom(4)))
    ct.nifti(folder / "mask.nii.gz", (ct.phantom(2) == 300).astype(np.int16))
    names = [f"ct{i}" for i in range(5)]
    rows = {
        "patient_id": ["p0", "p1", "p2", "p3", "p0"],
        "study_id": names,
        "image_id": names,
        "path": [str(path) for path in paths],
        "modality": "CT",
        "split": ["train", "train", "test", "train", "train"],
        "report": [REPORTS[0], "", REPORTS[1], "", REPORTS[3]],
        "source": "ours",
        "emphysema": ["1", "0", "", "", "u"],
        "mask_ball": ["", "", f"{folder / 'mask.nii.gz'}#1", "", ""],
    }
    return Manifest(pd.DataFrame(rows))


@pytest.fixture(scope="session")
def volume_store(volume_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Cubes of 24 voxels of 4 x 4 x 6 mm."""
    from medvlp.data import VolumePreprocess

    return prepare(volume_manifest, tmp_path_factory.mktemp("ct") / "store", VolumePreprocess(24, (4, 4, 6)), workers=0)


@pytest.fixture
def layout(tmp_path: Path) -> Callable[..., Path]:
    """`layout({"table.csv": text}, ["images/a.png"])` writes tables and empty images below a new folder."""

    def write(tables: dict[str, str], images: Sequence[str] = ()) -> Path:
        for name, text in tables.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        for name in images:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return write


@pytest.fixture
def restored_sources() -> Iterator[None]:
    """Sources that a test registers are forgotten afterwards."""
    from medvlp.data import SOURCES

    SOURCES.names()
    before = dict(SOURCES._members)
    yield
    SOURCES._members.clear()
    SOURCES._members.update(before)
