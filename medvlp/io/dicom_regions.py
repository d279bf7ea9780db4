"""Regions in DICOM objects: SEG (PS3.3 A.51, C.8.20) and RTSTRUCT (A.19.3, C.8.8.5, C.8.8.6)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medvlp.io.dicom_file import DicomFile, parse_dicom
from medvlp.io.dicom_header import frame_header, integer, item, number, numbers, text
from medvlp.io.errors import FormatError, read_bytes
from medvlp.io.geometry import AXES, axis_order, reorient_affine, restore_axes, spacing_of
from medvlp.io.image import Image
from medvlp.io.pixel_layout import PixelLayout, read_layout
from medvlp.io.segmentation import Segmentation, pack_layers
from medvlp.io.series import Slice, frame_slice, heights_of, position_index, same_plane
from medvlp.io.stored_values import stored_values

MAX_REGION_VOXELS = 1 << 28


def read_dicom_regions(path: Path, like: Image | None) -> Segmentation:
    """Read a DICOM SEG or an RTSTRUCT; see `read_segmentation`."""
    file = parse_dicom(read_bytes(path))
    if item(file.header, "SegmentSequence", 0) is not None and file.pixel_kind:
        return _segments(path, file)
    if item(file.header, "ROIContourSequence", 0) is not None:
        if like is None:
            raise FormatError("an RTSTRUCT holds outlines in millimeters: give the image they were drawn on as `like`")
        return _structures(file.header, like)
    raise FormatError("a DICOM object that is neither SEG nor RTSTRUCT")


def _segments(path: Path, file: DicomFile) -> Segmentation:
    """Frames of a SEG, each of one segment at one position, put on the grid that their positions make."""
    layout = read_layout(file)
    names = {
        integer(segment, "SegmentNumber"): text(segment, "SegmentLabel")[:64]
        for segment in _items(file.header, "SegmentSequence")
    }
    kind = text(file.header, "SegmentationType").upper()
    threshold = number(file.header, "MaximumFractionalValue", 255.0) / 2 if kind == "FRACTIONAL" else 0.0
    frames = [frame_slice(path, file, layout, index) for index in range(layout.frames)]
    placed = [one for one in frames if one is not None]
    if len(placed) != len(frames):
        return _flat_segments(file, layout, names, threshold, kind)
    if not all(same_plane(placed[0], one) for one in placed):
        raise FormatError("the frames have several orientations or spacings, which no one grid holds")
    heights = heights_of(placed)
    in_order = [placed[index] for index in np.argsort(heights)]
    positions = np.sort(heights)[np.unique(position_index(in_order), return_index=True)[1]]
    gaps = np.diff(positions)
    step = float(gaps[gaps <= 1.05 * gaps.min()].mean()) if gaps.size else 0.0
    step = step or max(number(placed[0].header, "SliceThickness", 1.0), 1e-3)
    rows = [round((height - positions[0]) / step) for height in heights]
    shape = (max(rows) + 1, layout.rows, layout.columns)
    if int(np.prod(shape, dtype=np.int64)) > MAX_REGION_VOXELS:
        raise FormatError(f"segments over {shape[0]} slices of {shape[1]} x {shape[2]} are beyond the limit")
    lowest = in_order[0]
    affine = _affine(lowest, float(step))
    regions: dict[int, NDArray[np.bool_]] = {}
    order, _ = axis_order(affine)
    for one, row in zip(placed, rows, strict=True):
        for value, mask in _of_frame(file, layout, one.frame, one.header, threshold, kind):
            if value not in regions:
                regions[value] = np.zeros([shape[old] for old in order], np.bool_)
            restore_axes(regions[value], affine)[row] |= mask
    affine = reorient_affine(affine, shape)
    layers = pack_layers(regions, tuple(shape[old] for old in order))
    return Segmentation(layers, _present(names, regions), spacing_of(affine), AXES, affine, "dicom seg")


def _flat_segments(
    file: DicomFile, layout: PixelLayout, names: dict[int, str], threshold: float, kind: str
) -> Segmentation:
    """Segments of a radiograph, which has no position in space: every frame is the whole image."""
    shape = (layout.rows, layout.columns)
    regions: dict[int, NDArray[np.bool_]] = {}
    for index in range(layout.frames):
        header = frame_header(file.header, index)
        for value, mask in _of_frame(file, layout, index, header, threshold, kind):
            regions[value] = regions.get(value, np.zeros(shape, np.bool_)) | mask
    return Segmentation(pack_layers(regions, shape), _present(names, regions), source="dicom seg")


def _of_frame(
    file: DicomFile, layout: PixelLayout, index: int, header: Dataset, threshold: float, kind: str
) -> list[tuple[int, NDArray[np.bool_]]]:
    """(segment number, mask) of one frame; a LABELMAP frame holds several."""
    stored, _ = stored_values(file, layout, index)
    if kind == "LABELMAP":
        return [(int(value), stored == value) for value in np.unique(stored) if value]
    return [(integer(header, "ReferencedSegmentNumber"), stored > threshold)]


def _affine(lowest: Slice, step: float) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, 0] = np.cross(lowest.across, lowest.down) * step
    affine[:3, 1] = lowest.down * lowest.spacing[0]
    affine[:3, 2] = lowest.across * lowest.spacing[1]
    affine[:3, 3] = lowest.position
    return affine


def _structures(header: Dataset, like: Image) -> Segmentation:
    """Outlines of an RTSTRUCT filled on the grid of `like`; holes are outlines inside outlines (even-odd)."""
    if like.affine is None:
        raise FormatError("the image has no position in space, so outlines in millimeters cannot be drawn on it")
    names = {integer(roi, "ROINumber"): text(roi, "ROIName")[:64] for roi in _items(header, "StructureSetROISequence")}
    to_voxels = np.linalg.inv(like.affine) @ np.diag([-1.0, -1.0, 1.0, 1.0])  # outlines are in LPS
    regions: dict[int, NDArray[np.bool_]] = {}
    outside = 0
    for roi in _items(header, "ROIContourSequence"):
        value = integer(roi, "ReferencedROINumber")
        region = np.zeros(like.array.shape, np.bool_)
        for contour in _items(roi, "ContourSequence"):
            if not text(contour, "ContourGeometricType").startswith("CLOSED_PLANAR"):
                continue
            points = np.array(numbers(contour, "ContourData"), np.float64)
            if len(points) < 9 or len(points) % 3:
                raise FormatError("Contour Data (3006,0050) are not triples of at least three points")
            voxels = points.reshape(-1, 3) @ to_voxels[:3, :3].T + to_voxels[:3, 3]
            outside += not fill_contour(region, voxels)
        if region.any():
            regions[value] = region
    notes = (f"{outside} outlines lie outside the image",) if outside else ()
    layers = pack_layers(regions, like.array.shape)
    return Segmentation(
        layers, _present(names, regions), like.spacing, like.orientation, like.affine, "rtstruct", notes
    )


def _items(header: Dataset, keyword: str) -> list[Dataset]:
    found: list[Dataset] = []
    while (one := item(header, keyword, len(found))) is not None:
        found.append(one)
    return found


def _present(names: dict[int, str], regions: dict[int, NDArray[np.bool_]]) -> dict[int, str]:
    return {value: names.get(value) or str(value) for value in regions}


def fill_contour(region: NDArray[np.bool_], voxels: NDArray[np.float64]) -> bool:
    """Turn over the voxels of `region` inside a planar outline, so that an outline within another makes a hole.

    Args:
        region: `[D, H, W]`, changed in place.
        voxels: `[N, 3]` corners in array coordinates.

    Returns:
        False where the outline lies in no slice of the volume.

    Raises:
        FormatError: the outline lies across the slices along every axis.
    """
    spread = np.ptp(voxels, axis=0)
    axis = int(spread.argmin())
    if spread[axis] > 0.5:
        raise FormatError("an outline lies across the image's slices: the image is not the one it was drawn on")
    at = round(float(voxels[:, axis].mean()))
    if not 0 <= at < region.shape[axis]:
        return False
    plane = np.moveaxis(region, axis, 0)[at]
    plane ^= polygon_mask(np.delete(voxels, axis, axis=1), plane.shape)
    return True


def polygon_mask(corners: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels `[H, W]` whose center lies inside a polygon.

    A row's pixels are inside right of an odd number of edges, so every crossing turns over the rest of its row.

    Args:
        corners: `[N, 2]`, row and column.
        shape: rows and columns.
    """
    turns = np.zeros((shape[0], shape[1] + 1), np.uint8)
    for (row, column), (next_row, next_column) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        low, high = sorted((row, next_row))
        rows = np.arange(max(0, int(np.ceil(low))), min(shape[0], int(np.ceil(high))))
        if rows.size:
            crossing = column + (rows - row) * (next_column - column) / (next_row - row)
            columns = np.clip(np.floor(crossing) + 1, 0, shape[1]).astype(np.int64)
            turns[rows, columns] ^= 1
    return np.bitwise_xor.accumulate(turns, axis=1)[:, : shape[1]].astype(np.bool_)
