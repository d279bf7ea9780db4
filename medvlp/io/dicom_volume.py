"""Slices of one volume -> an `Image`: values by PS3.3 C.11.1 slice by slice, geometry checked before it is believed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvlp.io.dicom_header import item, number, text
from medvlp.io.errors import FormatError
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
from medvlp.io.grayscale import modality_values, rescale
from medvlp.io.image import Image
from medvlp.io.series import SAME_POSITION_MM, Slice, find_volumes, load_pixels
from medvlp.io.stored_values import stored_values

MAX_VOXELS = 300_000_000  # 1.2 GB of float32: 1,144 slices of 512 x 512
_AIR = -1024.0  # Hounsfield units outside everything


@dataclass(frozen=True)
class Grid:
    """The regular grid of a volume: its affine (slice, row, column to RAS mm) and the height of each output slice."""

    affine: Affine
    heights: NDArray[np.float64]
    notes: tuple[str, ...]


def read_dicom_volume(paths: list[Path], series: int | None, isolated: bool, left_out: int = 0) -> Image:
    """Assemble one volume out of DICOM files; see `read_volume`."""
    volumes, no_slices = find_volumes(paths)
    slices, steps = _chosen(volumes, series)
    left_out += no_slices
    if left_out:
        steps.append(f"{left_out} files left out: no slice of a volume")
    slices = _without_twins(slices, isolated, steps)
    grid = plan_grid(slices)
    shape = (len(slices), slices[0].layout.rows, slices[0].layout.columns)
    if len(grid.heights) * shape[1] * shape[2] > MAX_VOXELS:
        raise FormatError(
            f"a volume of {shape[0]} x {shape[1]} x {shape[2]} voxels is beyond the limit of {MAX_VOXELS:,}"
        )
    heights = np.array([one.height for one in slices])
    tilt = shear_degrees(grid.affine)
    modality = text(slices[0].header, "Modality") or "OT"
    if len(heights) == len(grid.heights) and tilt <= MAX_SHEAR_DEGREES:
        order, _ = axis_order(grid.affine)
        array: NDArray[np.float32] = np.empty([shape[old] for old in order], np.float32)
        steps += _decode(slices, restore_axes(array, grid.affine), isolated)
        affine = reorient_affine(grid.affine, shape)
    else:
        stack = np.empty(shape, np.float32)
        steps += _decode(slices, stack, isolated)
        stack, affine = _interpolated(stack, heights, grid.heights), grid.affine
        if tilt > MAX_SHEAR_DEGREES:
            stack, affine = deskew(stack, affine, _AIR if modality == "CT" else float(stack.min()))
            steps.append(f"gantry tilt of {tilt:.2f} degrees straightened")
        view, affine = reorient(stack, affine)
        array = np.ascontiguousarray(view)
    return Image(
        array,
        spacing=spacing_of(affine),
        orientation=AXES,
        modality=modality if modality.isalnum() and len(modality) <= 16 else "OT",
        source="dicom",
        steps=(*steps, *grid.notes),
        affine=affine,
    )


def _chosen(volumes: list[list[Slice]], series: int | None) -> tuple[list[Slice], list[str]]:
    """The volume asked for, or the largest; a tie is for the caller to settle."""
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


def _without_twins(slices: list[Slice], isolated: bool, steps: list[str]) -> list[Slice]:
    """Drop slices that repeat another's place and pixels."""
    kept = slices[:1]
    for one in slices[1:]:
        if one.height - kept[-1].height >= SAME_POSITION_MM:
            kept.append(one)
        elif not np.array_equal(_stored(one, isolated), _stored(kept[-1], isolated)):
            raise FormatError(
                f"two of {len(slices)} slices have the same place and different pixels: several volumes in one series "
                "that no header tells apart"
            )
    if len(kept) < len(slices):
        steps.append(f"{len(slices) - len(kept)} duplicate slices dropped")
    return kept


