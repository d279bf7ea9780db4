"""`Preprocess`: what makes the stored radiograph out of a full-size one. It travels with the weights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from medvlp.io.image import Image

if TYPE_CHECKING:
    from torch import Tensor

_VERSION = 1  # of the pixels that `apply` makes; a change of the algorithm is a change of the hash


@dataclass(frozen=True)
class Preprocess:
    """Letterbox: aspect kept, antialiased bilinear resize so that the long side is `size`, centred, padded with black.

    Attributes:
        size: pixels of both sides of the square.
        mean, std: what `normalise` subtracts and divides by, on the scale of 0 (black) to 1 (white).
    """

    size: int = 224
    mean: float = 0.5
    std: float = 0.25

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 8192 or self.std <= 0:
            raise ValueError(f"Preprocess needs 16 <= size <= 8192 and std > 0; got size {self.size}, std {self.std}")

    def content(self, shape: tuple[int, int]) -> tuple[int, int, int, int]:
        """Where an image of `shape` lies in the square: top, left, height, width in pixels."""
        height, width = shape
        scale = self.size / max(height, width)
        h, w = max(1, round(height * scale)), max(1, round(width * scale))
        return (self.size - h) // 2, (self.size - w) // 2, h, w

    def apply(self, image: Image) -> NDArray[np.uint8]:
        """Radiograph -> uint8 `[size, size]`, 0 black, 255 white."""
        if image.array.ndim != 2:
            raise ValueError(f"a radiograph has two axes; this image is {image.array.shape}")
        return np.rint(self._letterbox(image.array) * 255).clip(0, 255).astype(np.uint8)

    def apply_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Mask `[H, W]` of the same file -> uint8 `[size, size]` of 0 and 1: a pixel is in when half of it is."""
        return (self._letterbox(mask.astype(np.float32)) >= 0.5).astype(np.uint8)

    def _letterbox(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        top, left, h, w = self.content(array.shape)  # type: ignore[arg-type]
        square = np.zeros((self.size, self.size), np.float32)
        # Large files are first reduced by a whole factor (means of blocks), then resized: a third of the time, and on
        # white noise, the worst there is, within 0.012 of the exact filter.
        resized = PillowImage.fromarray(array).resize((w, h), PillowImage.Resampling.BILINEAR, reducing_gap=3.0)
        square[top : top + h, left : left + w] = np.asarray(resized)
        return square

    def to_original(self, map2d: NDArray[Any], original_shape: tuple[int, int]) -> NDArray[np.float32]:
        """A map over the square, at any resolution -> float32 of the original file's shape (bilinear)."""
        height, width = original_shape
        top, left, h, w = self.content(original_shape)
        if map2d.shape == (self.size, self.size):  # cut exactly, so that the padding does not bleed into the border
            map2d, top, left, (h, w) = map2d[top : top + h, left : left + w], 0, 0, (self.size, self.size)
        across, down = map2d.shape[1] / self.size, map2d.shape[0] / self.size
        box = (left * across, top * down, (left + w) * across, (top + h) * down)
        source = PillowImage.fromarray(np.ascontiguousarray(map2d, np.float32))
        return np.asarray(source.resize((width, height), PillowImage.Resampling.BILINEAR, box=box))

    def box_to_square(self, box: NDArray[Any], original_shape: tuple[int, int]) -> NDArray[np.float64]:
        """Boxes `[..., 4]` (x0, y0, x1, y1) in pixels of the original -> in pixels of the square."""
        top, left, h, w = self.content(original_shape)
        scale = np.array([w / original_shape[1], h / original_shape[0]] * 2)
        return np.asarray(box, np.float64) * scale + np.array([left, top] * 2)

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 `[B, H, W]` (0 to 255) or float (0 to 1) -> float32 `[B, 1, H, W]`, less `mean`, over `std`."""
        white = 1.0 if pixels.is_floating_point() else 255.0
        return pixels.unsqueeze(1).float().mul(1 / (white * self.std)).sub_(self.mean / self.std)

    @property
    def hash(self) -> str:
        """16 hexadecimal digits: equal exactly when the pixels that a model sees are made the same way."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def differences(self, other: Preprocess) -> list[str]:
        """What is not the same, in words; empty when data of the one suit a model of the other."""
        mine, theirs = asdict(self), asdict(other)
        return [f"{k}: {mine[k]} against {theirs[k]}" for k in mine if mine[k] != theirs[k]]

    def to_json(self) -> str:
        """The settings as one line of JSON, keys sorted."""
        return json.dumps({"kind": "radiograph letterbox", "version": _VERSION, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Preprocess:
        """The inverse of `to_json`.

        Raises:
            ValueError: it was written by another kind or version of preprocessing.
        """
        settings = json.loads(text)
        kind, version = settings.pop("kind", None), settings.pop("version", None)
        if (kind, version) != ("radiograph letterbox", _VERSION):
            raise ValueError(
                f"this is {kind} version {version}; this medvlp makes radiograph letterbox version {_VERSION}: "
                "prepare the data again"
            )
        return cls(**settings)

    def save(self, path: str | Path) -> None:
        """Write `preprocess.json`."""
        Path(path).write_text(self.to_json() + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Preprocess:
        """Read `preprocess.json`."""
        return cls.from_json(Path(path).read_text())
