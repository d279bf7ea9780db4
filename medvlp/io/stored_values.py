"""One frame of a DICOM file -> stored values, before rescale and window (PS3.5 section 8, A.4; PS3.3 C.7.6.3)."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvlp.io.decoders import DEFLATED_FRAMES, PLAIN_FRAMES, DecodedFrame, decode_frame, inflate_frame, syntax_name
from medvlp.io.dicom_file import DicomFile
from medvlp.io.dicom_header import frame_header
from medvlp.io.errors import FormatError
from medvlp.io.pixel_layout import PixelLayout, fits_stored_bits, padding_range

Stored = NDArray[Any]


def stored_values(
    file: DicomFile, layout: PixelLayout, frame: int, *, isolated: bool = False, threads: int = 1
) -> tuple[Stored, PixelLayout]:
    """One frame of stored values.

    Bits outside Bits Stored (where old overlays lie) are dropped, and the sign is extended from the high bit.

    Args:
        file: the parsed file.
        layout: its Image Pixel module.
        frame: index from 0.
        isolated: decode compressed frames in a process that may crash.
        threads: for decoders that can use several.

    Returns:
        `[H, W]` or `[H, W, 3]`, and the layout with the photometric interpretation that decoding left.

    Raises:
        FormatError: no such frame, too few bytes, or a frame that cannot be decoded.
    """
    if not 0 <= frame < layout.frames:
        raise FormatError(f"frame {frame} does not exist; the object has {layout.frames}")
    if not file.encapsulated:
        if file.syntax.startswith("1.2.840.10008.1.2.4.") or file.syntax == DEFLATED_FRAMES:
            raise FormatError(
                f"transfer syntax {syntax_name(file.syntax)} needs fragments, Pixel Data (7FE0,0010) has none"
            )
        data, skip = native_frame(_in_byte_order(file, layout), layout, frame)
        decoded = DecodedFrame(_native(data, layout, skip, file.big_endian_pixels), layout.photometric)
    else:
        frame_bytes = encapsulated_frame(file, layout, frame)
        if file.syntax in (DEFLATED_FRAMES, PLAIN_FRAMES):
            plain = inflate_frame(frame_bytes, layout) if file.syntax == DEFLATED_FRAMES else frame_bytes
            data, _ = native_frame(memoryview(plain), replace(layout, frames=1), 0)
            decoded = DecodedFrame(_native(data, layout, 0, False), layout.photometric)
        elif isolated:
            from medvlp.io.process_pool import SANDBOX

            decoded = SANDBOX.call(decode_frame, bytes(frame_bytes), file.syntax, layout)
        else:
            decoded = decode_frame(frame_bytes, file.syntax, layout, threads)
        layout = replace(layout, photometric=decoded.photometric)
    if layout.kind != "integer":
        return decoded.array, layout
    return _significant(decoded, layout, padding_range(layout, frame_header(file.header, frame))), layout


def _in_byte_order(file: DicomFile, layout: PixelLayout) -> memoryview:
    """Bytes in big-endian words of 16 bits (OW) come in swapped pairs (PS3.5 section 7.3)."""
    if file.little_endian or file.pixel_vr != "OW" or layout.bits_allocated > 8:
        return file.pixels
    even = len(file.pixels) // 2 * 2
    return memoryview(np.frombuffer(file.pixels[:even], np.uint16).byteswap().tobytes())


def _native(data: memoryview, layout: PixelLayout, skip: int, big_endian: bool) -> Stored:
    """Uncompressed bytes -> array; `skip` is the number of bits before the frame's first, for frames of single bits."""
    rows, columns = layout.rows, layout.columns
    if layout.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return bits[skip : skip + rows * columns].reshape(rows, columns)
    if layout.bits_allocated == 12:
        return _packed_12(np.frombuffer(data, np.uint8), layout)
    code = "f" if layout.kind != "integer" else "u"
    flat = np.frombuffer(data, f"{'>' if big_endian else '<'}{code}{layout.bits_allocated // 8}")
    if layout.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422"):  # Y1 Y2 Cb Cr for two neighbors (C.7.6.3.1.2)
        pairs = flat.reshape(rows, columns // 2, 4)
        chroma = np.repeat(pairs[:, :, 2:], 2, axis=1)
        return np.concatenate([pairs[:, :, :2].reshape(rows, columns, 1), chroma], axis=2)
    if layout.samples == 1:
        return flat.reshape(rows, columns)
    if layout.planar:
        return np.moveaxis(flat.reshape(layout.samples, rows, columns), 0, -1)
    return flat.reshape(rows, columns, layout.samples)


def _packed_12(data: NDArray[np.uint8], layout: PixelLayout) -> Stored:
    """Two values of 12 bits in three bytes, as ACR-NEMA wrote them."""
    triples = np.pad(data, (0, -len(data) % 3)).reshape(-1, 3).astype(np.uint16)
    first = triples[:, 0] | (triples[:, 1] & 0x0F) << 8
    second = triples[:, 1] >> 4 | triples[:, 2] << 4
    pairs = np.stack([first, second], axis=1).reshape(-1)
    return pairs[: layout.rows * layout.columns].reshape(layout.rows, layout.columns)


def _significant(decoded: DecodedFrame, layout: PixelLayout, padding: tuple[float, float] | None) -> Stored:
    """Drop the bits outside Bits Stored and extend the sign; words of padding that need those bits stay whole."""
    raw = decoded.array
    size = raw.dtype.itemsize
    bits = decoded.sign_at if layout.signed and raw.dtype.kind == "u" and decoded.sign_at else layout.bits_stored
    if bits > size * 8:
        return raw
    values = raw.view(raw.dtype.str.replace("i", "u").replace("b", "u"))
    shift = layout.high_bit + 1 - layout.bits_stored
    if shift and not decoded.sign_at:
        values = values >> shift
    spare = size * 8 - bits
    words = values.view(values.dtype.str.replace("u", "i")) if layout.signed else values
    if not spare:
        return words
    whole = None
    if padding is not None and not all(fits_stored_bits(end, layout) for end in padding):
        whole = (words >= padding[0]) & (words <= padding[1])
    if layout.signed:
        kept = (words << spare) >> spare
    elif int(values.max()) >> bits:
        kept = values & np.array((1 << bits) - 1, values.dtype)
    else:
        return values
    return kept if whole is None else np.where(whole, words, kept)


_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_CODESTREAM_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP")


def native_frame(pixels: memoryview, layout: PixelLayout, frame: int) -> tuple[memoryview, int]:
    """One uncompressed frame: a view of its bytes, and how many bits of the first byte belong to the frame before.

    Frames of single bits follow one another without padding and need not begin on a byte (PS3.5 section 8.2).

    Raises:
        FormatError: the element is shorter than the frames that the header promises.
    """
    needed = (layout.frame_bits * layout.frames + 7) // 8
    if len(pixels) < needed:
        raise FormatError(
            f"Pixel Data (7FE0,0010) has {len(pixels):,} bytes and {layout.frames:,} frame(s) of {layout.rows:,} x "
            f"{layout.columns:,} need {needed:,}: the file is cut short or its header is wrong"
        )
    first_bit = layout.frame_bits * frame
    return pixels[first_bit // 8 : (first_bit + layout.frame_bits + 7) // 8], first_bit % 8


def encapsulated_frame(file: DicomFile, layout: PixelLayout, frame: int) -> bytes:
    """The compressed bytes of one frame, its fragments joined.

    Frames are separated by the extended offset table, the basic offset table, one fragment a frame, or the start of a
    codestream, in this order (PS3.5 section A.4, PS3.3 section C.7.6.3.1.8).
    """
    items = _items(file.pixels)
    table, fragments = items[0], items[1:]
    if not fragments:
        raise FormatError("Pixel Data holds no compressed fragment")
    if layout.frames == 1:
        return b"".join(file.pixels[start:stop] for start, stop in fragments)
    if len(fragments) < layout.frames:
        raise FormatError(
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
            raise FormatError("Pixel Data (7FE0,0010): an item (FFFE,E000) is expected and something else is found")
        position += 8
        if length > end - position:
            raise FormatError(f"a compressed fragment says {length:,} bytes and the file ends after {end - position:,}")
        items.append((position, position + length))
        position += length
    if not items:
        raise FormatError("Pixel Data (7FE0,0010) holds no item")
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
    raise FormatError(f"no usable offset table assigns {len(fragments)} fragments to {layout.frames} frames")
