"""`Segmentation`: named regions of an image, and their way onto the grid of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medvlp.io.errors import FormatError
from medvlp.io.geometry import same_grid
from medvlp.io.image import Image


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Regions that may overlap, in as few label maps as that needs.

    Attributes:
        layers: uint16 `[L, H, W]` or `[L, D, H, W]`; 0 is background, every other value is one region. Regions that
            overlap lie in different layers; one layer is the rule.
        names: value -> name.
        spacing, orientation, affine: as in `Image`, of one layer.
        source: the file's kind (`png`, `nifti`, `dicom seg`, `rtstruct`, ...).
        notes: what had to be done to read it, in words.

    Examples:
        >>> regions = Segmentation(np.array([[[0, 2], [2, 0]]], np.uint16), {2: "lung"})
        >>> regions.mask("lung").tolist()
        [[False, True], [True, False]]
    """

    layers: NDArray[np.uint16]
    names: Mapping[int, str]
    spacing: tuple[float, ...] | None = None
    orientation: str = ""
    affine: NDArray[np.float64] | None = None
    source: str = ""
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.layers.dtype != np.uint16 or self.layers.ndim not in (3, 4):
            raise ValueError(
                f"layers are uint16 [L, H, W] or [L, D, H, W]; got {self.layers.dtype} {self.layers.shape}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """`[H, W]` or `[D, H, W]`."""
        return self.layers.shape[1:]

    def mask(self, region: str | int) -> NDArray[np.bool_]:
        """The voxels of one region, by name or value.

        Raises:
            KeyError: there is no such region; says which there are.
        """
        values = [value for value, name in self.names.items() if region in (value, name)]
        if not values:
            raise KeyError(f"no region {region!r}; there are {', '.join(self.names.values()) or 'none'}")
        return np.asarray(np.isin(self.layers, values).any(axis=0))


def pack_layers(regions: Mapping[int, NDArray[np.bool_]], shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Layers `[L, *shape]`: each region in the first layer where it overlaps nothing."""
    layers = [np.zeros(shape, np.uint16)]
    for value, mask in regions.items():
        free = next((layer for layer in layers if not layer[mask].any()), None)
        if free is None:
            free = np.zeros(shape, np.uint16)
            layers.append(free)
        free[mask] = value
    return np.stack(layers)


def match_grid(found: Segmentation, like: Image) -> Segmentation:
    """The regions on the grid of `like`, each of its voxels taking the region at its center.

    Raises:
        FormatError: two grids that nothing relates.
    """
    if found.affine is None or like.affine is None:
        if found.shape != like.array.shape:
            raise FormatError(f"the regions are {found.shape} and the image is {like.array.shape}")
        return found
    if found.shape == like.array.shape and same_grid(found.affine, like.affine, found.shape):
        return found
    from scipy.ndimage import affine_transform

    mapping = np.linalg.inv(found.affine) @ like.affine
    layers = np.stack(
        [
            affine_transform(layer, mapping[:3, :3], mapping[:3, 3], output_shape=like.array.shape, order=0)
            for layer in found.layers
        ]
    )
    if found.layers.any() and not layers.any():
        raise FormatError("the regions lie wholly outside the image")
    notes = (*found.notes, "moved to the image's grid, nearest voxel")
    return Segmentation(layers, found.names, like.spacing, like.orientation, like.affine, found.source, notes)
