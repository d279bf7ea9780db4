"""A folder of DICOM files -> the volumes in it: slices grouped by series and geometry, sorted along their normal.

PS3.3 C.7.6.2 (Image Plane) for files with one frame, C.7.6.16.2.3 and C.7.6.16.2.4 (plane position and orientation) for
frames of enhanced objects.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medvlp.io.dicom_file import DEFLATED, DicomFile, looks_like_dicom, parse_dicom
from medvlp.io.dicom_header import frame_header, integer, numbers, text
from medvlp.io.errors import FormatError, as_read_error, open_file, read_bytes
from medvlp.io.pixel_layout import PixelLayout, read_layout

SAME_POSITION_MM = 1e-2
_HEADER_BYTES = 1 << 16  # most headers of slices are shorter
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Slice:
    """One slice that has not been decoded: a file, or a frame of one.

    Attributes:
        path, file, layout, frame: where its pixels are; `file.pixels` is empty until it is read again.
        header: the elements that hold for it.
        position: RAS millimeters of the first pixel's center.
        across, down: RAS directions of growing column and row index.
        spacing: millimeters between rows and between columns.
    """

    path: Path
    file: DicomFile
    layout: PixelLayout
    frame: int
    header: Dataset
    position: NDArray[np.float64]
    across: NDArray[np.float64]
    down: NDArray[np.float64]
    spacing: tuple[float, float]

    @cached_property
    def height(self) -> float:
        """Millimetres along the normal of the slice."""
        return float(self.position @ np.cross(self.across, self.down))


def find_volumes(paths: Iterable[Path]) -> tuple[list[list[Slice]], int]:
    """Group the slices of DICOM files into volumes, the largest first.

    Slices belong together when series, size, spacing and orientation agree. Where slices then share positions,
    acquisition, time, echo or image type tell the volumes apart, whichever of them leaves no position twice.

    Returns:
        Slices of each volume, sorted along their normal, and the number of files that are no slice of a volume: other
        objects, color, screenshots without a place in space.

    Raises:
        ReadError: a DICOM file is damaged.
    """
    groups: dict[tuple[Any, ...], list[Slice]] = defaultdict(list)
    left_out = 0
    for path in paths:
        slices = _slices(path)
        left_out += not slices
        for one in slices:
            groups[_geometry(one)].append(one)
    volumes = [part for group in groups.values() for part in _apart(sorted(group, key=lambda one: one.height))]
    return sorted(volumes, key=len, reverse=True), left_out


def load_pixels(one: Slice) -> DicomFile:
    """The slice's file with its pixel element read again."""
    if one.file.pixels_at < 0 or one.file.pixels.nbytes:
        return one.file
    with open(one.path, "rb") as stream:
        stream.seek(one.file.pixels_at)
        return replace(one.file, pixels=memoryview(stream.read(one.file.pixels_length)))


def _slices(path: Path) -> list[Slice]:
    with as_read_error(path):
        file = _header(path)
        if file is None or not file.pixel_kind:
            return []
        layout = read_layout(file)
        if layout.samples != 1:
            return []
        places = [frame_slice(path, file, layout, frame) for frame in range(layout.frames)]
        return [one for one in places if one is not None]


def _header(path: Path) -> DicomFile | None:
    """A file without its pixels where they need not stay in memory; None where it is no DICOM."""
    with open_file(path) as stream:
        start = stream.read(_HEADER_BYTES)
        if not looks_like_dicom(start):
            return None
        size = os.fstat(stream.fileno()).st_size
    if size > _HEADER_BYTES and DEFLATED not in start[:1156]:
        with suppress(FormatError):  # a header that goes on is not damaged
            file = parse_dicom(start, size)
            if file.pixel_kind and integer(file.header, "NumberOfFrames", 1) == 1:
                return replace(file, pixels=memoryview(b""))
    return parse_dicom(read_bytes(path))


def frame_slice(path: Path, file: DicomFile, layout: PixelLayout, frame: int) -> Slice | None:
    """One frame with its place in space; None where the file does not give it one.

    Frames of a dose grid lie at Grid Frame Offset Vector (3004,000C) along the normal (PS3.3 C.8.8.3.2).
    """
    header = frame_header(file.header, frame)
    position, orientation = numbers(header, "ImagePositionPatient"), numbers(header, "ImageOrientationPatient")
    spacing, offsets = numbers(header, "PixelSpacing"), numbers(header, "GridFrameOffsetVector")
    if len(position) != 3 or len(orientation) != 6 or len(spacing) != 2:
        return None
    across, down = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = float(np.linalg.norm(across)), float(np.linalg.norm(down))
    if min(lengths) < 0.9 or max(lengths) > 1.1 or abs(across @ down) > 0.01:
        raise FormatError("Image Orientation (0020,0037) is not two unit vectors at a right angle")
    if min(spacing) <= 0:
        raise FormatError("Pixel Spacing (0028,0030) is not positive")
    place = np.array(position)
    if layout.frames > 1 and len(offsets) == layout.frames:
        place = place + (offsets[frame] - offsets[0]) * np.cross(across, down)
    return Slice(
        path=path,
        file=file,
        layout=layout,
        frame=frame,
        header=header,
        position=place * _LPS_TO_RAS,
        across=across / lengths[0] * _LPS_TO_RAS,
        down=down / lengths[1] * _LPS_TO_RAS,
        spacing=(spacing[0], spacing[1]),
    )


def _geometry(one: Slice) -> tuple[Any, ...]:
    directions = tuple(np.round([*one.across, *one.down], 2) + 0.0)
    spacing = tuple(round(value, 3) for value in one.spacing)
    return text(one.header, "SeriesInstanceUID"), one.layout.rows, one.layout.columns, spacing, directions


def _apart(slices: list[Slice]) -> list[list[Slice]]:
    """Split slices that share positions into volumes; returns them together where nothing tells them apart."""
    if not _twice(slices):
        return [slices]
    for tell in _DIFFERENCES:
        parts: dict[Any, list[Slice]] = defaultdict(list)
        for one in slices:
            parts[tell(one)].append(one)
        if len(parts) > 1 and not any(_twice(part) for part in parts.values()):
            return list(parts.values())
    return [slices]


def _twice(slices: list[Slice]) -> bool:
    heights = np.array([one.height for one in slices])
    return bool((np.diff(heights) < SAME_POSITION_MM).any())


def _by(keyword: str) -> Callable[[Slice], str]:
    return lambda one: text(one.header, keyword)


_DIFFERENCES = tuple(
    _by(keyword)
    for keyword in (
        "AcquisitionNumber",
        "TemporalPositionIndex",
        "TemporalPositionIdentifier",
        "StackID",
        "EchoNumbers",
        "ImageType",
    )
)
