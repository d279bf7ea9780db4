"""NIfTI-1 and NIfTI-2 -> a volume; the file's own geometry and scaling, checked, and nothing beyond them.

https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h: sform (method 3) where its code is positive, else qform
(method 2), else pixel sizes alone (method 1), which say nothing of left and right.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from medvlp.io.colour import LUMA
from medvlp.io.dicom_volume import MAX_VOXELS
from medvlp.io.errors import Unreadable
from medvlp.io.geometry import AXES, MAX_SHEAR_DEGREES, Affine, shear_degrees, spacing_of, straightened, turned
from medvlp.io.guarded import read_bytes
from medvlp.io.image import Image

_HEADER_BYTES = 540
_COLOUR = {128: 3, 2304: 4}  # data type codes of RGB24 and RGBA32
_MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # low three bits of xyzt_units


def read_nifti(path: Path, frame: int | None) -> Image:
    """Read one volume of a `.nii` or `.nii.gz` file; see `read_volume`.

    NaN and infinite voxels take the smallest finite value, which is air in CT; 0 would be water.
    """
    data = read_bytes(path)
    zipped = data[:2] == b"\x1f\x8b"
    header = _header(_inflated_start(data) if zipped else data[:_HEADER_BYTES])
    shape, item = _shape(header)
    offset = max(int(header["vox_offset"]), 352)
    size = offset + int(np.prod(shape, dtype=np.int64)) * item.itemsize
    if zipped:
        data = _inflated(data, size)
    if len(data) < size:
        raise Unreadable(f"the file has {len(data):,} bytes and its header needs {size:,}: it is cut short")
    times = int(np.prod(shape[3:], dtype=np.int64))
    index = frame or 0
    if not 0 <= index < times:
        raise Unreadable(f"frame {index} does not exist; the file has {times}")
    voxels = int(np.prod(shape[:3], dtype=np.int64))
    flat = np.frombuffer(data, item, voxels, offset + index * voxels * item.itemsize)
    steps = [f"volume {index} of {times}"] if times > 1 else []
    array = _scaled(flat.reshape(shape[2::-1]), header, steps)  # Fortran order: the last axis is the slowest
    affine = _affine(header, steps)
    if affine is None:
        sizes = [abs(float(value)) or 1.0 for value in header["pixdim"][3:0:-1]]
        spacing, orientation = (sizes[0], sizes[1], sizes[2]), ""
    else:
        if shear_degrees(affine) > MAX_SHEAR_DEGREES:
            steps.append(f"shear of {shear_degrees(affine):.2f} degrees straightened")
            array, affine = straightened(array, affine, float(array.min()))
        view, affine = turned(array, affine)
        array, spacing, orientation = np.ascontiguousarray(view), spacing_of(affine), AXES
    return Image(
        array,
        spacing=spacing,
        orientation=orientation,
        source="nifti",
        steps=tuple(steps),
        frame=index if times > 1 else None,
        affine=affine,
    )


def _header(start: bytes) -> Any:
    """The header in either byte order and version; nibabel guesses neither from a name."""
    for kind, size in ((Nifti1Header, 348), (Nifti2Header, 540)):
        for order in ("<", ">"):
            if len(start) >= size and int.from_bytes(start[:4], "little" if order == "<" else "big") == size:
                header = kind(start[:size], endianness=order, check=False)
                if bytes(header["magic"])[:2] not in (b"n+", b"ni"):
                    raise Unreadable("the magic of the header is not NIfTI's")
                if bytes(header["magic"])[:2] == b"ni":
                    raise Unreadable("a NIfTI header whose voxels are in another file (.img); convert it to .nii")
                return header
    raise Unreadable("not a NIfTI file: the first number is neither 348 nor 540")


def _shape(header: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Dimensions, at least three, and the type of a voxel; refused before anything of that size exists."""
    dimensions = int(header["dim"][0])
    if not 1 <= dimensions <= 7:
        raise Unreadable(f"dim[0] is {dimensions}")
    shape = tuple(int(n) for n in header["dim"][1 : dimensions + 1])
    if min(shape) < 1:
        raise Unreadable(f"dim is {shape}")
    shape = (*shape, 1, 1)[: max(3, dimensions)]
    if int(np.prod(shape[:3], dtype=np.int64)) > MAX_VOXELS or int(np.prod(shape, dtype=np.float64)) > 1 << 40:
        raise Unreadable(f"a volume of {' x '.join(map(str, shape))} voxels is beyond the limit of {MAX_VOXELS:,}")
    if len(shape) > 4 and max(shape[4:]) > 1:
        raise Unreadable(f"{dimensions} dimensions {shape}: vectors and tensors are no volume")
    code = int(header["datatype"])
    try:
        item = np.dtype(header.get_data_dtype())
    except Exception:  # nibabel's HeaderDataError, or a KeyError, by version
        raise Unreadable(f"datatype {code} is not known") from None
    if item.kind not in "iuf" and code not in _COLOUR:
        raise Unreadable(f"datatype {code} ({item}) is no grey value")
    return shape, item


