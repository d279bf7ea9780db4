"""DICOM series: order, place and scale of every slice, and what has to be said or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medvlp.io import ReadError, read_volume

WriteDicom = Callable[..., Path]
AXIAL = [1, 0, 0, 0, 1, 0]
SLOTS = [0.0, 2.5, 5.0, 7.5, 10.0]


@pytest.fixture
def write_slice(write_dicom: WriteDicom) -> Callable[..., Path]:
    """One CT slice at `position`; its stored values say where it is: 1000 + height."""

    def write(
        name: str, position: list[float], orientation: list[float] = AXIAL, value: int | None = None, **more: Any
    ) -> Path:
        stored = np.full((4, 6), 1000 + round(position[2]) if value is None else value, np.uint16)
        stored[0, 0] = 1  # marks the first pixel of the file
        elements = {
            "Modality": "CT",
            "SeriesInstanceUID": "1.2.3",
            "ImagePositionPatient": position,
            "ImageOrientationPatient": orientation,
            "PixelSpacing": [0.5, 0.75],
            "RescaleSlope": 1,
            "RescaleIntercept": -1000,
            **more,
        }
        return write_dicom(stored, f"series/{name}.dcm", **elements)

    return write


def test_slices_in_any_file_order_are_sorted_and_oriented(write_slice: Callable[..., Path]) -> None:
    for name, height in zip("dbeac", SLOTS, strict=True):
        folder = write_slice(name, [-10, -20, height]).parent
    volume = read_volume(folder)
    assert volume.array.shape == (5, 4, 6)
    assert volume.array[:, 2, 2].tolist() == [0, 2, 5, 8, 10]
    assert (volume.array[:, -1, -1] == -999).all()  # DICOM's first pixel is front right: last row, last column here
    assert (volume.spacing, volume.orientation, volume.modality) == ((2.5, 0.5, 0.75), "SAR", "CT")
    assert volume.affine is not None
    np.testing.assert_allclose(volume.affine @ [0, 3, 5, 1], [10, 20, 0, 1])  # the mark: LPS (-10, -20, 0)
    np.testing.assert_allclose(volume.affine @ [4, 3, 5, 1], [10, 20, 10, 1])
    assert volume.steps[:2] == ("5 slices", "rescale 1 x stored -1000")


@pytest.mark.parametrize(
    ("orientation", "normal"),
    [([1, 0, 0, 0, 0, -1], [0, 1, 0]), ([0, 1, 0, 0, 0, -1], [-1, 0, 0])],
    ids=["coronal", "sagittal"],
)
def test_coronal_and_sagittal_series_come_out_along_the_same_axes(
    write_slice: Callable[..., Path], orientation: list[float], normal: list[float]
) -> None:
    for index in range(5):
        folder = write_slice(str(index), [3 * index * axis for axis in normal], orientation, value=1000 + index).parent
    volume = read_volume(folder)
    assert volume.affine is not None
    for index in range(5):
        lps = np.array([3 * index * axis for axis in normal]) + 2 * 0.75 * np.array(orientation[:3])
        place = np.linalg.inv(volume.affine) @ [-lps[0], -lps[1], lps[2], 1]
        assert volume.array[tuple(np.rint(place[:3]).astype(int))] == index


def test_each_slice_has_its_own_slope(write_slice: Callable[..., Path]) -> None:
    for index, slope in enumerate([1.0, 2.0, 0.5]):
        folder = write_slice(str(index), [0, 0, index], value=100, RescaleSlope=slope, RescaleIntercept=0).parent
    volume = read_volume(folder)
    assert volume.array[:, 0, 0].tolist() == [100, 200, 50]
    assert "rescaled slice by slice, each with its own slope and intercept" in volume.steps


def test_the_largest_series_is_read_and_the_others_are_counted(write_slice: Callable[..., Path]) -> None:
    for index in range(4):
        folder = write_slice(f"a{index}", [0, 0, index]).parent
    write_slice("scout", [0, 0, 0], [1, 0, 0, 0, 0, -1])
    for index in range(2):
        write_slice(f"b{index}", [0, 0, index], value=7, SeriesInstanceUID="9.9")
    assert read_volume(folder).steps[0] == "4 slices (volume 0 of 3, which have 4, 2, 1)"
    assert read_volume(folder, series=1).array[0, 0, 0] == 7 - 1000
    with pytest.raises(ReadError, match="volume 3 does not exist"):
        read_volume(folder, series=3)


def test_two_series_of_one_size_are_for_the_caller_to_choose(write_slice: Callable[..., Path]) -> None:
    for index in range(3):
        folder = write_slice(f"a{index}", [0, 0, index]).parent
        write_slice(f"b{index}", [0, 0, index], SeriesInstanceUID="9.9")
    with pytest.raises(ReadError, match="say which by `series`"):
        read_volume(folder)


def test_duplicates_are_dropped_and_said(write_slice: Callable[..., Path]) -> None:
    for index, height in enumerate([*SLOTS, 2.5, 7.5]):
        folder = write_slice(str(index), [0, 0, height]).parent
    volume = read_volume(folder)
    assert volume.array.shape[0] == 5
    assert "2 duplicate slices dropped" in volume.steps


def test_places_shared_by_different_pixels_are_split_by_acquisition_or_refused(
    write_slice: Callable[..., Path],
) -> None:
    for index, height in enumerate(SLOTS):
        folder = write_slice(f"a{index}", [0, 0, height], AcquisitionNumber=1).parent
        write_slice(f"b{index}", [0, 0, height], value=5, AcquisitionNumber=2)
    assert read_volume(folder, series=1).array[0, 0, 0] in (0, 5 - 1000)
    for path in folder.glob("b*"):
        path.unlink()
    write_slice("c", [0, 0, 5.0], value=5, AcquisitionNumber=1)
    with pytest.raises(ReadError, match="the same place and different pixels"):
        read_volume(folder)


def test_a_missing_slice_is_interpolated_and_said(write_slice: Callable[..., Path]) -> None:
    for height in (0, 10, 20, 40, 50):
        folder = write_slice(str(height), [0, 0, height]).parent
    volume = read_volume(folder)
    np.testing.assert_allclose(volume.array[:, 0, 0], [0, 10, 20, 30, 40, 50])
    assert "1 slices missing at 10 mm: interpolated" in volume.steps


def test_uneven_distances_lose_no_slice(write_slice: Callable[..., Path]) -> None:
    """A reader that takes the first distance for all puts half of such a series elsewhere."""
    heights = [0, 2, 4, 6, 8, 11, 14, 17, 20]
    for height in heights:
        folder = write_slice(str(height), [0, 0, height]).parent
    volume = read_volume(folder)
    assert volume.spacing == (2.0, 0.5, 0.75)
    np.testing.assert_allclose(volume.array[:, 0, 0], np.arange(0, 21, 2), atol=1e-4)
    assert any("2 to 3 mm apart" in step for step in volume.steps)


def test_mostly_missing_slices_are_refused(write_slice: Callable[..., Path]) -> None:
    for height in (0, 1, 50, 100):
        folder = write_slice(str(height), [0, 0, height]).parent
    with pytest.raises(ReadError, match="more are missing than there are"):
        read_volume(folder)


def test_gantry_tilt_is_straightened_to_where_the_slices_lie(write_slice: Callable[..., Path]) -> None:
    """Slices 15 degrees off their normal: 40 of them at 4 mm put the last 43 mm off when the tilt is ignored."""
    tilt = np.radians(15)
    orientation = [1, 0, 0, 0, float(np.cos(tilt)), float(np.sin(tilt))]
    for index in range(40):
        folder = write_slice(f"{index:02d}", [0, 0, 4.0 * index], orientation, value=1000 + index).parent
    volume = read_volume(folder)
    assert any("gantry tilt of 15.00 degrees straightened" in step for step in volume.steps)
    assert volume.affine is not None
    for index in (0, 20, 39):
        lps = np.array([0, 0, 4.0 * index]) + 2 * 0.75 * np.array(orientation[:3]) + 2 * 0.5 * np.array(orientation[3:])
        place = (np.linalg.inv(volume.affine) @ [-lps[0], -lps[1], lps[2], 1])[:3]
        nearest = np.rint(place).astype(int)
        assert np.abs(place - nearest).max() < 0.51
        assert volume.array[tuple(nearest)] == pytest.approx(index, abs=1e-3)
    assert volume.array.min() == -1024  # outside every slice


def test_slices_that_wander_are_refused(write_slice: Callable[..., Path]) -> None:
    for index in range(5):
        folder = write_slice(str(index), [30 if index == 2 else 0, 0, index]).parent
    with pytest.raises(ReadError, match="do not lie on a line"):
        read_volume(folder)


def test_a_single_slice_has_the_thickness_it_says(write_slice: Callable[..., Path]) -> None:
    volume = read_volume(write_slice("x", [0, 0, 3], SliceThickness=7))
    assert (volume.array.shape, volume.spacing) == ((1, 4, 6), (7.0, 0.5, 0.75))


def test_a_damaged_slice_refuses_the_volume_and_is_named(write_slice: Callable[..., Path]) -> None:
    for index in range(3):
        path = write_slice(str(index), [0, 0, index])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ReadError, match=r"\(7FE0,0010\)") as info:
        read_volume(path.parent)
    assert info.value.path == path


def test_other_files_are_left_out_and_counted(write_slice: Callable[..., Path], write_dicom: WriteDicom) -> None:
    for index in range(3):
        folder = write_slice(str(index), [0, 0, index]).parent
    (folder / "notes.txt").write_text("hello")
    write_dicom(np.zeros((4, 4), np.uint8), "series/screenshot.dcm")
    assert "2 files left out: no slice of a volume" in read_volume(folder).steps


def test_a_dose_grid_lies_at_its_offsets_in_gray(write_dicom: WriteDicom) -> None:
    for syntax in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"):
        path = write_dicom(
            np.arange(24, dtype=np.uint32).reshape(3, 2, 4) * 1000,
            syntax=syntax,
            Modality="RTDOSE",
            ImagePositionPatient=[0, 0, 5],
            ImageOrientationPatient=AXIAL,
            PixelSpacing=[2, 2],
            GridFrameOffsetVector=[0, 3, 6],
            DoseGridScaling=0.001,
        )
        volume = read_volume(path)
        np.testing.assert_allclose(volume.array[2, ::-1, ::-1], [[16, 17, 18, 19], [20, 21, 22, 23]], rtol=1e-6)
        assert volume.spacing == (3.0, 2.0, 2.0)


@pytest.mark.parametrize(("content", "words"), [({}, "the folder has no files"), ({"a.txt": "x"}, "no DICOM slice")])
def test_a_folder_without_slices_says_so(tmp_path: Path, content: dict[str, str], words: str) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ReadError, match=words):
        read_volume(tmp_path)
