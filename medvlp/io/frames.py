"""The bytes of one frame: native ones by arithmetic, encapsulated ones out of their items (PS3.5 A.4)."""

from __future__ import annotations

import struct

from medvlp.io.dicom_file import DicomFile
from medvlp.io.errors import Unreadable
from medvlp.io.pixel_layout import PixelLayout

_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_CODESTREAM_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP")


def native_frame(pixels: memoryview, layout: PixelLayout, frame: int) -> tuple[memoryview, int]:
    """One uncompressed frame: a view of its bytes, and how many bits of the first byte belong to the frame before.

    Frames of single bits follow one another without padding and need not begin on a byte (PS3.5 section 8.2).

    Raises:
        Unreadable: the element is shorter than the frames that the header promises.
    """
    needed = (layout.frame_bits * layout.frames + 7) // 8
    if len(pixels) < needed:
        raise Unreadable(
            f"Pixel Data (7FE0,0010) has {len(pixels):,} bytes and {layout.frames:,} frame(s) of {layout.rows:,} x "
            f"{layout.columns:,} need {needed:,}: the file is cut short or its header is wrong"
        )
    first_bit = layout.frame_bits * frame
    return pixels[first_bit // 8 : (first_bit + layout.frame_bits + 7) // 8], first_bit % 8


def encapsulated_frame(file: DicomFile, layout: PixelLayout, frame: int) -> bytes:
    """The compressed bytes of one frame, its fragments joined.

    Frames are told apart by the extended offset table, the basic offset table, one fragment a frame, or the start of a
    codestream, in this order (PS3.5 section A.4, PS3.3 section C.7.6.3.1.8).
    """
    items = _items(file.pixels)
    table, fragments = items[0], items[1:]
    if not fragments:
        raise Unreadable("Pixel Data holds no compressed fragment")
    if layout.frames == 1:
        return b"".join(file.pixels[start:stop] for start, stop in fragments)
    if len(fragments) < layout.frames:
        raise Unreadable(
            f"Number of Frames (0028,0008) is {layout.frames} and Pixel Data has {len(fragments)} fragments"
        )
    starts = _frame_starts(file, layout, table, fragments)
    begin = starts[frame]
    end = starts[frame + 1] if frame + 1 < layout.frames else len(fragments)
    return b"".join(file.pixels[start:stop] for start, stop in fragments[begin:end])


def _items(pixels: memoryview) -> list[tuple[int, int]]:
    """(start, stop) of each item's value; the first item is the basic offset table."""
    items: list[tuple[int, int]] = []
    position, end = 0, len(pixels)
    while position + 8 <= end:
        tag, (length,) = (
            bytes(pixels[position : position + 4]),
            struct.unpack("<I", pixels[position + 4 : position + 8]),
        )
        if tag == _SEQUENCE_END:
            break
        if tag != _ITEM:
            raise Unreadable("Pixel Data (7FE0,0010): an item (FFFE,E000) is expected and something else is found")
        position += 8
        if length > end - position:
            raise Unreadable(f"a compressed fragment says {length:,} bytes and the file ends after {end - position:,}")
        items.append((position, position + length))
        position += length
    if not items:
        raise Unreadable("Pixel Data (7FE0,0010) holds no item")
    return items


def _frame_starts(
    file: DicomFile, layout: PixelLayout, table: tuple[int, int], fragments: list[tuple[int, int]]
) -> list[int]:
    """Index of the first fragment of each frame."""
    if len(fragments) == layout.frames:
        return list(range(layout.frames))
    by_offset = {start - 8 - table[1]: index for index, (start, _) in enumerate(fragments)}
    extended = file.header.get("ExtendedOffsetTable")
    for raw, code in ((extended, "Q"), (bytes(file.pixels[table[0] : table[1]]), "I")):
        size = struct.calcsize(code)
        if isinstance(raw, bytes) and len(raw) >= size * layout.frames:
            offsets = struct.unpack(f"<{layout.frames}{code}", raw[: size * layout.frames])
            if all(offset in by_offset for offset in offsets):
                return [by_offset[offset] for offset in offsets]
    starts = [
        index
        for index, (start, stop) in enumerate(fragments)
        if bytes(file.pixels[start : min(stop, start + 6)]).startswith(_CODESTREAM_STARTS)
    ]
    if len(starts) == layout.frames:
        return starts
    raise Unreadable(f"{len(fragments)} fragments cannot be assigned to {layout.frames} frames: no usable offset table")