def _inflated_start(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data, _HEADER_BYTES)
    except zlib.error:
        raise Unreadable("the gzip stream is damaged") from None


def _inflated(data: bytes, size: int) -> bytes:
    """All of a gzip file, never much more than `size` bytes; its checksum has to fit."""
    room = size + (1 << 20)
    try:
        return bytes(imagecodecs.gzip_decode(data, out=room))  # libdeflate: three times as fast as zlib
    except (RuntimeError, ValueError):
        pass  # several members, or damage: zlib tells which
    parts, left = [], data
    while left and room > 0:
        inflater = zlib.decompressobj(31)
        try:
            parts.append(inflater.decompress(left, room))
        except zlib.error:
            raise Unreadable("the gzip stream is damaged, or its checksum does not fit") from None
        room -= len(parts[-1])
        if not inflater.eof:
            raise Unreadable("the gzip stream is cut short" if room > 0 else "the gzip stream grows past its header")
        left = inflater.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _scaled(raw: NDArray[Any], header: Any, steps: list[str]) -> NDArray[np.float32]:
    """float32 voxels times the header's slope plus its intercept; a slope of 0 or NaN means none."""
    if raw.dtype.names:
        channels = np.stack([raw[name] for name in raw.dtype.names[:3]], axis=-1).astype(np.float32)
        steps.append("RGB reduced to luma")
        return np.asarray(channels @ LUMA, np.float32)
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    with np.errstate(over="ignore", invalid="ignore"):
        if (slope not in (0.0, 1.0) and np.isfinite(slope)) or (slope == 1.0 and intercept != 0):
            intercept = intercept if np.isfinite(intercept) else 0.0
            steps.append(f"rescale {slope:g} x stored {intercept:+g}")
            array = (raw.astype(np.float64) * slope + intercept).astype(np.float32)
        else:
            array = raw.astype(np.float32)
    if raw.dtype.kind == "f":
        finite = np.isfinite(array)
        if not finite.any():
            raise Unreadable("no voxel has a finite value")
        if not finite.all():
            lowest = array[finite].min()
            steps.append(f"{int((~finite).sum()):,} voxels that are not finite set to the smallest value, {lowest:g}")
            array[~finite] = lowest
    return array


def _affine(header: Any, steps: list[str]) -> Affine | None:
    """Array indices (k, j, i) to RAS millimetres; None where the header gives no orientation."""
    if int(header["sform_code"]) > 0:
        affine, which = np.asarray(header.get_sform(), np.float64), "sform"
    elif int(header["qform_code"]) > 0:
        try:
            affine, which = np.asarray(header.get_qform(), np.float64), "qform"
        except Exception:  # nibabel refuses quaternions longer than 1
            raise Unreadable("the quaternion of the qform is impossible") from None
    else:
        steps.append("neither sform nor qform: left and right unknown")
        return None
    affine = affine[:, [2, 1, 0, 3]]
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise Unreadable(f"the {which} maps voxels nowhere")
    affine[:3] *= _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    steps.append(f"geometry of the {which}")
    return affine
