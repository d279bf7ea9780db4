"""A DICOM file as bytes -> the few elements that pixels need, and a view of the pixel element, nothing copied.

Only the elements of `WANTED` are ever read: names, dates and identifiers stay in the file. Lengths are checked before
anything is read or inflated (PS3.5 section 7.1, A.5; PS3.10 section 7.1).
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from medvlp.io.dicom_header import integer
from medvlp.io.errors import FormatError, open_file, read_bytes

DEFLATED = b"1.2.840.10008.1.2.1.99"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
GE_BIG_ENDIAN_PIXELS = "1.2.840.113619.5.2"
_HEADER_BYTES = 1 << 16  # most headers are shorter
MAX_INFLATED = 1 << 29  # bytes: half a GiB holds every radiograph and most enhanced objects
UNDEFINED = 0xFFFFFFFF
PIXEL_TAGS = {0x7FE00008: "float", 0x7FE00009: "double", 0x7FE00010: "integer"}

_KEYWORDS = """
SOPClassUID SOPInstanceUID SeriesInstanceUID Modality ImageType
BodyPartExamined BurnedInAnnotation Laterality ImageLaterality
ViewPosition PatientOrientation ViewCodeSequence
RescaleIntercept RescaleSlope ModalityLUTSequence WindowCenter WindowWidth VOILUTFunction VOILUTSequence
PixelPaddingValue PixelPaddingRangeLimit FloatPixelPaddingValue FloatPixelPaddingRangeLimit
DoubleFloatPixelPaddingValue DoubleFloatPixelPaddingRangeLimit LossyImageCompression
PhotometricInterpretation SamplesPerPixel PlanarConfiguration Rows Columns
BitsAllocated BitsStored HighBit PixelRepresentation NumberOfFrames
PixelSpacing ImagerPixelSpacing NominalScannedPixelSpacing SliceThickness ImagePositionPatient ImageOrientationPatient
AcquisitionNumber TemporalPositionIndex TemporalPositionIdentifier EchoNumbers StackID
GridFrameOffsetVector DoseGridScaling
SegmentSequence SegmentationType MaximumFractionalValue StructureSetROISequence ROIContourSequence
RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor BluePaletteColorLookupTableDescriptor
RedPaletteColorLookupTableData GreenPaletteColorLookupTableData BluePaletteColorLookupTableData
SegmentedRedPaletteColorLookupTableData SegmentedGreenPaletteColorLookupTableData
SegmentedBluePaletteColorLookupTableData SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
ExtendedOffsetTable
"""
WANTED: list[BaseTag | int] = [Tag(keyword) for keyword in _KEYWORDS.split()]


@dataclass(frozen=True)
class DicomFile:
    """The parsed header and the undecoded pixel element.

    Attributes:
        header: the wanted elements that the file has.
        syntax: transfer syntax UID; guessed from the first bytes where the file does not say.
        little_endian: byte order of the data set.
        pixel_kind: `integer`, `float` or `double`, after the pixel element that was found; "" without one.
        pixel_vr: its value representation, "" in implicit VR.
        pixels: its value (PS3.5 section A.4 items where `encapsulated`).
        encapsulated: the pixel element has undefined length, that is, holds items.
        pixels_at: where in the file the value begins; -1 where the file was deflated.
        pixels_length: bytes of it.
    """

    header: Dataset
    syntax: str
    little_endian: bool
    pixel_kind: str
    pixel_vr: str
    pixels: memoryview
    encapsulated: bool
    pixels_at: int = -1
    pixels_length: int = 0

    @property
    def big_endian_pixels(self) -> bool:
        """Byte order of native pixels; one private syntax of GE has them unlike the rest of the data set."""
        return not self.little_endian or self.syntax == GE_BIG_ENDIAN_PIXELS


def parse_dicom(data: bytes, size: int | None = None) -> DicomFile:
    """Read the wanted elements of a DICOM file and find its pixel element.

    Args:
        data: the file, or its beginning; then `pixels` is what there is of them.
        size: bytes of the whole file, where `data` is its beginning.

    Raises:
        FormatError: no DICOM, a length beyond the end of the file, or a deflated data set past `MAX_INFLATED`.
    """
    in_file = data
    data = _inflated(data)
    size = len(data) if size is None or data is not in_file else size
    stream = BytesIO(data)
    found: list[tuple[int, str, int]] = []

    def at_pixels_or_end(tag: BaseTag, vr: str | None, length: int) -> bool:
        if int(tag) in PIXEL_TAGS:
            found.append((int(tag), vr or "", length))
            return True
        left = size - stream.tell()
        if length not in (UNDEFINED, 0) and length > left:
            raise FormatError(f"element {tag} says {length:,} bytes and the file ends after {left:,}")
        return False

    try:
        header = read_partial(stream, at_pixels_or_end, force=True, specific_tags=WANTED)
        implicit, little = header.original_encoding
        syntax = str(header.file_meta.get("TransferSyntaxUID", "")) or _fitting_syntax(implicit, little)
    except FormatError:
        raise
    except RecursionError:
        raise FormatError("sequences are nested too deeply to be a real object") from None
    except Exception as error:  # whatever pydicom raises on a broken header; its text may quote values
        raise FormatError(f"not a readable DICOM header ({type(error).__name__})") from None
    if not found:
        return DicomFile(header, syntax, little is not False, "", "", memoryview(b""), False)
    tag, vr, length = found[0]
    start = stream.tell() + (12 if vr in EXPLICIT_VR_LENGTH_32 else 8)
    left = max(0, size - start)
    if length != UNDEFINED and length > left:
        raise FormatError(
            f"Pixel Data ({tag >> 16:04X},{tag & 0xFFFF:04X}) says {length:,} bytes and the file ends after {left:,}"
        )
    end = size if length == UNDEFINED else start + length
    return DicomFile(
        header=header,
        syntax=syntax,
        little_endian=little is not False,
        pixel_kind=PIXEL_TAGS[tag],
        pixel_vr=vr,
        pixels=memoryview(data)[start:end],
        encapsulated=length == UNDEFINED,
        pixels_at=start if data is in_file else -1,
        pixels_length=max(0, end - start),
    )


def open_dicom(path: Path) -> DicomFile:
    """A file by its header; its pixels stay on the disk where they are of one frame and not deflated."""
    with open_file(path) as stream:
        start = stream.read(_HEADER_BYTES)
        size = os.fstat(stream.fileno()).st_size
    if size > _HEADER_BYTES and DEFLATED not in start[:1156]:
        with suppress(FormatError):  # a header that goes on is not damaged
            file = parse_dicom(start, size)
            if file.pixel_kind and integer(file.header, "NumberOfFrames", 1) == 1:
                return replace(file, pixels=memoryview(b""))
    return parse_dicom(read_bytes(path))


def looks_like_dicom(data: bytes) -> bool:
    """Preamble and prefix (PS3.10 section 7.1), or, where they are missing, a first element of group 0002 or 0008."""
    if data[128:132] == b"DICM":
        return True
    return len(data) > 8 and data[:2] in (b"\x02\0", b"\x08\0", b"\0\x08") and data[2:4] != b"\xff\xff"


def _fitting_syntax(implicit: bool | None, little: bool | None) -> str:
    """The syntax by which pydicom could read a file that names none."""
    if implicit:
        return "1.2.840.10008.1.2"
    return "1.2.840.10008.1.2.2" if little is False else EXPLICIT_LITTLE


def _inflated(data: bytes) -> bytes:
    """The file with a deflated data set inflated (PS3.5 section A.5), never past `MAX_INFLATED`; others as they are."""
    if data[128:132] != b"DICM" or DEFLATED not in data[132:1156]:
        return data
    position, syntax_at = 132, 0
    while data[position : position + 2] == b"\x02\0" and position + 12 <= len(data):  # the meta group is explicit VR
        long = data[position + 4 : position + 6] in (b"OB", b"OW", b"UN", b"SQ", b"UT")
        code, at, size = ("<I", position + 8, 12) if long else ("<H", position + 6, 8)
        if data[position : position + 4] == b"\x02\0\x10\0":
            syntax_at = position + size
        position += size + struct.unpack_from(code, data, at)[0]
    if not data.startswith(DEFLATED, syntax_at):
        return data
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = inflater.decompress(memoryview(data)[position:], MAX_INFLATED)
    except zlib.error:
        raise FormatError("the deflated data set is damaged") from None
    if not inflater.eof:
        grown = len(body) >= MAX_INFLATED
        raise FormatError(
            f"the deflated data set grows past {MAX_INFLATED >> 20} MiB"
            if grown
            else "the deflated data set is cut short"
        )
    meta = bytearray(data[:position])
    meta[syntax_at : syntax_at + len(DEFLATED)] = EXPLICIT_LITTLE.encode().ljust(len(DEFLATED), b"\0")
    return bytes(meta) + body
