"""Files that contradict themselves or are damaged: the right pixels with a remark, or a true reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from medvlp.io import Image, ReadError, read_image, read_segmentation, read_volume, resample
from medvlp.io.dicom_volume import undeclared_padding
from medvlp.io.geometry import deskew, same_grid

WriteDicom = Callable[..., Path]
WriteSlice = Callable[..., Path]
AXIAL = [1, 0, 0, 0, 1, 0]


@pytest.fixture
def write_slice(write_dicom: WriteDicom) -> WriteSlice:
    """One CT slice at `height`, of the value 1000 + its number."""

    def write(number: int, height: float, name: str = "", pixels: NDArray[Any] | None = None, **more: Any) -> Path:
        stored = np.full((4, 6), 1000 + number, np.uint16) if pixels is None else pixels
        elements = {
            "Modality": "CT",
            "SeriesInstanceUID": "1.2.3",
            "ImagePositionPatient": [0, 0, height],
            "ImageOrientationPatient": AXIAL,
            "PixelSpacing": [0.5, 0.5],
            **more,
        }
        return write_dicom(stored, f"series/{name or f'{number:03d}'}.dcm", **elements)

    return write


# How a series is split


def test_a_slice_sent_twice_does_not_tear_a_series_of_one_acquisition_a_slice(write_slice: WriteSlice) -> None:
    for number in range(40):
        folder = write_slice(number, number, AcquisitionNumber=number).parent
    write_slice(17, 17, "again", AcquisitionNumber=99)
    volume = read_volume(folder)
    assert volume.array[:, 0, 0].tolist() == [1000 + number for number in range(40)]
    assert "1 duplicate slices dropped" in volume.steps


def test_a_whole_series_sent_twice_is_one_volume(write_slice: WriteSlice) -> None:
    for number in range(10):
        folder = write_slice(number, number, AcquisitionNumber=number).parent
        write_slice(number, number, f"b{number}", AcquisitionNumber=100 + number)
    volume = read_volume(folder)
    assert (len(volume), "10 duplicate slices dropped" in volume.steps) == (10, True)


def test_two_acquisitions_that_meet_at_one_place_are_one_volume_or_refused(write_slice: WriteSlice) -> None:
    for number in range(40):
        folder = write_slice(number, number, AcquisitionNumber=1 + number // 20).parent
    twin = write_slice(20, 20, "seam", AcquisitionNumber=1)
    assert len(read_volume(folder)) == 40
    twin.unlink()
    write_slice(7, 20, "seam", AcquisitionNumber=1)
    with pytest.raises(ReadError, match=r"the same place and different pixels \(20 mm from the first\)"):
        read_volume(folder)


def test_repeated_scans_of_one_region_are_volumes_even_with_a_twin_inside(write_slice: WriteSlice) -> None:
    for number in range(10):
        folder = write_slice(number, number, AcquisitionNumber=1).parent
        write_slice(number + 500, number, f"b{number}", AcquisitionNumber=2)
    write_slice(3, 3, "twin", AcquisitionNumber=1)
    volume = read_volume(folder, series=0)
    assert volume.array[:, 0, 0].tolist() == [1000 + number for number in range(10)]
    assert "1 duplicate slices dropped" in volume.steps
    assert len(read_volume(folder, series=1)) == 10


def test_echoes_and_phases_are_split_one_after_the_other(write_slice: WriteSlice) -> None:
    for number in range(6):
        for phase in (1, 2):
            for echo in (1, 2):
                value = 100 * phase + 10 * echo
                name, more = f"{number}_{phase}_{echo}", {"TemporalPositionIndex": phase, "EchoNumbers": echo}
                folder = write_slice(value, number, name, **more).parent
    found = {float(read_volume(folder, series=series).array.mean()) for series in range(4)}
    assert found == {1110.0, 1120.0, 1210.0, 1220.0}


def test_slices_at_one_place_are_called_what_they_are(write_slice: WriteSlice) -> None:
    for number in range(5):
        folder = write_slice(number, 3.0).parent
    with pytest.raises(ReadError, match="all 5 slices lie at one place"):
        read_volume(folder)


@pytest.mark.parametrize("noise", [1e-6, 1e-4])
def test_cosines_and_spacings_with_noise_in_their_last_digits_are_one_series(
    write_slice: WriteSlice, noise: float
) -> None:
    rng = np.random.default_rng(0)
    for number in range(40):
        tilt = np.radians(14.4775) + rng.uniform(-noise, noise)  # its sine is 0.25: halves fall on both sides
        cosines = [1, 0, 0, 0, float(np.cos(tilt)), float(np.sin(tilt))]
        spacing = 0.7005 + rng.uniform(-noise, noise) / 10
        more = {"ImageOrientationPatient": cosines, "PixelSpacing": [spacing, spacing]}
        folder = write_slice(number, 2.0 * number, **more).parent
    assert read_volume(folder).steps[0] == "40 slices"


def test_planes_around_an_axis_stay_apart(write_slice: WriteSlice) -> None:
    for number in range(12):
        angle = np.radians(3 * number)
        cosines = [float(np.cos(angle)), float(np.sin(angle)), 0, 0, 0, -1]
        folder = write_slice(number, 0.0, ImageOrientationPatient=cosines).parent
    with pytest.raises(ReadError, match="there are 12 with 1, 1"):
        read_volume(folder, series=20)


def test_micro_ct_has_slices_nearer_than_a_hundredth_of_a_millimeter(write_slice: WriteSlice) -> None:
    for number in range(8):
        folder = write_slice(number, 0.005 * number, PixelSpacing=[0.005, 0.005]).parent
    volume = read_volume(folder)
    assert volume.array[:, 0, 0].tolist() == [1000 + number for number in range(8)]
    np.testing.assert_allclose(volume.spacing or (), [0.005] * 3, rtol=1e-6)


def test_grids_are_compared_at_their_corners() -> None:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    tilted = affine.copy()
    tilted[1, 0] = 0.005  # 2.5 mm after 500 slices
    assert same_grid(affine, tilted, (10, 10, 10))
    assert not same_grid(affine, tilted, (500, 10, 10))
    assert not same_grid(1e-3 * affine, 1.2e-3 * affine, (20, 20, 20))  # micrometers count where voxels are micrometers


# Broken members of a series


@pytest.mark.parametrize("damage", ["empty", "no dicom", "cut", "frame"])
@pytest.mark.parametrize("at", [0, 4, 9])
def test_one_rule_for_broken_slices(write_slice: WriteSlice, damage: str, at: int) -> None:
    paths = [write_slice(number, number) for number in range(10)]
    if damage == "frame":
        header = dcmread(paths[at])
        header.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.5"
        header.PixelData = encapsulate([bytes(70)])
        header["PixelData"].is_undefined_length = True
        header.save_as(paths[at])
    else:
        whole = paths[at].read_bytes()
        paths[at].write_bytes({"empty": b"", "no dicom": b"<html>" * 99, "cut": whole[:-9]}[damage])
    with pytest.raises(ReadError) as caught:
        read_volume(paths[0].parent)
    assert caught.value.path == paths[at]
    volume = read_volume(paths[0].parent, skip_broken=True)
    assert any(step.startswith("1 broken files left out: ") for step in volume.steps)
    if 0 < at < 9:
        np.testing.assert_allclose(volume.array[:, 0, 0], np.arange(1000, 1010))  # interpolated
    else:
        assert len(volume) == 9


# Lookup tables


def test_a_lut_that_says_16_bits_and_holds_12_is_not_black(write_dicom: WriteDicom) -> None:
    item = Dataset()
    item.LUTDescriptor = [4096, 0, 16]
    item.add_new("LUTData", "OW", np.arange(4096, dtype="<u2").tobytes())
    pixels = np.linspace(0, 4095, 24).astype(np.uint16).reshape(4, 6)
    image = read_image(write_dicom(pixels, VOILUTSequence=[item]))
    np.testing.assert_allclose(image.array, pixels / 4095, atol=1e-6)
    assert "a LUT says 16 bits and its entries need 12: taken" in image.steps
    item.LUTDescriptor = [4096, 0, 8]  # and one that needs more than it says is not white
    assert read_image(write_dicom(pixels, VOILUTSequence=[item])).array.mean() < 0.6


def test_a_palette_that_says_8_bits_and_holds_16_is_not_white(write_dicom: WriteDicom) -> None:
    more: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color in ("Red", "Green", "Blue"):
        more[f"{color}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        more[f"{color}PaletteColorLookupTableData"] = (np.arange(256, dtype="<u2") * 257).tobytes()
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = read_image(write_dicom(pixels, **more))
    np.testing.assert_allclose(image.array, pixels / 255, atol=1e-5)
    assert any("says 8 bits and its entries need 16" in step for step in image.steps)


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_lut_items_without_a_table_say_nothing(write_dicom: WriteDicom, sequence: str) -> None:
    pixels = np.arange(24, dtype=np.uint16).reshape(4, 6)
    empty = Dataset()
    empty.LUTExplanation = "LEADTOOLS"
    plain = read_image(write_dicom(pixels, "plain.dcm", WindowCenter=12, WindowWidth=24))
    image = read_image(write_dicom(pixels, WindowCenter=12, WindowWidth=24, **{sequence: [empty]}))
    np.testing.assert_array_equal(image.array, plain.array)
    assert sum("item without a table left out" in step for step in image.steps) == 1


def test_an_rle_segment_with_a_wrong_pad_byte_is_read(write_dicom: WriteDicom) -> None:
    pixels = np.random.default_rng(0).integers(0, 4000, (7, 9)).astype(np.uint16)
    planes = [(pixels >> 8).astype(np.uint8), (pixels & 255).astype(np.uint8)]
    segments = []
    for plane in planes:
        packed = b"".join(bytes([len(row) - 1]) + row.tobytes() for row in plane)
        segments.append(packed + b"\x05" * (1 + len(packed) % 2))
    starts = [64, 64 + len(segments[0])]
    frame = np.array([2, *starts, *[0] * 13], "<u4").tobytes() + b"".join(segments)
    path = write_dicom(pixels, WindowCenter=2048, WindowWidth=4096)
    expected = read_image(path).array
    header = dcmread(path)
    header.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.5"
    header.PixelData = encapsulate([frame])
    header["PixelData"].is_undefined_length = True
    header.save_as(path)
    np.testing.assert_array_equal(read_image(path).array, expected)
    header.PixelData = encapsulate([frame[:-20]])
    header.save_as(path)
    with pytest.raises(ReadError, match="RLE frame is damaged"):
        read_image(path)


# Padding


def test_a_padding_value_that_no_stored_word_can_hold_hides_no_white(write_dicom: WriteDicom) -> None:
    pixels = np.array([[0, 1000, 4095], [4095, 2000, 0]], np.uint16)
    more = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 2048, "WindowWidth": 4096}
    plain = read_image(write_dicom(pixels, **more))
    image = read_image(write_dicom(pixels, PixelPaddingValue=65535, **more))
    np.testing.assert_array_equal(image.array, plain.array)
    assert image.array.max() > 0.99


@pytest.mark.parametrize("signed", [False, True])
def test_padding_in_the_bits_above_the_stored_ones_is_seen_before_they_are_dropped(
    write_dicom: WriteDicom, signed: bool
) -> None:
    top = 2047 if signed else 4095
    pixels = np.array([[0, 1000, top], [top, 0, 2000 if not signed else -2000]], np.int32)
    words = pixels & 0x0FFF
    words[1, 1] = 0xF800 - 100 if signed else 0xFFFF  # no value of 12 bits
    padding = -2148 if signed else 65535
    more = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": int(signed), "PixelPaddingValue": padding}
    image = read_image(write_dicom(words.astype(np.uint16), **more))
    low = min(-2000 if signed else 0, 0)
    expected = (pixels - low) / (top - low)
    expected[1, 1] = 0
    np.testing.assert_allclose(image.array, expected, atol=1e-6)


def test_float_padding_is_left_out_of_the_range(write_dicom: WriteDicom) -> None:
    pixels = np.array([[0.0, 1.0], [2.0, -1e30]], np.float32)
    image = read_image(write_dicom(pixels, FloatPixelPaddingValue=-1e30))
    np.testing.assert_allclose(image.array, [[0, 0.5], [1, 0]])


def test_noise_around_padding_of_a_lossy_image_does_not_stretch_the_range(write_dicom: WriteDicom) -> None:
    """A disk of values from 0 to 2000 in padding of -2000, with the ringing of a codec on both sides of its edge."""
    row, column = np.mgrid[:96, :96]
    radius = np.hypot(row - 48, column - 48)
    body = np.clip(2000 - 80 * radius, 0, 2000)
    clean = np.where(radius < 40, body, -2000).astype(np.int16)
    ringing = np.random.default_rng(0).normal(0, 60, clean.shape) * (np.abs(radius - 40) < 6)
    blurred = np.where(np.abs(radius - 40) < 1.5, clean * 0.5 - 1000, clean) + ringing
    pixels = np.rint(blurred).astype(np.int16)
    more = {"PixelPaddingValue": -2000, "Modality": "CT"}
    stretched = read_image(write_dicom(pixels, **more))
    image = read_image(write_dicom(pixels, LossyImageCompression="01", **more))
    inside = radius < 30
    np.testing.assert_allclose(image.array[inside], body[inside] / 2000, atol=0.02)
    assert np.abs(stretched.array[inside] - body[inside] / 2000).max() > 0.25
    np.testing.assert_array_equal(image.array[radius > 50], 0)


def _half_padded(shape: tuple[int, int, int] = (6, 12, 12)) -> NDArray[np.int16]:
    array = np.full(shape, 40, np.int16)
    array[:, :, :5] = -2000
    return array


def test_padding_is_never_interpolated_between_slices_and_tilts(write_slice: WriteSlice) -> None:
    tilt = np.radians(10)
    cosines = [1, 0, 0, 0, float(np.cos(tilt)), float(np.sin(tilt))]
    for declared in (True, False):
        for number, plane in enumerate(_half_padded()):
            more = {"PixelPaddingValue": -2000, "PixelRepresentation": 1} if declared else {}
            more["ImageOrientationPatient"] = cosines
            folder = write_slice(number, 3.0 * number, pixels=plane, **more).parent
        volume = read_volume(folder)
        assert any("gantry tilt" in step for step in volume.steps)
        assert set(np.unique(volume.array).round(3)) == {-1024.0, 40.0}
        assert volume.padding is not None
        np.testing.assert_array_equal(volume.padding, volume.array == -1024)


def test_a_missing_slice_is_not_made_of_padding(write_slice: WriteSlice) -> None:
    for number, height in enumerate((0, 2, 4, 8, 10)):
        plane = np.full((4, 6), 40, np.int16)
        plane[:, : 3 if height <= 4 else 1] = -2000
        folder = write_slice(number, height, pixels=plane).parent
    volume = read_volume(folder)
    assert set(np.unique(volume.array)) == {-2000.0, 40.0}


def test_padding_is_never_interpolated_by_resample() -> None:
    padding = np.zeros((8, 10), np.bool_)
    padding[:, :4] = True
    array = np.where(padding, 0, 0.8).astype(np.float32)
    for spacing in ((0.7, 0.7), (2.3, 2.3), (1.0, 0.3)):
        image = resample(Image(array, (1.0, 1.0), padding=padding), spacing)
        assert set(np.unique(image.array.round(5))) == {np.float32(0), np.float32(0.8)}
        assert image.padding is not None
        np.testing.assert_array_equal(image.padding, image.array == 0)


def test_padding_of_a_radiograph_is_never_interpolated(write_dicom: WriteDicom) -> None:
    pixels = np.full((20, 30), 900, np.uint16)
    pixels[:, :11] = 0
    more = {"PixelPaddingValue": 0, "WindowCenter": 500, "WindowWidth": 1000, "PixelSpacing": [1.0, 1.0]}
    image = resample(read_image(write_dicom(pixels, **more)), (0.7, 1.7))
    assert len(np.unique(image.array.round(4))) == 2


@pytest.mark.parametrize("kind", ["value", "nan"])
def test_padding_of_nifti_is_never_interpolated(tmp_path: Path, kind: str) -> None:
    array = _half_padded().astype(np.float32).transpose(2, 1, 0)
    array[array < 0] = np.nan if kind == "nan" else -2048
    affine = np.diag([-0.5, -0.5, 2.0, 1.0])
    affine[1, 2] = 0.6  # sheared, as dcm2niix writes a gantry tilt
    nib.save(nib.Nifti1Image(array, affine), tmp_path / "x.nii.gz")
    volume = read_volume(tmp_path / "x.nii.gz")
    assert any("shear" in step for step in volume.steps)
    low = 40.0 if kind == "nan" else -2048.0  # no voxel that is finite says what air is
    assert set(np.unique(volume.array.round(3))) == {low, 40.0}
    finer = resample(volume, (1.0, 0.4, 0.4))
    assert set(np.unique(finer.array.round(3))) == {low, 40.0}


def test_deskew_gives_where_it_had_nothing() -> None:
    affine = np.eye(4)
    affine[1, 0] = 0.3
    array, _, outside = deskew(np.full((5, 6, 7), 3.0, np.float32), affine, -1.0)
    np.testing.assert_array_equal(outside, array == -1)
    assert set(np.unique(array.round(5))) == {-1.0, 3.0}
    assert undeclared_padding(array) is None


# Pictures and masks


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_never_counts_as_light(tmp_path: Path, channels: int) -> None:
    gray = (np.arange(48).reshape(6, 8) * 87).astype(np.uint16)  # 12 bits
    alpha = np.full_like(gray, 65535)
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(np.stack([*[gray] * (channels - 1), alpha], axis=-1)))
    np.testing.assert_allclose(read_image(tmp_path / "x.png").array, gray / 4095, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_a_mask_as_its_image(tmp_path: Path, orientation: int) -> None:
    mask = np.zeros((6, 9), np.uint8)
    mask[1:3, 2:7] = 255
    exif = Picture.Exif()
    exif[0x0112] = orientation
    Picture.fromarray(mask).save(tmp_path / "x.png", exif=exif)
    image = read_image(tmp_path / "x.png")
    found = read_segmentation(tmp_path / "x.png", like=image)
    np.testing.assert_array_equal(found.mask("1"), image.array > 0.5)
    assert bool(found.notes) == (orientation > 1)


def test_a_jpeg_mask_is_cut_at_half_and_labels_in_jpeg_are_refused(tmp_path: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[13:40, 21:50] = 255
    for picture in (Picture.fromarray(mask), Picture.fromarray(mask).convert("RGB")):
        picture.save(tmp_path / "x.jpg", quality=60)
        np.testing.assert_array_equal(read_segmentation(tmp_path / "x.jpg").mask("1"), mask > 0)
    labels = np.zeros((64, 64), np.uint8)
    labels[:, 20:40], labels[:, 40:] = 120, 255
    for wrong in (labels, mask // 80):
        Picture.fromarray(wrong).save(tmp_path / "x.jpg")
        with pytest.raises(ReadError, match="save the mask as PNG"):
            read_segmentation(tmp_path / "x.jpg")


def test_colors_are_regions_and_a_photograph_is_none(tmp_path: Path) -> None:
    colors = np.zeros((20, 20, 3), np.uint8)
    colors[2:6, 2:6], colors[10:, 10:] = (255, 0, 0), (0, 0, 255)
    Picture.fromarray(colors).save(tmp_path / "x.png")
    found = read_segmentation(tmp_path / "x.png")
    np.testing.assert_array_equal(found.mask("#ff0000"), colors[..., 0] > 0)
    palette = Picture.fromarray(colors).convert("P", palette=Picture.Palette.ADAPTIVE)
    palette.save(tmp_path / "palette.png")
    assert len(read_segmentation(tmp_path / "palette.png").names) in (2, 3)  # indices, the background's among them
    hidden = np.dstack([np.full((20, 20, 3), 200, np.uint8), np.where(colors.any(2), 255, 0).astype(np.uint8)])
    Picture.fromarray(hidden).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read_segmentation(tmp_path / "rgba.png").mask("1"), colors.any(2))
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Picture.fromarray(noise).save(tmp_path / "photo.png")
    with pytest.raises(ReadError, match="colors are no regions"):
        read_segmentation(tmp_path / "photo.png")


# Reasons


def test_reasons_name_what_the_file_is(tmp_path: Path) -> None:
    volume = nib.Nifti1Image(np.ones((4, 5, 6), np.int16), np.eye(4))
    nib.save(volume, tmp_path / "x.nii.gz")
    nib.save(nib.Nifti1Pair(np.ones((4, 5, 6), np.int16), np.eye(4)), tmp_path / "pair.hdr")
    nib.save(nib.AnalyzeImage(np.ones((4, 5, 6), np.int16), np.eye(4)), tmp_path / "old.hdr")
    (tmp_path / "x.nrrd").write_bytes(b"NRRD0004\ntype: short\n")
    (tmp_path / "x.mha").write_bytes(b"ObjectType = Image\n")
    Picture.fromarray(np.ones((4, 5), np.uint8)).save(tmp_path / "x.png")
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(ReadError, match="a NIfTI volume and no radiograph: read it with read_volume"):
        read_image(tmp_path / "x.nii.gz")
    for name, words in (
        ("pair.hdr", "NIfTI pair"),
        ("old.hdr", "Analyze"),
        ("x.nrrd", "NRRD"),
        ("x.mha", "MetaImage"),
        ("text.txt", "nothing here can read it"),
    ):
        for read in (read_image, read_volume):
            with pytest.raises(ReadError, match=words):
                read(tmp_path / name)
    with pytest.raises(ReadError, match=r"a picture \(png\) and no volume: read it with read_image"):
        read_volume(tmp_path / "x.png")
    (tmp_path / "x.nii.gz").rename(tmp_path / "scan.img")
    assert read_volume(tmp_path / "scan.img").shape == (6, 5, 4)


def test_a_sform_against_its_qform_is_a_step(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.ones((4, 5, 6), np.int16), np.eye(4))
    image.header.set_sform(np.diag([1, 1, 1, 1]), 1)
    image.header.set_qform(np.diag([-1, 1, 1, 1]), 1)
    nib.save(image, tmp_path / "x.nii")
    assert "sform and qform differ by up to 6 mm: the sform is taken" in read_volume(tmp_path / "x.nii").steps
    image.header.set_qform(np.diag([1, 1, 1, 1]), 1)
    nib.save(image, tmp_path / "x.nii")
    assert not any("differ" in step for step in read_volume(tmp_path / "x.nii").steps)


@pytest.mark.parametrize(("unit", "scale"), [(1, 1000.0), (2, 1.0), (3, 0.001)])
def test_micro_ct_in_nifti_has_its_spacing_in_any_unit(tmp_path: Path, unit: int, scale: float) -> None:
    image = nib.Nifti1Image(np.ones((4, 5, 6), np.int16), np.diag([*[0.005 / scale] * 3, 1.0]))
    image.header["xyzt_units"] = unit
    nib.save(image, tmp_path / "x.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "x.nii").spacing or (), [0.005] * 3, rtol=1e-5)


def test_labels_on_a_sheared_grid_are_not_interpolated(tmp_path: Path) -> None:
    labels = np.zeros((12, 12, 6), np.uint8)
    labels[3:8, 3:8, 1:5] = 3
    labels[8:10, 3:8, 1:5] = 5
    affine = np.diag([-0.5, -0.5, 2.0, 1.0])
    affine[1, 2] = 0.6
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "labels.nii.gz")
    nib.save(nib.Nifti1Image(labels.astype(np.int16) * 100, affine), tmp_path / "image.nii.gz")
    image = read_volume(tmp_path / "image.nii.gz")
    found = read_segmentation(tmp_path / "labels.nii.gz", like=image)
    assert found.shape == image.shape
    assert dict(found.names) == {3: "3", 5: "5"}
    differs = found.layers.any(axis=0) != (image.array > 150)
    assert differs.mean() < 0.03


def test_the_page_of_a_mask_of_several_pages_is_named(tmp_path: Path) -> None:
    pages = [Picture.fromarray(np.full((4, 5), value, np.uint8)) for value in (0, 9)]
    pages[0].save(tmp_path / "x.tiff", save_all=True, append_images=pages[1:])
    assert read_segmentation(tmp_path / "x.tiff").notes == ("page 0 of 2",)