def plan_grid(slices: list[Slice]) -> Grid:
    """Check that the slices lie on a line, at even distances; plan the distances where they do not."""
    first, last = slices[0], slices[-1]
    heights = np.array([one.height for one in slices])
    normal = np.cross(first.across, first.down)
    step, count, notes = _distances(first, heights)
    along = normal
    if len(slices) > 1:
        along = (last.position - first.position) / (heights[-1] - heights[0])
        line = first.position + np.outer(heights - heights[0], along)
        off = np.abs(np.array([one.position for one in slices]) - line).max()
        if off > max(0.1, 0.5 * min(first.spacing)):
            raise FormatError(f"the slices do not lie on a line: one is {off:.1f} mm off")
    affine = np.eye(4)
    affine[:3, 0] = along * step
    affine[:3, 1] = first.down * first.spacing[0]
    affine[:3, 2] = first.across * first.spacing[1]
    affine[:3, 3] = first.position
    return Grid(affine, heights[0] + step * np.arange(count), notes)


def _distances(first: Slice, heights: NDArray[np.float64]) -> tuple[float, int, tuple[str, ...]]:
    """Millimetres between the slices of the regular grid, their number, and what has to be said about it."""
    if len(heights) == 1:
        thickness = number(first.header, "SliceThickness", 0.0)
        return (thickness, 1, ()) if thickness > 0 else (1.0, 1, ("no Slice Thickness (0018,0050): taken as 1 mm",))
    gaps = np.diff(heights)
    middle = float(np.median(gaps))
    if np.abs(gaps - middle).max() <= max(0.02, 0.02 * middle):
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


def _stored(one: Slice, isolated: bool) -> NDArray[Any]:
    return stored_values(load_pixels(one), one.layout, one.frame, isolated=isolated)[0]


def _fill(target: NDArray[np.float32], one: Slice, isolated: bool) -> list[str]:
    """Write the values of one slice, after modality LUT or rescale, into `target` `[H, W]`; returns the steps."""
    steps: list[str] = []
    stored = _stored(one, isolated)
    if item(one.header, "ModalityLUTSequence", 0) is not None:
        target[:] = modality_values(stored.astype(np.float64), one.layout, one.header, one.file.little_endian, steps)
        return steps
    slope, intercept = rescale(one.header, steps)
    dose = number(one.header, "DoseGridScaling", 1.0)
    if dose != 1:
        slope, intercept = slope * dose, intercept * dose
        steps.append(f"dose scaled by {dose:g}")
    np.multiply(stored, np.float32(slope), out=target, casting="same_kind")
    if intercept:
        target += np.float32(intercept)
    return steps


def _decode(slices: list[Slice], target: NDArray[np.float32], isolated: bool) -> list[str]:
    """Fill `target` `[slice, row, column]`; returns the steps, said once where all slices share them."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # decoders and numpy release the lock
        steps = list(pool.map(_fill, target, slices, [isolated] * len(slices)))
    if all(one == steps[0] for one in steps):
        return steps[0]
    return ["rescaled slice by slice, each with its own slope and intercept"]


def _interpolated(
    stack: NDArray[np.float32], heights: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Slices at `wanted` heights, linear between their neighbors."""
    if len(heights) == len(wanted) and np.allclose(heights, wanted, atol=0.05 * abs(wanted[1] - wanted[0])):
        return stack
    below = np.clip(np.searchsorted(heights, wanted + 1e-6, side="right") - 1, 0, len(heights) - 2)
    share = np.clip((wanted - heights[below]) / (heights[below + 1] - heights[below]), 0, 1).astype(np.float32)
    result = np.empty((len(wanted), *stack.shape[1:]), np.float32)
    for index, (low, weight) in enumerate(zip(below, share, strict=True)):
        np.multiply(stack[low], 1 - weight, out=result[index])
        result[index] += weight * stack[low + 1]
    return result
