"""NIfTI-1 and NIfTI-2 -> a volume; the file's own geometry and scaling, checked, and nothing beyond them.

https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h: sform (method 3) where its code is positive, else qform
(method 2), else pixel sizes alone (method 1), which say nothing of left and right.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from medvlp.io.color import LUMA
from medvlp.io.dicom_volume import MAX_VOXELS, undeclared_padding
from medvlp.io.errors import FormatError, open_file
from medvlp.io.geometry import (
    AXES,
    MAX_SHEAR_DEGREES,
    Affine,
    axis_order,
    deskew,
    grid_difference,
    reorient,
    reorient_affine,
    restore_axes,
    same_grid,
    shear_degrees,
    spacing_of,
)
from medvlp.io.image import Image

MAX_BYTES = 2_000_000_000  # of a zipped file once it is inflated and turned into float32
_HEADER_BYTES = 540
_COLOR = {128: 3, 2304: 4}  # data type codes of RGB24 and RGBA32
_MILLIMETERS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # low three bits of xyzt_units


def nifti_shape(path: Path) -> tuple[int, ...]:
    """Dimensions as the file orders them, three at least."""
    with open_file(path) as stream:
        start = stream.read(1 << 12)
    return _shape(_header(_inflated_start(start) if start[:2] == b"\x1f\x8b" else start))[0]


def read_nifti(path: Path, frame: int | None, *, labels: bool = False) -> Image:
    """Read one volume of a `.nii` or `.nii.gz` file; see `read_volume`.

    NaN and infinite voxels take the smallest finite value, which is air in CT; 0 would be water.

    Args:
        path: the file.
        frame: time point, from 0; None reads the first.
        labels: the values are names: a sheared grid stays as it is, since names cannot be interpolated.
    """
    with open_file(path) as stream:
        start = stream.read(_HEADER_BYTES)
        zipped = start[:2] == b"\x1f\x8b"
        stream.seek(0)
        data = stream.read() if zipped else b""
        header = _header(_inflated_start(data) if zipped else start)
        shape, item = _shape(header)
        times = int(np.prod(shape[3:], dtype=np.int64))
        index = frame or 0
        if not 0 <= index < times:
            raise FormatError(f"frame {index} does not exist; the file has {times}")
        voxels = int(np.prod(shape[:3], dtype=np.int64))
        offset = max(int(header["vox_offset"]), 352)
        size = offset + voxels * times * item.itemsize
        first = offset + index * voxels * item.itemsize
        if zipped:
            if size + 4 * voxels > MAX_BYTES:
                raise FormatError(f"the file inflates to {size:,} bytes: beyond the limit; unzip it first")
            inflated = _inflated(data, size)
            del data  # a scan of 1,000 slices and its float32 leave no room for its zipped form below 2 GiB
            _check_length(len(inflated), size)
            flat = np.frombuffer(inflated, item, voxels, first)
        else:
            _check_length(stream.seek(0, 2), size)
            stream.seek(first)
            flat = np.frombuffer(stream.read(voxels * item.itemsize), item)
    steps = [f"volume {index} of {times}"] if times > 1 else []
    stored = flat.reshape(shape[2::-1])  # Fortran order: the last axis is the slowest
    affine = _affine(header, stored.shape, steps)
    array, affine, padding = _oriented(stored, header, affine, labels, steps)
    sizes = [abs(float(value)) or 1.0 for value in header["pixdim"][3:0:-1]]
    return Image(
        array,
        spacing=(sizes[0], sizes[1], sizes[2]) if affine is None else spacing_of(affine),
        orientation="" if affine is None else AXES,
        source="nifti",
        steps=tuple(steps),
        frame=index if times > 1 else None,
        affine=affine,
        padding=padding,
    )


def _oriented(
    stored: NDArray[Any], header: Any, affine: Affine | None, labels: bool, steps: list[str]
) -> tuple[NDArray[np.float32], Affine | None, NDArray[np.bool_] | None]:
    """Scaled values with their axes along `AXES`, written there at once; as stored where there is no affine."""
    order = (0, 1, 2) if affine is None else axis_order(affine)[0]
    array: NDArray[np.float32] = np.empty([stored.shape[old] for old in order], np.float32)
    scaled = array if affine is None else restore_axes(array, affine)
    padding = _scale(stored, header, scaled, steps)
    if padding is None:
        padding = undeclared_padding(scaled)
    if affine is None:
        return array, None, padding
    shear = shear_degrees(affine)
    if shear > MAX_SHEAR_DEGREES and not labels:
        steps.append(f"shear of {shear:.2f} degrees straightened")
        scaled, affine, padding = deskew(scaled, affine, float(scaled.min()), padding)
        array = np.ascontiguousarray(reorient(scaled, affine)[0])
    if padding is not None:
        padding = np.ascontiguousarray(reorient(padding, affine)[0])
    return array, reorient_affine(affine, scaled.shape), padding


def _check_length(length: int, needed: int) -> None:
    if length < needed:
        raise FormatError(f"the file has {length:,} bytes and its header needs {needed:,}: it is cut short")


def _header(start: bytes) -> Any:
    """The header in either byte order and version; nibabel guesses neither from a name."""
    for kind, size in ((Nifti1Header, 348), (Nifti2Header, 540)):
        for order in ("<", ">"):
            if len(start) >= size and int.from_bytes(start[:4], "little" if order == "<" else "big") == size:
                header = kind(start[:size], endianness=order, check=False)
                if bytes(header["magic"])[:2] not in (b"n+", b"ni"):
                    raise FormatError("the magic of the header is not NIfTI's")
                if bytes(header["magic"])[:2] == b"ni":
                    raise FormatError("a NIfTI header whose voxels are in another file (.img); convert it to .nii")
                return header
    raise FormatError("not a NIfTI file: the first number is neither 348 nor 540")


def _shape(header: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Dimensions, at least three, and the type of a voxel; refused before anything of that size exists."""
    dimensions = int(header["dim"][0])
    if not 1 <= dimensions <= 7:
        raise FormatError(f"dim[0] is {dimensions}")
    shape = tuple(int(n) for n in header["dim"][1 : dimensions + 1])
    if min(shape) < 1:
        raise FormatError(f"dim is {shape}")
    shape = (*shape, 1, 1)[: max(3, dimensions)]
    if int(np.prod(shape[:3], dtype=np.int64)) > MAX_VOXELS or int(np.prod(shape, dtype=np.float64)) > 1 << 40:
        raise FormatError(f"a volume of {' x '.join(map(str, shape))} voxels is beyond the limit of {MAX_VOXELS:,}")
    if len(shape) > 4 and max(shape[4:]) > 1:
        raise FormatError(f"{dimensions} dimensions {shape}: vectors and tensors are no volume")
    code = int(header["datatype"])
    try:
        item = np.dtype(header.get_data_dtype())
    except Exception:  # nibabel's HeaderDataError, or a KeyError, by version
        raise FormatError(f"datatype {code} is not known") from None
    if item.kind not in "iuf" and code not in _COLOR:
        raise FormatError(f"datatype {code} ({item}) is no gray value")
    return shape, item


