"""Slices of one volume -> an `Image`: values by PS3.3 C.11.1 slice by slice, geometry checked before it is believed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvlp.io.dicom_header import number, text
from medvlp.io.errors import FormatError, ReadError, as_read_error
from medvlp.io.geometry import (
    AXES,
    MAX_SHEAR_DEGREES,
    Affine,
    axis_order,
    deskew,
    reorient,
    reorient_affine,
    restore_axes,
    shear_degrees,
    spacing_of,
)
from medvlp.io.grayscale import modality_lut, modality_values, rescale
from medvlp.io.image import Image
from medvlp.io.pixel_layout import padding_range
from medvlp.io.series import Slice, find_volumes, heights_of, load_pixels, position_index
from medvlp.io.stored_values import stored_values

MAX_VOXELS = 300_000_000  # 1.2 GB of float32: 1,144 slices of 512 x 512
_AIR = -1024.0  # Hounsfield units outside everything
_BELOW_AIR = -1100.0


@dataclass(frozen=True)
class Grid:
    """The regular grid of a volume: its affine (slice, row, column to RAS mm) and the height of each output slice."""

    affine: Affine
    heights: NDArray[np.float64]
    notes: tuple[str, ...]


def read_dicom_volume(
    paths: list[Path], series: int | None, isolated: bool, left_out: int = 0, skip_broken: bool = False
) -> Image:
    """Assemble one volume out of DICOM files; see `read_volume`."""
    found = find_volumes(paths, skip_broken=skip_broken)
    slices, steps = _chosen(found.volumes, series)
    left_out += found.left_out
    if left_out:
        steps.append(f"{left_out} files left out: no slice of a volume")
    broken = [error.reason for error in found.broken]
    if skip_broken:
        slices, undecodable = _decodable(slices, isolated)
        broken += undecodable
    steps += [f"{broken.count(reason)} broken files left out: {reason}" for reason in dict.fromkeys(broken)]
    slices = _without_duplicates(slices, isolated, steps)
    grid = plan_grid(slices)
    shape = (len(slices), slices[0].layout.rows, slices[0].layout.columns)
    if len(grid.heights) * shape[1] * shape[2] > MAX_VOXELS:
        raise FormatError(
            f"a volume of {shape[0]} x {shape[1]} x {shape[2]} voxels is beyond the limit of {MAX_VOXELS:,}"
        )
    heights = heights_of(slices)
    tilt = shear_degrees(grid.affine)
    modality = text(slices[0].header, "Modality") or "OT"
    order, _ = axis_order(grid.affine)
    array: NDArray[np.float32] = np.empty([shape[old] for old in order], np.float32)
    stack = restore_axes(array, grid.affine)
    decoded, padding = _decode(slices, stack, isolated)
    steps += decoded
    acquired = grid.affine
    if padding is None and modality == "CT":
        padding = undeclared_padding(stack)
    if len(heights) != len(grid.heights) or tilt > MAX_SHEAR_DEGREES:
        stack, padding = _interpolate(stack, padding, heights, grid.heights)
        if tilt > MAX_SHEAR_DEGREES:
            background = _AIR if modality == "CT" else float(stack.min())
            stack, acquired, padding = deskew(stack, acquired, background, padding)
            steps.append(f"gantry tilt of {tilt:.2f} degrees straightened")
        array = np.ascontiguousarray(reorient(stack, acquired)[0])
    affine = reorient_affine(acquired, stack.shape)
    if padding is not None:
        padding = np.ascontiguousarray(reorient(padding, acquired)[0])
    return Image(
        array,
        spacing=spacing_of(affine),
        orientation=AXES,
        modality=modality if modality.isalnum() and len(modality) <= 16 else "OT",
        source="dicom",
        steps=(*steps, *grid.notes),
        affine=affine,
        padding=padding,
    )


def _chosen(volumes: list[list[Slice]], series: int | None) -> tuple[list[Slice], list[str]]:
    """The volume of this number, or the largest; of several as large the caller has to choose."""
    if not volumes:
        raise FormatError("no DICOM slice with Image Position (0020,0032), Orientation (0020,0037) and Pixel Spacing")
    sizes = ", ".join(str(len(volume)) for volume in volumes[:8])
    if series is None:
        if len(volumes) > 1 and len(volumes[0]) == len(volumes[1]) > 1:
            raise FormatError(f"{len(volumes)} volumes of {sizes} slices: say which by `series`, from 0")
        series = 0
    if not 0 <= series < len(volumes):
        raise FormatError(f"volume {series} does not exist; there are {len(volumes)} with {sizes} slices")
    note = f" (volume {series} of {len(volumes)}, which have {sizes})" if len(volumes) > 1 else ""
    return volumes[series], [f"{len(volumes[series])} slices{note}"]


def _decodable(slices: list[Slice], isolated: bool) -> tuple[list[Slice], list[str]]:
    """The slices whose pixels can be decoded, and why the others cannot."""
    kept, reasons = [], []
    for one in slices:
        try:
            _stored(one, isolated)
            kept.append(one)
        except ReadError as error:
            reasons.append(error.reason)
    if not kept:
        raise FormatError(f"no slice can be decoded: {reasons[0]}")
    return kept, reasons


def _without_duplicates(slices: list[Slice], isolated: bool, steps: list[str]) -> list[Slice]:
    """Drop slices that repeat another's position and values; refuse where the values differ."""
    positions = position_index(slices)
    if len(slices) > 1 and positions[-1] == 0:
        raise FormatError(
            f"all {len(slices)} slices lie at one place: a sequence over time or of several contrasts, not a volume; "
            "read its images one by one with read_image"
        )
    kept = slices[:1]
    for position, previous, one in zip(positions[1:], positions[:-1], slices[1:], strict=True):
        if position != previous:
            kept.append(one)
            continue
        duplicate = kept[-1]
        same_scale = rescale(one.header, []) == rescale(duplicate.header, [])
        if not same_scale or not np.array_equal(_stored(one, isolated), _stored(duplicate, isolated)):
            raise FormatError(
                f"two of {len(slices)} slices have the same place and different pixels "
                f"({heights_of([slices[0], one])[1] - heights_of([slices[0]])[0]:g} mm from the first): several scans "
                "in one series that no header element tells apart; keep the files of one"
            )
    if len(kept) < len(slices):
        steps.append(f"{len(slices) - len(kept)} duplicate slices dropped")
    return kept


