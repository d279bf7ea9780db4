"""`VolumeAugment`: what training does to prepared CT volumes, as a pure function of what was drawn.

Modest on purpose: a scan lies where the table put it, and Hounsfield units are a scale of their own. There is no flip,
for the reason that stands in `augment.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvlp.data.volume_preprocess import AIR


@dataclass(frozen=True)
class VolumeAugment:
    """Strengths of the augmentations; zero switches one off.

    Attributes:
        shift: of the volume along each axis, drawn between minus and plus this fraction of the axis, in whole voxels;
            what comes in from outside is air.
        hounsfield: offset, drawn between minus and plus this, in HU: scanners drift by some of these.
        contrast: gain around water (0 HU), drawn between 1 - contrast and 1 + contrast.

    Examples:
        >>> drawn = VolumeAugment().draw(1, np.random.default_rng(0))
        >>> drawn.images(np.zeros((1, 8, 8, 8), np.int16)).shape  # float32, in HU
        torch.Size([1, 8, 8, 8])
    """

    shift: float = 0.06
    hounsfield: float = 30.0
    contrast: float = 0.05

    def draw(self, count: int, random: np.random.Generator) -> VolumeDraw:
        """Draw the parameters of `count` volumes."""
        u = 2 * random.random((count, 5), np.float32) - 1
        return VolumeDraw(self.shift * u[:, :3], 1 + self.contrast * u[:, 3], self.hounsfield * u[:, 4])


@dataclass(frozen=True, eq=False)
class VolumeDraw:
    """Parameters of B volumes: what was drawn, so that masks move with their volumes and a batch can be replayed.

    Attributes:
        shift: `[B, 3]`, fractions of the axes.
        gain, offset: `[B]`.
    """

    shift: NDArray[np.float32]
    gain: NDArray[np.float32]
    offset: NDArray[np.float32]

    def __getitem__(self, volumes: slice) -> VolumeDraw:
        """The parameters of some of the volumes."""
        return VolumeDraw(self.shift[volumes], self.gain[volumes], self.offset[volumes])

    def images(self, volumes: NDArray[np.int16]) -> Tensor:
        """int16 `[B, D, H, W]` -> float32 `[B, D, H, W]`, both in HU."""
        moved = torch.from_numpy(self._moved(volumes, AIR)).float()
        gain, offset = torch.from_numpy(self.gain), torch.from_numpy(self.offset)
        return moved.mul_(gain[:, None, None, None]).add_(offset[:, None, None, None])

    def masks(self, masks: NDArray[np.uint8]) -> Tensor:
        """uint8 `[B, K, D, H, W]` -> the same after the same movement; what comes in from outside is 0."""
        return torch.from_numpy(self._moved(masks, 0))

    def _moved(self, arrays: NDArray[np.generic], fill: int) -> NDArray[np.generic]:
        """The last three axes of each array, shifted by whole voxels."""
        moved = np.full_like(arrays, fill)
        steps = np.rint(self.shift * arrays.shape[-3:]).astype(int)
        for array, out, step in zip(arrays, moved, steps, strict=True):
            to = tuple(slice(max(s, 0), n + min(s, 0)) for s, n in zip(step, array.shape[-3:], strict=True))
            here = tuple(slice(max(-s, 0), n + min(-s, 0)) for s, n in zip(step, array.shape[-3:], strict=True))
            out[(..., *to)] = array[(..., *here)]
        return moved