def _inflated_start(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data, _HEADER_BYTES)
    except zlib.error:
        raise FormatError("the gzip stream is damaged") from None


def _inflated(data: bytes, size: int) -> bytes:
    """All of a gzip file, never much more than `size` bytes; its checksum has to fit."""
    room = size + (1 << 20)
    with suppress(RuntimeError, ValueError):  # several members, or damage: zlib tells which
        whole = imagecodecs.gzip_decode(data, out=room)  # libdeflate: three times as fast as zlib
        if len(whole) >= size:
            return bytes(whole)
    parts, left = [], data
    while left and room > 0:
        inflater = zlib.decompressobj(31)
        try:
            parts.append(inflater.decompress(left, room))
        except zlib.error:
            raise FormatError("the gzip stream is damaged, or its checksum does not fit") from None
        room -= len(parts[-1])
        if not inflater.eof:
            raise FormatError("the gzip stream is cut short" if room > 0 else "the gzip stream grows past its header")
        left = inflater.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _scale(
    stored: NDArray[Any], header: Any, target: NDArray[np.float32], steps: list[str]
) -> NDArray[np.bool_] | None:
    """Write voxels times the header's slope plus its intercept into `target`; a slope of 0 or NaN means none.

    Returns:
        Which voxels are not finite; None where all are.
    """
    if stored.dtype.names:
        for name, weight in zip(stored.dtype.names, LUMA, strict=False):
            share = stored[name] * weight
            target[:] = share if name == stored.dtype.names[0] else target + share
        steps.append("RGB reduced to luma")
        return None
    slope, intercept = float(header["scl_slope"]), float(np.nan_to_num(header["scl_inter"]))
    with np.errstate(over="ignore", invalid="ignore"):
        if slope != 0 and np.isfinite(slope) and (slope, intercept) != (1.0, 0.0):
            np.multiply(stored, slope, out=target, casting="unsafe")
            target += np.float32(intercept)
            steps.append(f"rescale {slope:g} x stored {intercept:+g}")
        else:
            target[:] = stored
    if stored.dtype.kind == "f":
        finite = np.isfinite(target)
        if not finite.any():
            raise FormatError("no voxel has a finite value")
        if not finite.all():
            lowest = target[finite].min()
            steps.append(f"{int((~finite).sum()):,} voxels that are not finite set to the smallest value, {lowest:g}")
            target[~finite] = lowest
            return ~finite
    return None


def _affine(header: Any, shape: tuple[int, ...], steps: list[str]) -> Affine | None:
    """Array indices (k, j, i) to RAS millimeters; None where the header gives no orientation."""
    sform, qform = (_form(header, which) for which in ("sform", "qform"))
    if sform is not None and qform is not None and not same_grid(sform, qform, shape):
        difference = grid_difference(sform, qform, shape)
        steps.append(f"sform and qform differ by up to {difference:.3g} mm: the sform is taken")
    affine = qform if sform is None else sform
    if affine is None:
        steps.append("neither sform nor qform: left and right unknown")
        return None
    steps.append(f"geometry of the {'qform' if sform is None else 'sform'}")
    return affine


def _form(header: Any, which: str) -> Affine | None:
    """The affine of the sform or qform; None where its code is 0, or, beside a sform, where the qform is impossible."""
    if int(header[f"{which}_code"]) <= 0:
        return None
    try:
        affine = np.asarray(header.get_sform() if which == "sform" else header.get_qform(), np.float64)[:, [2, 1, 0, 3]]
    except Exception:  # nibabel refuses quaternions longer than 1
        affine = np.full((4, 4), np.nan)
    affine[:3] *= _MILLIMETERS.get(int(header["xyzt_units"]) & 7, 1.0)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    # Directions alone: the volume of a voxel of micro-CT in meters is as small as an error of rounding.
    if np.isfinite(affine).all() and lengths.min() > 0 and abs(np.linalg.det(affine[:3, :3] / lengths)) > 1e-6:
        return affine
    if which == "qform" and int(header["sform_code"]) > 0:
        return None
    raise FormatError(
        "the quaternion of the qform is impossible" if which == "qform" else "the sform maps voxels nowhere"
    )