def plan_grid(slices: list[Slice]) -> Grid:
    """Check that the slices lie on a line, at even distances; plan the distances where they do not."""
    first, last = slices[0], slices[-1]
    heights = heights_of(slices)
    normal = np.cross(first.across, first.down)
    step, count, notes = _distances(first, heights)
    along = normal
    if len(slices) > 1:
        along = (last.position - first.position) / (heights[-1] - heights[0])
        line = first.position + np.outer(heights - heights[0], along)
        off = np.abs(np.array([one.position for one in slices]) - line).max()
        if off > 0.5 * min(first.spacing):
            raise FormatError(f"the slices do not lie on a line: one is {off:.1f} mm off")
    affine = np.eye(4)
    affine[:3, 0] = along * step
    affine[:3, 1] = first.down * first.spacing[0]
    affine[:3, 2] = first.across * first.spacing[1]
    affine[:3, 3] = first.position
    return Grid(affine, heights[0] + step * np.arange(count), notes)


def _distances(first: Slice, heights: NDArray[np.float64]) -> tuple[float, int, tuple[str, ...]]:
    """Millimeters between the slices of the regular grid, their number, and remarks."""
    if len(heights) == 1:
        thickness = number(first.header, "SliceThickness", 0.0)
        return (thickness, 1, ()) if thickness > 0 else (1.0, 1, ("no Slice Thickness (0018,0050): taken as 1 mm",))
    gaps = np.diff(heights)
    middle = float(np.median(gaps))
    if np.abs(gaps - middle).max() <= max(min(0.02, 0.05 * middle), 0.02 * middle):  # micro-CT has steps below 0.02 mm
        return float(gaps.mean()), len(heights), ()
    step = float(gaps[gaps <= gaps.min() * 1.05].mean())
    count = round((heights[-1] - heights[0]) / step) + 1
    if count > 2 * len(heights):
        raise FormatError(f"slices lie {gaps.min():g} to {gaps.max():g} mm apart: more are missing than there are")
    ratios = gaps / step
    if np.abs(ratios - np.round(ratios)).max() < 0.05:
        return step, count, (f"{count - len(heights)} slices missing at {step:g} mm: interpolated",)
    step = (heights[-1] - heights[0]) / (count - 1)
    return step, count, (f"slices {gaps.min():g} to {gaps.max():g} mm apart: interpolated to {step:g} mm",)


