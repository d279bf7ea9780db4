"""The grayscale pipeline against the standard's text, one pixel and one formula at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medvlp.io import ReadError, read_image

WriteDicom = Callable[..., Path]
LutItem = Callable[..., Any]


def window_of_the_standard(x: float, c: float, w: float, function: str) -> float:
    """The pseudo-code of PS3.3 C.11.2.1.2.1, C.11.2.1.3.2 and C.11.2.1.3.1 with ymin = 0 and ymax = 1."""
    if function == "LINEAR":
        if x <= c - 0.5 - (w - 1) / 2:
            return 0.0
        if x > c - 0.5 + (w - 1) / 2:
            return 1.0
        return (x - (c - 0.5)) / (w - 1) + 0.5
    if function == "LINEAR_EXACT":
        if x <= c - w / 2:
            return 0.0
        if x > c + w / 2:
            return 1.0
        return (x - c) / w + 0.5
    exponent = -4 * (x - c) / w
    return 0.0 if exponent > 700 else 1 / (1 + math.exp(exponent))


def lut_of_the_standard(x: float, entries: list[int], first: int) -> int:
    """PS3.3 C.11.1.1.1: below the first value the first entry, past the last value the last entry."""
    return entries[min(max(int(x) - first, 0), len(entries) - 1)]


def test_rescale_then_window_then_inversion(write_dicom: WriteDicom) -> None:
    stored = np.array([[0, 500, 1000], [1024, 2000, 4095]], np.uint16)
    path = write_dicom(
        stored,
        PhotometricInterpretation="MONOCHROME1",
        RescaleSlope=2,
        RescaleIntercept=-1024,
        WindowCenter=100,
        WindowWidth=2000,
    )
    image = read_image(path)
    for place, value in np.ndenumerate(stored):
        assert image.array[place] == pytest.approx(
            1 - window_of_the_standard(2 * float(value) - 1024, 100, 2000, "LINEAR"), abs=1e-6
        )
    assert image.steps == ("rescale 2 x stored -1024", "window 100/2000 LINEAR", "inverted (MONOCHROME1)")


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    center=st.integers(-500, 1500),
    width=st.integers(1, 3000),
    slope=st.sampled_from([0.5, 1.0, 3.0]),
    intercept=st.sampled_from([-1024.0, 0.0, 10.5]),
    signed=st.booleans(),
    inverted=st.booleans(),
)
def test_any_window_equals_the_formula_of_the_standard(
    write_dicom: WriteDicom,
    function: str,
    center: int,
    width: int,
    slope: float,
    intercept: float,
    signed: bool,
    inverted: bool,
) -> None:
    stored = np.array([[-300, -1, 0, 1], [7, 255, 256, 1000]], np.int16) + (0 if signed else 300)
    path = write_dicom(
        stored.astype(np.int16 if signed else np.uint16),
        PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        WindowCenter=center,
        WindowWidth=width,
        VOILUTFunction=function,
    )
    shown = read_image(path).array
    for place, value in np.ndenumerate(stored):
        expected = window_of_the_standard(slope * float(value) + intercept, center, width, function)
        assert shown[place] == pytest.approx(1 - expected if inverted else expected, abs=1e-5)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_a_modality_lut_sequence_is_applied_and_goes_before_the_rescale(
    write_dicom: WriteDicom, lut_item: LutItem, bits: int
) -> None:
    entries = [(index * index) % (1 << bits) for index in range(100)]
    stored = np.arange(150, dtype=np.uint16).reshape(10, 15)
    path = write_dicom(
        stored,
        ModalityLUTSequence=[lut_item(np.array(entries), 20, bits)],
        WindowCenter=1 << bits - 1,
        WindowWidth=1 << bits,
    )
    shown = read_image(path).array
    for place, value in np.ndenumerate(stored):
        expected = window_of_the_standard(lut_of_the_standard(value, entries, 20), 1 << bits - 1, 1 << bits, "LINEAR")
        assert shown[place] == pytest.approx(expected, abs=1e-6)


def test_a_voi_lut_sequence_is_applied_and_goes_before_the_window(write_dicom: WriteDicom, lut_item: LutItem) -> None:
    entries = [1023 - 2 * index for index in range(256)]
    stored = np.arange(300, dtype=np.uint16).reshape(15, 20)
    path = write_dicom(
        stored,
        RescaleSlope=1,
        RescaleIntercept=-100,
        VOILUTSequence=[lut_item(np.array(entries), -60, 10, signed=True)],
        WindowCenter=5,
        WindowWidth=10,
    )
    image = read_image(path)
    for place, value in np.ndenumerate(stored):
        assert image.array[place] == pytest.approx(lut_of_the_standard(value - 100.0, entries, -60) / 1023, abs=1e-6)
    assert "VOI LUT of 256 entries, 10 bits" in image.steps


def test_a_first_value_of_a_lut_that_is_written_unsigned_is_taken_as_negative_for_signed_input(
    write_dicom: WriteDicom,
    lut_item: LutItem,
) -> None:
    entries = list(range(0, 4096, 16))
    stored = np.array([[-128, -1, 0, 127]], np.int16)
    path = write_dicom(stored, VOILUTSequence=[lut_item(np.array(entries), 65536 - 128, 12)])
    np.testing.assert_allclose(read_image(path).array, np.array([[0, 127 * 16, 128 * 16, 255 * 16]]) / 4095, atol=1e-6)


def test_a_lut_of_bytes_packed_two_to_a_word_is_unpacked(write_dicom: WriteDicom, lut_item: LutItem) -> None:
    item = lut_item(np.zeros(0), 0, 8)
    item.LUTDescriptor = [256, 0, 8]
    item.LUTData = bytes(range(256))
    stored = np.array([[0, 100, 255]], np.uint8)
    np.testing.assert_allclose(read_image(write_dicom(stored, VOILUTSequence=[item])).array, stored / 255, atol=1e-6)


def test_without_a_window_the_values_present_are_spread_and_padding_is_left_out(write_dicom: WriteDicom) -> None:
    stored = np.array([[-2000, 100, 200], [300, 500, -2000]], np.int16)
    path = write_dicom(stored, PixelPaddingValue=-2000)
    np.testing.assert_allclose(read_image(path).array, [[0, 0, 0.25], [0.5, 1, 0]], atol=1e-6)


def test_padding_is_black_after_inversion_and_may_be_a_range(write_dicom: WriteDicom) -> None:
    stored = np.array([[0, 5, 10], [100, 200, 9]], np.uint16)
    path = write_dicom(
        stored,
        PhotometricInterpretation="MONOCHROME1",
        PixelPaddingValue=0,
        PixelPaddingRangeLimit=10,
        WindowCenter=100,
        WindowWidth=400,
    )
    shown = read_image(path).array
    assert (shown[stored <= 10] == 0).all()
    assert shown[1, 0] == pytest.approx(1 - window_of_the_standard(100, 100, 400, "LINEAR"))


def test_a_padding_value_written_unsigned_matches_signed_pixels(write_dicom: WriteDicom) -> None:
    stored = np.array([[-2000, 0, 100]], np.int16)
    path = write_dicom(stored)
    raw = path.read_bytes()
    marker = raw.index(b"\x28\x00\x00\x01")  # Pixel Padding Value comes after Pixel Representation (0028,0103)
    place = raw.index(b"\xe0\x7f\x10\x00", marker)
    element = b"\x28\x00\x20\x01US\x02\x00" + (63536).to_bytes(2, "little")
    path.write_bytes(raw[:place] + element + raw[place:])
    np.testing.assert_allclose(read_image(path).array, [[0, 0, 1]], atol=1e-6)


def test_monochrome1_and_monochrome2_are_opposite(write_dicom: WriteDicom) -> None:
    stored = np.arange(64, dtype=np.uint8).reshape(8, 8)
    dark = read_image(write_dicom(stored, "a.dcm", PhotometricInterpretation="MONOCHROME1")).array
    light = read_image(write_dicom(stored, "b.dcm", PhotometricInterpretation="MONOCHROME2")).array
    np.testing.assert_allclose(dark, 1 - light, atol=1e-6)


def test_float_and_double_pixels_are_spread_over_their_range(write_dicom: WriteDicom) -> None:
    for kind in (np.float32, np.float64):
        stored = np.array([[-2.5, 0.0], [np.nan, 7.5]], kind)
        np.testing.assert_allclose(read_image(write_dicom(stored)).array, [[0, 0.25], [0, 1]], atol=1e-6)


def test_32_bit_pixels_go_through_the_same_pipeline(write_dicom: WriteDicom) -> None:
    stored = np.array([[0, 1 << 30], [1 << 31, (1 << 32) - 1]], np.uint32)
    np.testing.assert_allclose(read_image(write_dicom(stored)).array, [[0, 0.25], [0.5, 1]], atol=1e-6)
    windowed = read_image(write_dicom(stored, WindowCenter=1 << 30, WindowWidth=1 << 31, VOILUTFunction="LINEAR_EXACT"))
    np.testing.assert_allclose(windowed.array, [[0, 0.5], [1, 1]], atol=1e-6)


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"WindowCenter": 40, "WindowWidth": 0}, "not allowed"),
        ({"WindowCenter": 40, "WindowWidth": 100, "VOILUTFunction": "CUBIC"}, "taken as LINEAR"),
        ({"RescaleSlope": 0, "RescaleIntercept": 5}, "taken as 1"),
        ({"WindowCenter": [40, 50], "WindowWidth": [100, 200]}, "first of 2"),
    ],
)
def test_what_the_standard_forbids_is_said_in_the_steps(
    write_dicom: WriteDicom, elements: dict[str, Any], words: str
) -> None:
    image = read_image(write_dicom(np.arange(100, dtype=np.uint8).reshape(10, 10), **elements))
    assert any(words in step for step in image.steps)
    assert image.array.max() > image.array.min()


@pytest.mark.parametrize(("descriptor", "tag"), [([500, 0, 16], "0028,3006"), ([5, 0, 4], "0028,3002")])
def test_a_broken_lut_is_refused_by_its_tag(
    write_dicom: WriteDicom, lut_item: LutItem, descriptor: list[int], tag: str
) -> None:
    item = lut_item(np.arange(5), 0, 16)
    item.LUTDescriptor = descriptor
    with pytest.raises(ReadError, match=tag):
        read_image(write_dicom(np.zeros((4, 4), np.uint8), ModalityLUTSequence=[item]))
