"""Bits, bytes and samples of the pixel element, each layout against values that are written down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medvlp.io import ReadError, read_image
from medvlp.io.dicom_file import parse_dicom
from medvlp.io.errors import as_read_error
from medvlp.io.pixel_layout import read_layout
from medvlp.io.stored_values import stored_values

WriteDicom = Callable[..., Path]
BIG_ENDIAN = "1.2.840.10008.1.2.2"


def stored(path: Path, frame: int = 0) -> list[object]:
    with as_read_error(path):
        file = parse_dicom(path.read_bytes())
        return stored_values(file, read_layout(file), frame)[0].tolist()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", BIG_ENDIAN])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4"])
def test_whole_containers_in_every_byte_order(write_dicom: WriteDicom, syntax: str, kind: str) -> None:
    ends = np.iinfo(kind)
    values = np.array([[ends.min, 0, 1], [2, 100, ends.max]], kind)
    assert stored(write_dicom(values, syntax=syntax)) == values.tolist()


@pytest.mark.parametrize("bits", [9, 10, 12, 13, 15])
def test_odd_depths_drop_the_bits_above_and_extend_the_sign(write_dicom: WriteDicom, bits: int) -> None:
    overlay = np.uint16(0xFFFF << bits & 0xFFFF)  # old overlays live in the bits that the image leaves
    unsigned = np.array([[0, 1, (1 << bits) - 1]], np.uint16)
    path = write_dicom(unsigned | overlay, BitsStored=bits, HighBit=bits - 1)
    assert stored(path) == unsigned.tolist()
    path = write_dicom(unsigned | overlay, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=1)
    assert stored(path) == [[0, 1, -1]]


def test_a_high_bit_at_the_top_shifts_the_values_down(write_dicom: WriteDicom) -> None:
    path = write_dicom(np.array([[0x1230, 0xFFF0 | 0x5]], np.uint16), BitsStored=12, HighBit=15)
    assert stored(path) == [[0x123, 0xFFF]]


def test_bytes_in_big_endian_words_come_in_swapped_pairs(write_dicom: WriteDicom) -> None:
    path = write_dicom(np.array([[1, 0, 3], [2, 5, 4]], np.uint8), syntax=BIG_ENDIAN)
    path.write_bytes(path.read_bytes().replace(b"\x7f\xe0\0\x10OB", b"\x7f\xe0\0\x10OW"))
    assert stored(path) == [[0, 1, 2], [3, 4, 5]]


def test_single_bits_of_a_second_frame_begin_inside_a_byte(write_dicom: WriteDicom) -> None:
    frames = np.array([[[1, 0, 1], [1, 1, 0]], [[0, 0, 1], [0, 1, 1]]], np.uint8)
    packed = np.packbits(frames.reshape(-1), bitorder="little").tobytes()
    path = write_dicom(frames, BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=packed)
    assert [stored(path, 0), stored(path, 1)] == frames.tolist()


def test_12_bits_packed_two_in_three_bytes(write_dicom: WriteDicom) -> None:
    path = write_dicom(np.zeros((1, 3), np.uint16), BitsAllocated=12, BitsStored=12, HighBit=11)
    raw = path.read_bytes()
    at = raw.index(b"\xe0\x7f\x10\x00OW\0\0") + 8
    path.write_bytes(raw[:at] + (6).to_bytes(4, "little") + bytes([0x23, 0x61, 0x45, 0xFF, 0x0F, 0x00]))
    assert stored(path) == [[0x123, 0x456, 0xFFF]]


def test_color_by_plane_and_by_pixel_are_the_same(write_dicom: WriteDicom) -> None:
    rgb = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    by_pixel = write_dicom(rgb, "a.dcm", PhotometricInterpretation="RGB")
    planes = np.moveaxis(rgb, -1, 0).tobytes()
    by_plane = write_dicom(rgb, "b.dcm", PhotometricInterpretation="RGB", PlanarConfiguration=1, PixelData=planes)
    assert stored(by_pixel) == stored(by_plane) == rgb.tolist()


def test_ybr_full_422_gives_two_pixels_one_chroma(write_dicom: WriteDicom) -> None:
    path = write_dicom(
        np.zeros((1, 4, 3), np.uint8),
        PhotometricInterpretation="YBR_FULL",
        PixelData=bytes([10, 20, 128, 130, 30, 40, 1, 2]),
    )
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"(\0\x04\0CS\x08\0YBR_FULL", b"(\0\x04\0CS\x0c\0YBR_FULL_422"))
    assert stored(path) == [[[10, 128, 130], [20, 128, 130], [30, 1, 2], [40, 1, 2]]]


@pytest.mark.parametrize(
    ("elements", "tag"),
    [
        ({"Rows": 65535}, "7FE0,0010"),  # ITK returns an image of that many rows
        ({"Rows": 65535, "Columns": 65535}, "beyond the limit"),
        ({"Rows": 0}, "0028,0010"),
        ({"NumberOfFrames": -1}, "0028,0008"),  # ITK returns an image
        ({"NumberOfFrames": 2147483647}, "7FE0,0010"),
        ({"BitsAllocated": 24}, "0028,0100"),
        ({"BitsStored": 20}, "0028,0101"),
        ({"HighBit": 20}, "0028,0102"),
        ({"SamplesPerPixel": 3}, "0028,0002"),
        ({"PhotometricInterpretation": "CMYK"}, "0028,0004"),
        ({"RescaleSlope": "nan"}, "0028,1053"),
    ],
)
def test_a_header_that_cannot_be_true_is_refused_by_its_tag(
    write_dicom: WriteDicom, elements: dict[str, object], tag: str
) -> None:
    path = write_dicom(np.zeros((8, 8), np.uint16), PixelData=bytes(128), **elements)
    with pytest.raises(ReadError, match=tag):
        read_image(path)


def test_a_file_with_a_seventh_of_its_pixels_is_refused(write_dicom: WriteDicom) -> None:
    path = write_dicom(np.zeros((70, 64), np.uint16))
    raw = path.read_bytes()
    at = raw.index(b"\xe0\x7f\x10\x00OW\0\0")
    path.write_bytes(raw[: at + 8] + (1280).to_bytes(4, "little") + bytes(1280))
    with pytest.raises(ReadError, match=r"1,280 bytes and 1 frame.* of 70 x 64 need 8,960"):
        read_image(path)


def test_frames_that_are_no_number_are_counted_from_the_pixels(write_dicom: WriteDicom) -> None:
    path = write_dicom(np.arange(32, dtype=np.uint8).reshape(2, 4, 4))
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"\x28\0\x08\0IS\x02\x002 ", b"\x28\0\x08\0IS\x02\x001A"))
    assert stored(path, 1) == np.arange(16, 32).reshape(4, 4).tolist()


def test_a_frame_that_does_not_exist_is_refused(write_dicom: WriteDicom) -> None:
    path = write_dicom(np.zeros((2, 4, 4), np.uint8))
    assert read_image(path, frame=1).frame == 1
    with pytest.raises(ReadError, match="frame 2 does not exist; the object has 2"):
        read_image(path, frame=2)