def undeclared_padding(array: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Voxels of the smallest value of a CT where no tissue and no air can have it; None where it is above that."""
    lowest = float(array.min())
    return array == lowest if lowest < _BELOW_AIR else None


def _stored(one: Slice, isolated: bool) -> NDArray[Any]:
    with as_read_error(one.path):  # a frame that cannot be decoded is named by its file, as a broken header is
        return stored_values(load_pixels(one), one.layout, one.frame, isolated=isolated)[0]


def _fill(target: NDArray[np.float32], one: Slice, isolated: bool) -> tuple[list[str], NDArray[np.bool_] | None]:
    """Write the values of one slice, after modality LUT or rescale, into `target` `[H, W]`.

    Returns:
        The steps, and which pixels are padding, None where the header names none or none is there.
    """
    steps: list[str] = []
    stored = _stored(one, isolated)
    ends = padding_range(one.layout, one.header)
    padding = None if ends is None else (stored >= ends[0]) & (stored <= ends[1])
    padding = padding if padding is not None and padding.any() else None
    if modality_lut(one.header, one.layout.signed, one.file.little_endian, []) is not None:
        target[:] = modality_values(stored.astype(np.float64), one.layout, one.header, one.file.little_endian, steps)
        return steps, padding
    slope, intercept = rescale(one.header, steps)
    dose = number(one.header, "DoseGridScaling", 1.0)
    if dose != 1:
        slope, intercept = slope * dose, intercept * dose
        steps.append(f"dose scaled by {dose:g}")
    np.multiply(stored, np.float32(slope), out=target, casting="same_kind")
    if intercept:
        target += np.float32(intercept)
    return steps, padding


def _decode(
    slices: list[Slice], target: NDArray[np.float32], isolated: bool
) -> tuple[list[str], NDArray[np.bool_] | None]:
    """Fill `target` `[slice, row, column]`; returns the steps, once where all slices share them, and the padding."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # decoders and numpy release the lock
        filled = list(pool.map(_fill, target, slices, [isolated] * len(slices)))
    padding: NDArray[np.bool_] | None = None
    for index, (_, mask) in enumerate(filled):
        if mask is not None:
            padding = np.zeros(target.shape, np.bool_) if padding is None else padding
            padding[index] = mask
    steps = [own for own, _ in filled]
    if all(one == steps[0] for one in steps):
        return steps[0], padding
    return ["rescaled slice by slice, each with its own slope and intercept"], padding


def _interpolate(
    stack: NDArray[np.float32],
    padding: NDArray[np.bool_] | None,
    heights: NDArray[np.float64],
    wanted: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Slices at `wanted` heights, linear between their neighbors; beside padding the one that is none counts alone."""
    if len(heights) == len(wanted) and np.abs(heights - wanted).max() <= 0.05 * abs(wanted[1] - wanted[0]):
        return stack, padding
    below = np.clip(np.searchsorted(heights, wanted + 1e-6, side="right") - 1, 0, len(heights) - 2)
    fraction = np.clip((wanted - heights[below]) / (heights[below + 1] - heights[below]), 0, 1).astype(np.float32)
    result = np.empty((len(wanted), *stack.shape[1:]), np.float32)
    mask = None if padding is None else np.empty(result.shape, np.bool_)
    for index, (low, weight) in enumerate(zip(below, fraction, strict=True)):
        np.multiply(stack[low], 1 - weight, out=result[index])
        result[index] += weight * stack[low + 1]
        if padding is not None and mask is not None:
            nearest, other = (low, low + 1) if weight <= 0.5 else (low + 1, low)
            alone = padding[nearest] | padding[other]
            result[index][alone] = stack[nearest][alone]
            mask[index] = padding[nearest]
    return result, mask
