"""pydicom's test files and the real files of MEDVLP_REAL_DATA, against an independent computation of the standard."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom.data
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels import pixel_array

from medvlp.io import ReadError, read_image, read_volume

REAL = Path(os.environ.get("MEDVLP_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
OWN = Path(pydicom.data.__file__).parent / "test_files"
GREY_LEVEL = 1 / 255
NOT_IMAGES = {  # no pixels, or cut short on purpose
    "DICOMDIR-empty.dcm", "ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "MR_truncated.dcm", "UN_sequence.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm", "empty_charset_LEI.dcm", "meta_missing_tsyntax.dcm", "no_meta.dcm",
    "nested_priv_SQ.dcm", "no_meta_group_length.dcm", "priv_SQ.dcm", "reportsi.dcm", "rtplan.dcm", "rtstruct.dcm",
    "reportsi_with_empty_number_tags.dcm", "rtplan_truncated.dcm", "test-SR.dcm", "waveform_ecg.dcm",
    "report_dfl", "wave_dfl",
}  # fmt: skip


def real_files() -> list[Path]:
    return sorted((REAL / "dicom").rglob("*.*")) + sorted((REAL / "dicom").rglob("*_dfl"))


def standard_pipeline(ds: Dataset) -> np.ndarray | None:
    """Display values of the first frame from pydicom's stored values, written out formula by formula.

    None where this computation does not apply: palettes, floats, LUT sequences, which have tests of their own.
    """
    if "LUTData" in str(ds.get("ModalityLUTSequence", "")) or "VOILUTSequence" in ds or "ModalityLUTSequence" in ds:
        return None
    photometric = ds.get("PhotometricInterpretation", "PALETTE COLOR")
    if photometric == "PALETTE COLOR" or "PixelData" not in ds:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            array = pixel_array(ds, index=0).astype(np.float64)  # color comes as RGB
        except (AttributeError, NotImplementedError, RuntimeError, ValueError):
            return None  # no syntax that pydicom decodes, or a header that it does not
    if array.ndim == 3:
        return array @ [0.299, 0.587, 0.114] / (2**ds.BitsStored - 1)
    groups = [ds.get(f"{who}FunctionalGroupsSequence", [None])[0] for who in ("Shared", "PerFrame")]
    elements: dict[str, Any] = {element.keyword: element.value for element in ds}
    for group in filter(None, groups):
        for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            if macro in group:
                elements |= {element.keyword: element.value for element in group[macro].value[0]}
    padding = np.zeros(array.shape, bool)
    if elements.get("PixelPaddingValue") is not None:
        ends = sorted(
            [elements["PixelPaddingValue"], elements.get("PixelPaddingRangeLimit", elements["PixelPaddingValue"])]
        )
        padding = (array >= ends[0]) & (array <= ends[1])
    array = array * float(elements.get("RescaleSlope", 1)) + float(elements.get("RescaleIntercept", 0))
    center, width = elements.get("WindowCenter"), elements.get("WindowWidth")
    if center not in (None, "") and width not in (None, ""):
        c, w = (float(value if isinstance(value, (int, float)) else value[0]) for value in (center, width))
        shown = np.clip((array - (c - 0.5)) / (w - 1) + 0.5, 0, 1)
    else:
        inside = array[~padding] if not padding.all() else array
        shown = (array - inside.min()) / (inside.max() - inside.min() or 1)
    shown = np.clip(shown, 0, 1)
    if photometric == "MONOCHROME1":
        shown = 1 - shown
    shown[padding] = 0
    return shown


def check(path: Path) -> bool:
    """Read a file and compare it; False where the independent computation does not apply."""
    image = read_image(path)
    assert 0 <= image.array.min() <= image.array.max() <= 1
    assert image.steps or image.array.ndim == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = standard_pipeline(dcmread(path, force=True))
    if expected is None:
        return False
    assert np.abs(image.array - expected).max() <= GREY_LEVEL, path.name
    return True


def test_every_image_of_pydicom_s_test_files_is_read_and_equals_the_pipeline() -> None:
    files = [path for path in sorted(OWN.glob("*.dcm")) if path.name not in NOT_IMAGES]
    assert sum(check(path) for path in files) > 40


@pytest.mark.parametrize("name", sorted(NOT_IMAGES))
def test_every_other_file_is_refused_with_a_reason(name: str) -> None:
    places = [*OWN.rglob(name), *(REAL / "dicom").rglob(name)]
    if not places:
        pytest.skip(f"{name} is among the real files, and {REAL} is missing")
    with pytest.raises(ReadError) as info:
        read_image(places[0])
    assert len(info.value.reason) > 15
    assert "please report" not in info.value.reason


@pytest.mark.real
def test_every_real_image_is_read_and_equals_the_pipeline() -> None:
    files = [path for path in real_files() if path.name not in NOT_IMAGES]
    if not files:
        pytest.skip(f"no real DICOM files below {REAL}; set MEDVLP_REAL_DATA")
    assert sum(check(path) for path in files) > 60


@pytest.mark.real
def test_a_real_ct_series_equals_slice_by_slice_rescaling() -> None:
    folder = REAL / "ct" / "example_ct_dicom"
    if not folder.is_dir():
        pytest.skip(f"no real CT below {REAL}; set MEDVLP_REAL_DATA")
    slices = sorted((dcmread(path) for path in folder.iterdir()), key=lambda ds: ds.ImagePositionPatient[2])
    expected = np.stack(
        [ds.pixel_array[::-1, ::-1] * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in slices]
    )
    volume = read_volume(folder)
    np.testing.assert_array_equal(volume.array, expected)
    assert volume.spacing == pytest.approx((2.0, *slices[0].PixelSpacing))


@pytest.mark.real
@pytest.mark.parametrize("name", ["example_ct", "example_ct_sm", "example_mr_sm", "example_seg", "example_seg_mr"])
def test_real_nifti_files_equal_nibabel(name: str) -> None:
    path = REAL / "ct" / f"{name}.nii.gz"
    if not path.exists():
        pytest.skip(f"no real NIfTI below {REAL}; set MEDVLP_REAL_DATA")
    canonical = nib.as_closest_canonical(nib.load(path))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, np.asarray(canonical.get_fdata(), np.float32).transpose(2, 1, 0))
    assert volume.affine is not None
    np.testing.assert_allclose(volume.affine[:, [2, 1, 0, 3]], canonical.affine, atol=1e-4)
