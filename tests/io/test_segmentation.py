"""Regions in every format: the right voxels, the right names, the right place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Picture
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medvlp.io import (
    Image,
    ReadError,
    Segmentation,
    boxes_to_mask,
    decode_siim,
    encode_siim,
    read_image,
    read_segmentation,
    read_volume,
    write_dicom_seg,
    write_labels,
    write_labels_sr,
)

WriteDicom = Callable[..., Path]
STUDY = {
    "StudyInstanceUID": "1.2.4",
    "SeriesInstanceUID": "1.2.3",
    "FrameOfReferenceUID": "1.2.5",
    "PatientName": "",
    "PatientID": "",
    "PatientBirthDate": "",
    "PatientSex": "",
    "StudyDate": "",
    "StudyTime": "",
    "AccessionNumber": "",
    "StudyID": "",
    "ReferringPhysicianName": "",
    "InstanceNumber": 1,
}


@pytest.fixture
def ct(write_dicom: WriteDicom) -> list[Path]:
    """Six axial slices of 10 x 12 pixels, written from the head down."""
    return [
        write_dicom(
            np.full((10, 12), 1000 + index, np.uint16),
            f"ct/{index}.dcm",
            SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
            Modality="CT",
            ImagePositionPatient=[-6, -5, 30 - 3 * index],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[1, 1],
            SliceThickness=3,
            RescaleSlope=1,
            RescaleIntercept=-1000,
            **STUDY,
        )
        for index in range(6)
    ]


def regions_on(image: Image) -> Segmentation:
    layers = np.zeros((1, *image.array.shape), np.uint16)
    layers[0, 1:3, 2:5, 3:9] = 1
    layers[0, 4, 7, 10] = 2
    return Segmentation(layers, {1: "lung", 2: "nodule"}, image.spacing, image.orientation, image.affine)


def test_a_dicom_seg_comes_back_as_it_was_written(ct: list[Path], tmp_path: Path) -> None:
    image = read_volume(ct[0].parent)
    regions = regions_on(image)
    write_dicom_seg(regions, tmp_path / "seg.dcm", ct)
    found = read_segmentation(tmp_path / "seg.dcm", like=image)
    assert dict(found.names) == {1: "lung", 2: "nodule"}
    np.testing.assert_array_equal(found.layers, regions.layers)


def test_a_dicom_seg_points_at_the_slices_where_the_region_is(ct: list[Path], tmp_path: Path) -> None:
    """Checked with highdicom alone: the nodule lies in slice 4 from the feet, which is file 1 from the head."""
    write_dicom_seg(regions_on(read_volume(ct[0].parent)), tmp_path / "seg.dcm", ct)
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    wanted = dcmread(ct[1]).SOPInstanceUID
    masks = seg.get_pixels_by_source_instance([wanted])
    assert np.argwhere(masks[0, :, :, 1]).tolist() == [[9 - 7, 11 - 10]]
    assert masks[0, :, :, 0].sum() == 0


def test_overlapping_segments_keep_all_their_voxels(ct: list[Path], tmp_path: Path) -> None:
    image = read_volume(ct[0].parent)
    layers = np.zeros((2, *image.array.shape), np.uint16)
    layers[0, 2, 2:8, 2:8], layers[1, 2, 4, 4] = 1, 2
    both = Segmentation(layers, {1: "lung", 2: "nodule"}, image.spacing, image.orientation, image.affine)
    write_dicom_seg(both, tmp_path / "seg.dcm", ct)
    found = read_segmentation(tmp_path / "seg.dcm", like=image)
    np.testing.assert_array_equal(found.mask("lung"), both.mask("lung"))
    np.testing.assert_array_equal(found.mask("nodule"), both.mask("nodule"))
    with pytest.raises(ValueError, match="overlap"):
        write_labels(both, tmp_path / "x.nii.gz")


def test_a_dicom_seg_of_a_radiograph(write_dicom: WriteDicom, tmp_path: Path) -> None:
    source = write_dicom(
        np.zeros((8, 9), np.uint8), "cr.dcm", SOPClassUID="1.2.840.10008.5.1.4.1.1.1", Modality="CR", **STUDY
    )
    layers = np.zeros((1, 8, 9), np.uint16)
    layers[0, 2:4, 5] = 1
    regions = Segmentation(layers, {1: "pneumothorax"})
    write_dicom_seg(regions, tmp_path / "seg.dcm", [source])
    found = read_segmentation(tmp_path / "seg.dcm", like=read_image(source))
    np.testing.assert_array_equal(found.mask("pneumothorax"), layers[0] == 1)


def test_regions_of_another_grid_are_not_written(ct: list[Path], tmp_path: Path) -> None:
    other = Segmentation(np.ones((1, 3, 4, 5), np.uint16), {1: "x"}, (1, 1, 1), "SAR", np.eye(4))
    with pytest.raises(ValueError, match="do not lie on the grid"):
        write_dicom_seg(other, tmp_path / "seg.dcm", ct)


def test_an_rtstruct_is_filled_on_the_image(
    ct: list[Path], tmp_path: Path, dicom_object: Callable[..., Dataset]
) -> None:
    """A square of 4 x 4 mm with a hole of 2 x 2 mm in the slice at 24 mm, around the pixel at (0, 0)."""
    image = read_volume(ct[0].parent)
    ds = dicom_object(np.zeros((1, 1), np.uint8), SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3", Modality="RTSTRUCT")
    for keyword in ("PixelData", "Rows", "Columns"):
        del ds[keyword]
    name, outlines = Dataset(), Dataset()
    name.ROINumber, name.ROIName = 7, "heart"
    outlines.ReferencedROINumber, contours = 7, []
    for half in (2.4, 1.4):
        contour = Dataset()
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 4
        corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
        contour.ContourData = [value for x, y in corners for value in (x, y, 24)]
        contours.append(contour)
    outlines.ContourSequence = Sequence(contours)
    ds.StructureSetROISequence, ds.ROIContourSequence = Sequence([name]), Sequence([outlines])
    ds.save_as(tmp_path / "rt.dcm", enforce_file_format=True)
    found = read_segmentation(tmp_path / "rt.dcm", like=image)
    assert image.affine is not None
    places = np.argwhere(found.mask("heart")) @ image.affine[:3, :3].T + image.affine[:3, 3]
    ring = [(x, y, 24) for x in range(-2, 3) for y in range(-2, 3) if max(abs(x), abs(y)) == 2]
    assert sorted(map(tuple, np.rint(places).astype(int).tolist())) == sorted(ring)
    with pytest.raises(ReadError, match="give the image"):
        read_segmentation(tmp_path / "rt.dcm")


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_nifti_labels_go_out_and_in_at_the_same_place(ct: list[Path], tmp_path: Path, suffix: str) -> None:
    image = read_volume(ct[0].parent)
    regions = regions_on(image)
    write_labels(regions, tmp_path / f"x.{suffix}")
    found = read_segmentation(tmp_path / f"x.{suffix}", like=image, names={2: "nodule"})
    np.testing.assert_array_equal(found.layers, regions.layers)
    assert dict(found.names) == {1: "1", 2: "nodule"}
    written = nib.load(tmp_path / f"x.{suffix}")
    assert image.affine is not None
    np.testing.assert_allclose(written.affine @ [10, 7, 4, 1], image.affine @ [4, 7, 10, 1])
    assert written.get_fdata()[10, 7, 4] == 2


def test_labels_on_another_grid_are_moved_to_the_image(ct: list[Path], tmp_path: Path) -> None:
    image = read_volume(ct[0].parent)
    fine = np.zeros((24, 20, 36), np.uint8)
    fine[:, 10:, :] = 3
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    affine[:3, 3] = [-6, -5, 14]
    nib.save(nib.Nifti1Image(fine, affine), tmp_path / "x.nii")
    found = read_segmentation(tmp_path / "x.nii", like=image)
    assert image.affine is not None
    for index in np.argwhere(found.layers[0] == 3)[::7]:
        assert (image.affine @ [*index, 1])[1] >= -0.25
    assert "moved to the image's grid, nearest voxel" in found.notes


def test_png_masks(tmp_path: Path) -> None:
    mask = np.zeros((6, 7), np.uint8)
    mask[2:4, 3] = 255
    Picture.fromarray(mask).save(tmp_path / "binary.png")
    np.testing.assert_array_equal(read_segmentation(tmp_path / "binary.png").mask("1"), mask > 0)
    mask[0, 0] = 9
    Picture.fromarray(mask).save(tmp_path / "labels.png")
    found = read_segmentation(tmp_path / "labels.png", names={255: "lung"})
    assert dict(found.names) == {9: "9", 255: "lung"}
    write_labels(found, tmp_path / "again.png")
    np.testing.assert_array_equal(np.asarray(Picture.open(tmp_path / "again.png")), mask)
    with pytest.raises(KeyError, match="no region 'heart'; there are 9, lung"):
        found.mask("heart")
    with pytest.raises(ReadError, match=r"the regions are \(6, 7\) and the image is \(5, 5\)"):
        read_segmentation(tmp_path / "labels.png", like=Image(np.zeros((5, 5), np.float32)))


def test_values_that_are_no_labels_are_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.full((2, 2, 2), 0.5, np.float32), np.eye(4)), tmp_path / "x.nii")
    with pytest.raises(ReadError, match="no labels"):
        read_segmentation(tmp_path / "x.nii")


def siim_by_hand(text: str, shape: tuple[int, int]) -> np.ndarray:
    """One pixel at a time, down the columns."""
    flat, position = np.zeros(shape[0] * shape[1], bool), 0
    numbers = [int(word) for word in text.split()]
    for gap, run in zip(numbers[::2], numbers[1::2], strict=True):
        position += gap
        for _ in range(run):
            flat[position] = True
            position += 1
    return flat.reshape(shape[1], shape[0]).T


def test_siim_run_lengths_equal_the_slow_reading_and_survive_a_round_trip() -> None:
    assert decode_siim("2 3 1 1", (4, 3)).tolist() == [[0, 1, 0], [0, 0, 0], [1, 1, 0], [1, 0, 0]]
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (5, 8), (64, 48)):
        mask = rng.random(shape) < 0.4
        text = encode_siim(mask)
        np.testing.assert_array_equal(decode_siim(text, shape), mask)
        if text != "-1":
            np.testing.assert_array_equal(siim_by_hand(text, shape), mask)
    assert encode_siim(np.zeros((3, 3), bool)) == "-1"
    assert not decode_siim(" -1", (3, 3)).any()


@pytest.mark.parametrize(
    ("text", "words"), [("1", "pairs"), ("1 x", "whole numbers"), ("-2 3", "pairs"), ("5 100", "another image size")]
)
def test_run_lengths_that_lie_are_errors(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode_siim(text, (4, 4))


def test_boxes_cover_the_pixels_whose_center_they_hold() -> None:
    mask = boxes_to_mask([(1, 2, 3, 1), (4.6, 0, 1, 1), (np.nan,) * 4, (-5, -5, 5.4, 5.6)], (4, 6))
    expected = np.zeros((4, 6), bool)
    for row, column in np.ndindex(mask.shape):
        x, y = column + 0.5, row + 0.5
        expected[row, column] = (1 <= x < 4 and 2 <= y < 3) or (4.6 <= x < 5.6 and 0 <= y < 1) or (x < 0.4 and y < 0.6)
    np.testing.assert_array_equal(mask, expected)
    with pytest.raises(ValueError, match="left, top, width, height"):
        boxes_to_mask([(0, 0, -1, 2)], (4, 4))


def test_labels_go_out_as_a_structured_report(ct: list[Path], tmp_path: Path) -> None:
    write_labels_sr({"edema": 0.9, "mass": 0.1}, tmp_path / "sr.dcm", ct[:1], thresholds={"edema": 0.5, "mass": 0.5})
    report = highdicom.sr.srread(tmp_path / "sr.dcm")
    groups = report.content.get_image_measurement_groups()
    assert [group.finding_type.meaning for group in groups] == ["edema", "mass"]
    assert [float(group.get_measurements()[0].value) for group in groups] == [0.9, 0.1]
    answers = [group.get_qualitative_evaluations()[0].value.meaning for group in groups]
    assert answers == ["Present", "Absent"]
    assert report.VerificationFlag == "UNVERIFIED"
    with pytest.raises(ValueError, match="between 0 and 1; these are not: edema"):
        write_labels_sr({"edema": 1.5}, tmp_path / "x.dcm", ct[:1])


def test_a_dicom_image_is_no_segmentation(ct: list[Path]) -> None:
    with pytest.raises(ReadError, match="neither SEG nor RTSTRUCT"):
        read_segmentation(ct[0])
