"""`BasePreprocess`: what the preprocessing of radiographs and of volumes share: settings as JSON, their hash, a form on
disk."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from medvlp.errors import MedVLPError
from medvlp.io.image import Image

if TYPE_CHECKING:
    from torch import Tensor

Crop = tuple[slice, ...]
"""A slice an axis of a stored image, without steps; `()` is all of it."""


class PreprocessError(MedVLPError, ValueError):
    """A preprocessing that cannot be, or that does not fit the data; the message says what would."""


@dataclass(frozen=True)
class BasePreprocess(ABC):
    """What makes a stored image out of a file's, and a model's input out of the stored one.

    Attributes:
        kind: what it makes, in words; with `version` it stands in the JSON. A change of the algorithm is a new version.
        version: of the values that `apply` makes.
        dtype: of the stored values.
        blank: the stored value where there is nothing: black, or air.
        fewest: images that a shard holds at least, however large they are.
    """

    kind: ClassVar[str]
    version: ClassVar[int]
    dtype: ClassVar[type[np.generic]]
    blank: ClassVar[int]
    fewest: ClassVar[int]

    @property
    @abstractmethod
    def name(self) -> str:
        """What tells the sizes of one store apart, such as `224`; it stands in folder names."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of one stored image: `(H, W)` or `(D, H, W)`."""

    @abstractmethod
    def apply(self, image: Image) -> NDArray[Any]:
        """A file's image -> stored values of `shape` and `dtype`."""

    @abstractmethod
    def apply_mask(self, mask: NDArray[np.bool_], spacing: tuple[float, ...] | None = None) -> NDArray[np.uint8]:
        """A mask on the grid of the file's image, of this spacing in mm -> uint8 of `shape`, 0 and 1."""

    @abstractmethod
    def normalize(self, images: Tensor) -> Tensor:
        """Stored values `[B, *shape]`, or the augmentation's -> a model's input, float32 `[B, 1, *shape]`."""

    @abstractmethod
    def picture(self, stored: NDArray[Any], original: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """A stored image -> uint8 `[h, w]` for people, 0 black and 255 white.

        `original` is the height and width of a radiograph's file: with it, its letterbox is cut off.
        """

    @property
    def file_shape(self) -> tuple[int, ...]:
        """Of one image as it lies on disk."""
        return self.shape

    def pack(self, stored: NDArray[Any]) -> NDArray[Any]:
        """A stored image -> the same in the order of the disk, `file_shape`."""
        return stored

    def unpack(self, packed: NDArray[Any], crop: Crop = ()) -> NDArray[Any]:
        """The inverse of `pack`, of a crop; of a memory map no more is read than the crop needs."""
        return packed[crop]

    @property
    def hash(self) -> str:
        """16 hexadecimal digits: equal exactly when the values that a model sees are made the same way."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def differences(self, other: BasePreprocess) -> list[str]:
        """What is not the same, in words; empty when data of the one suit a model of the other."""
        if self.kind != other.kind:
            return [f"kind: {self.kind} against {other.kind}"]
        mine, theirs = asdict(self), asdict(other)
        return [f"{k}: {mine[k]} against {theirs[k]}" for k in mine if mine[k] != theirs[k]]

    def to_json(self) -> str:
        """The settings as one line of JSON, keys sorted."""
        return json.dumps({"kind": self.kind, "version": self.version, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`.

        Raises:
            PreprocessError: it was written by another kind or version of preprocessing.
        """
        settings = json.loads(text)
        kind, version = settings.pop("kind", None), settings.pop("version", None)
        if (kind, version) != (cls.kind, cls.version):
            raise PreprocessError(
                f"this is {kind} version {version}; this medvlp makes {cls.kind} version {cls.version}: "
                "prepare the data again"
            )
        return cls(**settings)

    def save(self, path: str | Path) -> None:
        """Write `preprocess.json`."""
        Path(path).write_text(self.to_json() + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read `preprocess.json`."""
        return cls.from_json(Path(path).read_text())
