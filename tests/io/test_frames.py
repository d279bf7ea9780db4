"""Fragments of compressed pixel data told apart in every way that PS3.5 section A.4 allows."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from medvlp.io.dicom_file import DicomFile
from medvlp.io.errors import FormatError
from medvlp.io.pixel_layout import PixelLayout
from medvlp.io.stored_values import encapsulated_frame

LAYOUT = PixelLayout(4, 4, 1, 1, False, "MONOCHROME2", 8, 8, 7, False, "integer")
SOI = b"\xff\xd8\xff"


def element(*fragments: bytes, table: bytes = b"", end: bool = True) -> DicomFile:
    items = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(value)) + value for value in (table, *fragments))
    pixels = items + (b"\xfe\xff\xdd\xe0\0\0\0\0" if end else b"")
    return DicomFile(Dataset(), "", True, "integer", "OB", memoryview(pixels), True)


def frames(file: DicomFile, count: int) -> list[bytes]:
    return [encapsulated_frame(file, replace(LAYOUT, frames=count), index) for index in range(count)]


def test_one_frame_takes_all_fragments() -> None:
    assert frames(element(b"ab", b"cd", b"ef"), 1) == [b"abcdef"]


def test_one_fragment_a_frame_needs_no_table() -> None:
    assert frames(element(b"ab", b"cd"), 2) == [b"ab", b"cd"]


def test_a_basic_offset_table_groups_fragments() -> None:
    file = element(b"ab", b"cd", b"ef", table=struct.pack("<2I", 0, 20))
    assert frames(file, 2) == [b"abcd", b"ef"]


def test_an_extended_offset_table_groups_fragments() -> None:
    file = element(b"ab", b"cd", b"ef")
    file.header.ExtendedOffsetTable = struct.pack("<2Q", 0, 10)
    assert frames(file, 2) == [b"ab", b"cdef"]


def test_without_a_table_a_codestream_begins_a_frame() -> None:
    file = element(SOI + b"1", b"--", SOI + b"2", b"--", b"--")
    assert frames(file, 2) == [SOI + b"1--", SOI + b"2----"]


def test_a_table_that_points_between_fragments_is_not_believed() -> None:
    file = element(SOI + b"1", b"--", SOI + b"2", table=struct.pack("<2I", 0, 13))
    assert frames(file, 2) == [SOI + b"1--", SOI + b"2"]


def test_a_missing_end_is_tolerated() -> None:
    assert frames(element(b"ab", end=False), 1) == [b"ab"]


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (b"", "holds no item"),
        (b"\xfe\xff\x00\xe0\0\0\0\0", "no compressed fragment"),
        (
            b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\xff\xff\xff\x7fab",
            "2,147,483,647 bytes and the file ends after 2",
        ),
        (b"garbage!garbage!", "an item .* is expected"),
    ],
)
def test_items_that_lie_are_refused(pixels: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        frames(replace(element(), pixels=memoryview(pixels)), 1)


def test_more_frames_than_fragments_are_refused() -> None:
    with pytest.raises(FormatError, match="is 3 and Pixel Data has 2 fragments"):
        frames(element(b"ab", b"cd"), 3)


def test_fragments_that_nothing_assigns_are_refused() -> None:
    with pytest.raises(FormatError, match="no usable offset table"):
        frames(element(b"ab", b"cd", b"ef"), 2)
