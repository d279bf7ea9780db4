"""Color and palettes reduced to luma, against the matrices and segment rules of PS3.3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_color_lut, convert_color_space

from medvlp.io import ReadError, read_image

WriteDicom = Callable[..., Path]
LUMA = [0.299, 0.587, 0.114]
BLOCKS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [90, 160, 30]]], np.uint8)


def palette(*tables: list[int], first: int = 0, bits: int = 8, segmented: bool = False) -> dict[str, Any]:
    """Elements of PALETTE COLOR with three tables; `segmented` tables are given as their segments."""
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        words = np.array(table, "u1" if bits == 8 else "<u2").tobytes()
        prefix = "Segmented" if segmented else ""
        entries = 256 if segmented else len(table)
        elements[f"{color}PaletteColorLookupTableDescriptor"] = [entries, first, bits]
        elements[f"{prefix}{color}PaletteColorLookupTableData"] = words + b"\0" * (len(words) % 2)
    return elements


def test_rgb_is_reduced_by_the_weights_of_y(write_dicom: WriteDicom) -> None:
    image = read_image(write_dicom(BLOCKS, PhotometricInterpretation="RGB"))
    np.testing.assert_allclose(image.array, BLOCKS @ LUMA / 255, atol=1e-6)
    assert image.steps == ("RGB reduced to luma",)


def test_16_bit_rgb_keeps_its_depth(write_dicom: WriteDicom) -> None:
    deep = BLOCKS.astype(np.uint16) * 257
    np.testing.assert_allclose(
        read_image(write_dicom(deep, PhotometricInterpretation="RGB")).array, BLOCKS @ LUMA / 255, atol=1e-6
    )


def test_ybr_full_is_shown_as_the_rgb_it_stands_for(write_dicom: WriteDicom) -> None:
    """Any bytes, also those that no RGB makes: what a display shows is clipped, and its luma is not Y."""
    ybr = np.random.default_rng(0).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    rgb = convert_color_space(ybr, "YBR_FULL", "RGB")
    np.testing.assert_allclose(
        read_image(write_dicom(ybr, PhotometricInterpretation="YBR_FULL")).array, rgb @ LUMA / 255, atol=1 / 255
    )


def test_a_palette_is_applied_and_not_shown_as_its_indices(write_dicom: WriteDicom) -> None:
    red, green, blue = [255, 0, 10, 200], [0, 255, 20, 200], [0, 0, 30, 200]
    stored = np.array([[5, 6, 7], [8, 0, 200]], np.uint8)  # first 5: what lies below or past takes the ends
    image = read_image(write_dicom(stored, **palette(red, green, blue, first=5)))
    index = np.clip(stored.astype(int) - 5, 0, 3)
    colors = np.stack([np.array(table)[index] for table in (red, green, blue)], axis=-1)
    np.testing.assert_allclose(image.array, colors @ LUMA / 255, atol=1e-6)


def test_8_bit_entries_under_a_descriptor_of_16_bits_are_not_black(write_dicom: WriteDicom) -> None:
    ramp = list(range(256))
    stored = np.array([[0, 128, 255]], np.uint8)
    image = read_image(write_dicom(stored, **palette(ramp, ramp, ramp, bits=16)))
    np.testing.assert_allclose(image.array, stored / 255, atol=1e-6)


def test_segments_discrete_linear_and_indirect(write_dicom: WriteDicom) -> None:
    """C.7.9.2: 3 values, a line of 61 to 244, a line of 64 back to 52, then the first two segments again."""
    segments = [0, 3, 0, 30, 61, 1, 61, 244, 1, 64, 52, 2, 2, 0, 0, 1, 64, 200]
    table = [0, 30, 61, *(61 + 3 * step for step in range(1, 62)), *(244 - 3 * step for step in range(1, 65))]
    table += [0, 30, 61, *(61 + 3 * step for step in range(1, 62))]
    table += [round(244 + (200 - 244) * step / 64) for step in range(1, 65)]
    assert len(table) == 256
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = read_image(write_dicom(stored, **palette(segments, segments, segments, segmented=True)))
    np.testing.assert_allclose(image.array, np.array(table)[stored] / 255, atol=1e-6)


@pytest.mark.parametrize(
    "segments",
    [[2, 3, 0, 0], [1, 200, 9], [0, 3, 1, 2, 3, 9, 9, 9], [0, 2, 1, 2]],
    ids=["loop", "no start", "type", "short"],
)
def test_segments_that_lie_are_refused(write_dicom: WriteDicom, segments: list[int]) -> None:
    path = write_dicom(np.zeros((2, 2), np.uint8), **palette(segments, segments, segments, segmented=True))
    with pytest.raises(ReadError, match=r"segmented palette|\(0028,1221\) expands"):
        read_image(path)


def test_a_missing_table_is_named(write_dicom: WriteDicom) -> None:
    elements = palette([0], [0], [0])
    del elements["BluePaletteColorLookupTableData"]
    with pytest.raises(ReadError, match=r"\(0028,1203\) is missing"):
        read_image(write_dicom(np.zeros((2, 2), np.uint8), **elements))


@pytest.mark.parametrize("name", ["examples_palette.dcm"])
def test_a_real_palette_equals_pydicom_s_colors(name: str) -> None:
    ds = dcmread(get_testdata_file(name))
    rgb = apply_color_lut(ds.pixel_array, ds)
    expected = rgb @ LUMA / np.iinfo(rgb.dtype).max
    np.testing.assert_allclose(read_image(str(get_testdata_file(name))).array, expected, atol=1 / 255)


def test_a_supplemental_palette_leaves_the_grey_image_alone(write_dicom: WriteDicom) -> None:
    """Enhanced CT with Pixel Presentation COLOR: the gray values are the image (PS3.3 C.7.6.16.1.1.3)."""
    stored = np.array([[0, 50, 100]], np.uint8)
    elements = {**palette([255] * 4, [0] * 4, [0] * 4, first=101), "PhotometricInterpretation": "MONOCHROME2"}
    np.testing.assert_allclose(read_image(write_dicom(stored, **elements)).array, [[0, 0.5, 1]], atol=1e-6)
