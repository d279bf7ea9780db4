"""What a compressed frame says of itself, read from its first markers, so that it can be checked before it is decoded.

JPEG and JPEG-LS: ISO/IEC 10918-1 annex B, ISO/IEC 14495-1 annex C. JPEG 2000 and HTJ2K: ISO/IEC 15444-1 annex A.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from medvlp.io.errors import FormatError

_FRAME_MARKERS = {
    0xC0: "JPEG",
    0xC1: "JPEG",
    0xC2: "JPEG",
    0xC3: "JPEG lossless",
    0xC9: "JPEG arithmetic",
    0xCA: "JPEG arithmetic",
    0xF7: "JPEG-LS",
}
_J2K_START, _JP2_START = b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP"
_JXL_STARTS = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")


@dataclass(frozen=True)
class Codestream:
    """The frame header of a compressed image.

    Attributes:
        kind: `JPEG`, `JPEG lossless`, `JPEG arithmetic`, `JPEG-LS`, `JPEG 2000`, `HTJ2K` or `JPEG XL`.
        rows, columns, samples, precision: size, components, bits of a component; 0 for JPEG XL, whose header is
            entropy coded.
        signed: components are signed (JPEG 2000 alone can be).
        color: `RGB` or `YCbCr` where the stream itself says, else "".
        reversible: the wavelet of JPEG 2000 is the integer one.
        complete: its end marker is there.
    """

    kind: str
    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False
    color: str = ""
    reversible: bool = False
    complete: bool = True


def read_codestream(data: bytes | memoryview) -> Codestream | None:
    """Read the header of a compressed frame; None where it is no codestream that is known (RLE, for one).

    Raises:
        FormatError: it begins as a codestream and its header is damaged.
    """
    start = bytes(data[:12])
    try:
        if start.startswith(b"\xff\xd8\xff"):
            return _jpeg(bytes(data))
        if start.startswith(_J2K_START):
            return _jpeg_2000(bytes(data), 0)
        if start.startswith(_JP2_START):
            return _jpeg_2000(bytes(data), bytes(data).find(_J2K_START))
        if start.startswith(_JXL_STARTS):
            return Codestream("JPEG XL", 0, 0, 0, 0)
    except (struct.error, IndexError):
        raise FormatError("the header of the compressed frame is cut short") from None
    return None


def _jpeg(data: bytes) -> Codestream:
    position, color = 2, ""
    while True:
        while data[position] != 0xFF or data[position + 1] == 0xFF:  # fill bytes may come before a marker (B.1.1.2)
            position += 1
        marker = data[position + 1]
        (length,) = struct.unpack_from(">H", data, position + 2)
        body = data[position + 4 : position + 2 + length]
        if marker == 0xE0 and body.startswith(b"JFIF"):
            color = "YCbCr"
        elif marker == 0xEE and len(body) >= 12 and body.startswith(b"Adobe"):
            color = {0: "RGB", 1: "YCbCr"}.get(body[11], color)
        elif marker in _FRAME_MARKERS:
            break
        elif marker in (0xD9, 0xDA) or (0xC0 < marker < 0xD0 and marker not in (0xC4, 0xC8, 0xCC)):
            raise FormatError(f"a JPEG stream with marker FF{marker:02X} before its frame header cannot be read")
        position += 2 + length
    precision, rows, columns, samples = struct.unpack_from(">BHHB", body)
    sampling = {body[7 + 3 * index] for index in range(samples)}
    if len(sampling) > 1:
        color = "YCbCr"  # nobody stores the planes of RGB at different resolutions
    complete = (
        data.rfind(b"\xff\xd9") > position
    )  # FF is stuffed in entropy coded data, so this can only be the end marker
    return Codestream(_FRAME_MARKERS[marker], rows, columns, samples, precision, color=color, complete=complete)


def _jpeg_2000(data: bytes, start: int) -> Codestream:
    if start < 0:
        raise FormatError("a JP2 file without a codestream")
    length, _, width, height, left, top = struct.unpack_from(">HH4I", data, start + 4)
    (samples,) = struct.unpack_from(">H", data, start + 40)
    depth = data[start + 42]
    position, kind, color, reversible = start + 4 + length, "JPEG 2000", "", False
    while data[position : position + 2] != b"\xff\x90":  # start of the first tile
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == 0xFF50:  # CAP: capabilities beyond part 1, of which DICOM knows high throughput
            kind = "HTJ2K"
        elif marker == 0xFF52:  # COD: component transform, then five bytes to the wavelet
            color = "RGB" if samples == 3 and data[position + 8] == 1 else ""
            reversible = data[position + 13] == 1
        position += 2 + length
    return Codestream(
        kind=kind,
        rows=height - top,
        columns=width - left,
        samples=samples,
        precision=(depth & 0x7F) + 1,
        signed=bool(depth & 0x80),
        color=color,
        reversible=reversible,
        complete=data.rfind(b"\xff\xd9") > position,
    )
