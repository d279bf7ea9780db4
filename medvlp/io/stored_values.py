"""The pixel element -> stored values as the Image Pixel module defines them (PS3.3 C.7.6.3, PS3.5 section 8)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medvlp.io.decoders import NATIVE, decode_frame
from medvlp.io.dicom_file import DicomFile
from medvlp.io.errors import Unreadable
from medvlp.io.frames import encapsulated_frame, native_frame
from medvlp.io.pixel_layout import PixelLayout


def stored_values(file: DicomFile, layout: PixelLayout, frame: int) -> tuple[NDArray[np.generic], PixelLayout]:
    """One frame of stored values.

    Bits outside Bits Stored (old overlays) are dropped and the sign is extended from the high bit.

    Returns:
        `[H, W]` or `[H, W, 3]`, and the layout with the photometric interpretation that decoding left.
    """
    if not 0 <= frame < layout.frames:
        raise Unreadable(f"frame {frame} does not exist; the object has {layout.frames}")
    if file.encapsulated:
        raw, photometric = decode_frame(file.syntax, encapsulated_frame(file, layout, frame), layout)
        layout = replace(layout, photometric=photometric)
    elif file.syntax in NATIVE:
        raw = _native(file, layout, frame)
    else:
        raise Unreadable(f"Pixel Data is not compressed although transfer syntax {file.syntax} says so")
    if layout.kind != "integer":
        return raw, layout
    return _significant_bits(raw, layout), layout


def _native(file: DicomFile, layout: PixelLayout, frame: int) -> NDArray[np.generic]:
    data = native_frame(file, layout, frame)
    order = "<" if file.little_endian else ">"
    if layout.bits_allocated == 1:
        skip = layout.frame_bits * frame % 8
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return bits[skip : skip + layout.frame_bits].reshape(layout.rows, layout.columns)
    if layout.bits_allocated == 12:
        return _packed_12(np.frombuffer(data, np.uint8), layout)
    code = "f" if layout.kind != "integer" else "u"
    flat = np.frombuffer(data, f"{order}{code}{layout.bits_allocated // 8}")
    if layout.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422"):  # Y1 Y2 Cb Cr for two neighbours (C.7.6.3.1.2)
        quads = flat.reshape(layout.rows, layout.columns // 2, 4)
        chroma = np.repeat(quads[:, :, 2:], 2, axis=1)
        return np.concatenate([quads[:, :, :2].reshape(layout.rows, layout.columns, 1), chroma], axis=2)
    if layout.samples == 1:
        return flat.reshape(layout.rows, layout.columns)
    if layout.planar:
        return np.moveaxis(flat.reshape(layout.samples, layout.rows, layout.columns), 0, -1)
    return flat.reshape(layout.rows, layout.columns, layout.samples)


def _packed_12(data: NDArray[np.uint8], layout: PixelLayout) -> NDArray[np.generic]:
    """Two 12-bit values in three bytes, as ACR-NEMA wrote them."""
    count = layout.rows * layout.columns
    triples = np.pad(data, (0, -len(data) % 3)).reshape(-1, 3).astype(np.uint16)
    pairs = np.stack([triples[:, 0] | (triples[:, 1] & 0x0F) << 8, triples[:, 1] >> 4 | triples[:, 2] << 4], axis=1)
    return pairs.reshape(-1)[:count].reshape(layout.rows, layout.columns)


def _significant_bits(raw: NDArray[np.generic], layout: PixelLayout) -> NDArray[np.generic]:
    """Drop the bits outside Bits Stored and extend the sign."""
    size = raw.dtype.itemsize
    unsigned = np.dtype(f"{raw.dtype.byteorder if size > 1 else '|'}u{size}")
    values = raw.view(unsigned) if raw.dtype.kind == "i" else raw
    width = size * 8
    shift = layout.high_bit + 1 - layout.bits_stored
    if width < layout.bits_stored:  # a decoder may return the smallest type that holds the codestream's precision
        return values.view(f"i{size}") if layout.signed else values
    if shift:
        values = values >> shift
    if layout.signed:
        spare = width - layout.bits_stored
        signed = values.view(values.dtype.str.replace("u", "i"))
        return (signed << spare) >> spare if spare else signed
    if layout.bits_stored < width:
        return values & np.array((1 << layout.bits_stored) - 1, values.dtype)
    return values
