"""A folder of DICOM files -> the volumes in it: slices grouped by series and geometry, sorted along their normal.

PS3.3 C.7.6.2 (Image Plane) for files with one frame, C.7.6.16.2.3 and C.7.6.16.2.4 (plane position and orientation) for
frames of enhanced objects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medvlp.io.dicom_file import DicomFile, looks_like_dicom, open_dicom
from medvlp.io.dicom_header import frame_header, numbers, text
from medvlp.io.errors import FormatError, ReadError, as_read_error, open_file
from medvlp.io.pixel_layout import PixelLayout, read_layout

_SAME_POSITION_MM = 1e-2
_SAME_COSINE = 5e-3  # 0.3 degrees
_SAME_SPACING = 5e-3
_REPEATED = 0.25  # of a part's positions
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


@dataclass
class FoundVolumes:
    """What DICOM files hold.

    Attributes:
        volumes: slices of each volume, sorted along their normal, the largest first.
        left_out: files that are no slice of a volume: other objects, color, screenshots without a position in space.
        broken: files that cannot be read, with the reason; empty unless they were to be skipped.
    """

    volumes: list[list[Slice]]
    left_out: int = 0
    broken: list[ReadError] = field(default_factory=list)


def find_volumes(paths: Iterable[Path], *, skip_broken: bool = False) -> FoundVolumes:
    """Group the slices of DICOM files into volumes.

    Slices belong together when series and size agree, and spacing and orientation within a tolerance. Where slices then
    share positions, acquisition, time, echo or image type separate repeated scans of one region (`_split`).

    Args:
        paths: the files.
        skip_broken: go on without files that cannot be read.

    Raises:
        ReadError: a DICOM file is damaged, a file of 0 bytes among them too.
    """
    found = FoundVolumes([])
    groups: dict[tuple[Any, ...], list[list[Slice]]] = defaultdict(list)
    for path in paths:
        try:
            slices = _slices(path)
        except ReadError as error:
            if not skip_broken:
                raise
            found.broken.append(error)
            continue
        found.left_out += not slices
        for one in slices:
            same_size = groups[text(one.header, "SeriesInstanceUID"), one.layout.rows, one.layout.columns]
            # Compared with the first of each group within a tolerance: rounded numbers would fall on two sides of it.
            group = next((group for group in same_size if same_plane(group[0], one)), None)
            if group is None:
                group = []
                same_size.append(group)
            group.append(one)
    for same_size in groups.values():
        for group in same_size:
            normal = np.cross(group[0].across, group[0].down)  # one for all: their own may differ in the last digits
            group.sort(key=lambda one: float(one.position @ normal))
            found.volumes += _split(group)
    found.volumes.sort(key=len, reverse=True)
    return found


def heights_of(slices: Sequence[Slice]) -> NDArray[np.float64]:
    """Millimeters of each slice along the normal of the first."""
    return np.array([one.position for one in slices]) @ np.cross(slices[0].across, slices[0].down)


def same_position_mm(one: Slice) -> float:
    """Slices nearer than this lie at one position; a tenth of a pixel where that is less, as in micro-CT."""
    return min(_SAME_POSITION_MM, 0.1 * min(one.spacing))


def position_index(slices: Sequence[Slice]) -> NDArray[np.int64]:
    """Number of the position along the normal of each of sorted slices; slices at one position share it."""
    return np.concatenate([[0], np.cumsum(np.diff(heights_of(slices)) >= same_position_mm(slices[0]))]).astype(np.int64)


def load_pixels(one: Slice) -> DicomFile:
    """The slice's file with its pixel element read again."""
    if one.file.pixels_at < 0 or one.file.pixels.nbytes:
        return one.file
    with open(one.path, "rb") as stream:
        stream.seek(one.file.pixels_at)
        return replace(one.file, pixels=memoryview(stream.read(one.file.pixels_length)))


def _slices(path: Path) -> list[Slice]:
    with as_read_error(path):
        with open_file(path) as stream:
            start = stream.read(256)
        if not start:
            raise FormatError("the file is empty")
        if not looks_like_dicom(start):
            if path.suffix.lower() in (".dcm", ".dicom", ".ima"):
                raise FormatError("named as DICOM, and its content is not")
            return []
        file = open_dicom(path)
        if not file.pixel_kind:
            return []
        layout = read_layout(file)
        if layout.samples != 1:
            return []
        frames = [frame_slice(path, file, layout, frame) for frame in range(layout.frames)]
        placed = [one for one in frames if one is not None]
        if placed and len(placed) < len(frames):
            raise FormatError(f"{len(frames) - len(placed)} of {len(frames)} frames say no position or orientation")
        return placed


def frame_slice(path: Path, file: DicomFile, layout: PixelLayout, frame: int) -> Slice | None:
    """One frame with its position in space; None where the file does not give it one.

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
    origin = np.array(position)
    if layout.frames > 1 and len(offsets) == layout.frames:
        origin = origin + (offsets[frame] - offsets[0]) * np.cross(across, down)
    return Slice(
        path=path,
        file=file,
        layout=layout,
        frame=frame,
        header=header,
        position=origin * _LPS_TO_RAS,
        across=across / lengths[0] * _LPS_TO_RAS,
        down=down / lengths[1] * _LPS_TO_RAS,
        spacing=(spacing[0], spacing[1]),
    )


def same_plane(one: Slice, other: Slice) -> bool:
    """Orientation and spacing agree within what writers round away; a scan around an axis turns by more."""
    turned = max(np.abs(one.across - other.across).max(), np.abs(one.down - other.down).max())
    return turned <= _SAME_COSINE and bool(np.allclose(one.spacing, other.spacing, rtol=_SAME_SPACING, atol=0))


def _split(slices: list[Slice]) -> list[list[Slice]]:
    """Split sorted slices that share positions into the volumes that they cover; one list where they are one volume.

    A header element separates volumes when its values repeat the same region: most slices belong to a part that
    shares at least `_REPEATED` of its positions with other parts. Where only single positions are shared (a slice sent
    twice, a seam between two acquisitions), the slices stay together, and the reader compares those at one position.
    """
    positions = position_index(slices)
    surplus = len(slices) - len(set(positions))
    if not surplus:
        return [slices]
    for value_of in _DIFFERENCES:
        parts: dict[Any, list[int]] = defaultdict(list)
        for index, one in enumerate(slices):
            parts[value_of(one)].append(index)
        covered = [set(positions[part]) for part in parts.values()]
        inner_surplus = len(slices) - sum(map(len, covered))
        pieces = len(slices) < _REPEATED * len(parts) * (positions[-1] + 1)  # each covers next to nothing of the region
        if len(parts) < 2 or pieces or inner_surplus >= surplus:
            continue
        count = np.bincount(np.concatenate([list(part) for part in covered]), minlength=positions[-1] + 1)
        repeats = [np.mean(count[list(part)] > 1) >= _REPEATED for part in covered]
        if 2 * sum(len(part) for part, repeated in zip(parts.values(), repeats, strict=True) if repeated) > len(slices):
            return [volume for part in parts.values() for volume in _split([slices[index] for index in part])]
    return [slices]


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
