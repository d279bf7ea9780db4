"""`VolumePreprocess`: what makes the stored volume out of a CT. It travels with the weights, as `Preprocess` does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from medvlp.data.base_preprocess import BasePreprocess, Crop, PreprocessError
from medvlp.io.geometry import AXES
from medvlp.io.image import Image
from medvlp.io.intensity import window_values
from medvlp.io.resampling import resample

if TYPE_CHECKING:
    from torch import Tensor

AIR, HIGHEST = -1024, 3071  # Hounsfield units that scanners of 12 bits store
_MAX_VOXELS = 1 << 28  # 512 MiB of int16


@dataclass(frozen=True)
class VolumePreprocess(BasePreprocess):
    """Hounsfield units, resampled to a spacing, cut or padded with air around the center of the scan.

    Where voxels get larger, each new one is a weighted mean of those that it covers (`medvlp.io.resample`). Values are
    rounded to int16 and cut off at -1024 and 3071 HU.

    Attributes:
        size: voxels along `[D, H, W]`: to the head, the front and the right; one number stands for a cube.
        spacing: millimeters along the same axes; one number stands for all three.
        center, width: the window of `normalize`, in HU: -1000 to 1000 is shown from 0 to 1, and what is beyond is cut.
        mean, std: what `normalize` then subtracts and divides by, on the scale of 0 to 1.

    Examples:
        >>> scan = Image(np.zeros((20, 24, 28), np.float32), (4.0, 3.0, 3.0), AXES)
        >>> VolumePreprocess(size=16, spacing=6).apply(scan).shape
        (16, 16, 16)
    """

    kind: ClassVar[str] = "CT volume in HU"
    version: ClassVar[int] = 1
    dtype: ClassVar[type[np.generic]] = np.int16
    blank: ClassVar[int] = AIR
    fewest: ClassVar[int] = 1

    size: int | Sequence[int] = 96
    spacing: float | Sequence[float] = 3.0
    center: float = 0.0
    width: float = 2000.0
    mean: float = 0.3
    std: float = 0.25

    def __post_init__(self) -> None:
        size, spacing = _three(self.size), tuple(float(s) for s in _three(self.spacing))
        fits = min(size) >= 8 and math.prod(size) <= _MAX_VOXELS
        if not (fits and min(spacing) > 0 and self.width > 0 and self.std > 0):
            raise PreprocessError(
                f"VolumePreprocess needs 8 voxels or more an axis and {_MAX_VOXELS:,} or fewer in all, and spacing, "
                f"width and std above 0; got {self}"
            )
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "spacing", spacing)

    @property
    def name(self) -> str:
        """Voxels, such as `96` for a cube or `240x480x480`."""
        return str(self.shape[0]) if len(set(self.shape)) == 1 else "x".join(map(str, self.shape))

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(D, H, W)`."""
        return _three(self.size)

    @property
    def file_shape(self) -> tuple[int, ...]:
        """`(nd, nh, nw, d, h, w)`: blocks of at most 32 voxels an axis, each in one piece."""
        return chunked_shape(self.shape)

    def apply(self, image: Image) -> NDArray[np.int16]:
        """CT -> int16 `[D, H, W]` in HU.

        Raises:
            ValueError: no volume in HU with known spacing and axes to the head, the front and the right.
        """
        if image.orientation != AXES or image.spacing is None:
            raise ValueError(f"a CT needs axes {AXES} and a spacing; this image is {image.array.shape}")
        values = self._onto_grid(image.array, image.spacing, AIR)
        return np.clip(np.rint(values, out=values), AIR, HIGHEST, out=values).astype(np.int16)

    def apply_mask(self, mask: NDArray[np.bool_], spacing: tuple[float, ...] | None = None) -> NDArray[np.uint8]:
        """Mask `[D, H, W]` of the same scan, of this spacing -> uint8 `[D, H, W]`: a voxel is in when half of it is."""
        return (self._onto_grid(mask.astype(np.float32), spacing, 0) >= 0.5).astype(np.uint8)

    def _onto_grid(
        self, array: NDArray[np.float32], spacing: tuple[float, ...] | None, fill: float
    ) -> NDArray[np.float32]:
        return resample(Image(array, spacing), _three(self.spacing), shape=self.shape, fill=fill).array

    def pack(self, stored: NDArray[Any]) -> NDArray[Any]:
        """The volume as blocks, `file_shape`."""
        return to_chunks(stored, AIR)

    def unpack(self, packed: NDArray[Any], crop: Crop = ()) -> NDArray[Any]:
        """The volume, or a crop of it, out of its blocks; of a memory map only the blocks of the crop are read."""
        return from_chunks(packed, self.shape, crop)

    def normalize(self, images: Tensor) -> Tensor:
        """HU `[B, D, H, W]`, int16 or float -> float32 `[B, 1, D, H, W]`: window, less `mean`, over `std`."""
        gain = 1 / (self.width * self.std)
        shift = (0.5 - self.center / self.width - self.mean) / self.std
        darkest, brightest = -self.mean / self.std, (1 - self.mean) / self.std
        return images.unsqueeze(1).float().mul(gain).add_(shift).clamp_(darkest, brightest)

    def picture(self, stored: NDArray[np.int16], original: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """The mean from front to back, `[D, W]`, as a radiograph is looked at: head up, the patient's right on the
        left."""
        mean = window_values(stored.astype(np.float32), self.center, self.width, "LINEAR_EXACT").mean(axis=1)
        return np.rint(mean[::-1, ::-1] * 255).astype(np.uint8)


def _three(value: Any) -> tuple[Any, Any, Any]:
    """One value an axis, of one for all or of three."""
    values = tuple(value) if isinstance(value, Sequence) else (value,) * 3
    if len(values) != 3:
        raise PreprocessError(f"one number or three (to the head, the front, the right); got {value}")
    return values


_EDGE = 32  # voxels; 64 KiB a block of int16, which is 16 pages of memory


def chunk_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Edges of the blocks: at most 32 voxels, and such that the blocks reach little or not at all beyond the volume."""
    return tuple(-(-n // -(-n // _EDGE)) for n in shape)


def chunked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Of the array of blocks: `(nd, nh, nw, d, h, w)`, how many of them and their edges."""
    edges = chunk_shape(shape)
    return (*(-(-n // edge) for n, edge in zip(shape, edges, strict=True)), *edges)


def to_chunks(volume: NDArray[Any], fill: int) -> NDArray[Any]:
    """A volume `[D, H, W]` -> its blocks `[nd, nh, nw, d, h, w]`; what reaches beyond the volume is `fill`."""
    count, edges = np.array_split(chunked_shape(volume.shape), 2)
    whole = np.full(count * edges, fill, volume.dtype)
    whole[tuple(slice(n) for n in volume.shape)] = volume
    blocks = whole.reshape(np.stack([count, edges], axis=1).ravel())
    return np.ascontiguousarray(blocks.transpose(0, 2, 4, 1, 3, 5))


def from_chunks(blocks: NDArray[Any], shape: Sequence[int], crop: Sequence[slice] = ()) -> NDArray[Any]:
    """The inverse of `to_chunks`, of a crop. Where `blocks` is a memory map, only the blocks of the crop are read.

    Args:
        blocks: `[nd, nh, nw, d, h, w]`.
        shape: of the whole volume.
        crop: a slice for each of the first axes, without steps; the other axes are read whole.

    Raises:
        ValueError: more slices than axes, or a slice with a step.
    """
    if len(crop) > len(shape) or any(part.step not in (None, 1) for part in crop):
        raise ValueError(f"a crop is at most {len(shape)} slices without steps; got {tuple(crop)}")
    parts = [*crop, *[slice(None)] * (len(shape) - len(crop))]
    bounds = np.array([part.indices(n)[:2] for part, n in zip(parts, shape, strict=True)])
    edges = np.array(chunk_shape(shape))
    first, last = bounds[:, 0] // edges, -(-bounds[:, 1] // edges)
    touched = blocks[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    counts = np.array(touched.shape[: len(shape)])
    joined = touched.transpose(0, 3, 1, 4, 2, 5).reshape(counts * edges)
    inside = bounds - (first * edges)[:, None]
    return joined[tuple(slice(a, b) for a, b in inside)]
