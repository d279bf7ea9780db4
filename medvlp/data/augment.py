"""`Augment`: what training does to prepared radiographs, as a pure function of what was drawn.

There is no horizontal flip, and no option for one: a flipped chest has its heart on the right, while the report, the
sided labels and the places still say left. A method that wants mirrored images has to mirror all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

_FIELD = 1 << 22  # length of the noise field
_AT_ONCE = 16  # images


@dataclass(frozen=True)
class Augment:
    """Strengths of the augmentations; zero (or (1, 1) for `area`) switches one off.

    Attributes:
        area: fraction of the image's area that is kept, drawn between the two.
        stretch: aspect is drawn between 1 / (1 + stretch) and 1 + stretch.
        degrees: rotation is drawn between minus and plus this.
        brightness: shift, on the scale of 0 to 1.
        contrast: gain around middle gray is drawn between 1 - contrast and 1 + contrast.
        gamma: exponent is drawn between 1 / (1 + gamma) and 1 + gamma.
        noise: largest standard deviation of Gaussian noise, on the scale of 0 to 1.

    Examples:
        >>> drawn = Augment().draw(2, np.random.default_rng(0))
        >>> drawn.images(np.zeros((2, 8, 8), np.uint8)).shape  # float32, 0 to 1
        torch.Size([2, 8, 8])
    """

    area: tuple[float, float] = (0.7, 1.0)
    stretch: float = 0.1
    degrees: float = 10.0
    brightness: float = 0.1
    contrast: float = 0.2
    gamma: float = 0.2
    noise: float = 0.03

    def draw(self, count: int, random: np.random.Generator) -> Draw:
        """Draw the parameters of `count` images."""
        u = random.random((count, 9), np.float32)
        area = self.area[0] + (self.area[1] - self.area[0]) * u[:, 0]
        aspect = (1 + self.stretch) ** (2 * u[:, 1] - 1)
        angle = np.deg2rad(self.degrees) * (2 * u[:, 2] - 1)
        half_w, half_h = np.sqrt(area * aspect), np.sqrt(area / aspect)
        shift_x = (2 * u[:, 3] - 1) * np.maximum(0, 1 - half_w)  # the window stays inside where it is smaller
        shift_y = (2 * u[:, 4] - 1) * np.maximum(0, 1 - half_h)
        cos, sin = np.cos(angle), np.sin(angle)
        affine = np.stack([half_w * cos, -half_h * sin, shift_x, half_w * sin, half_h * cos, shift_y], axis=1)
        gain = 1 + self.contrast * (2 * u[:, 5] - 1)
        offset = self.brightness * (2 * u[:, 6] - 1) + 0.5 - 0.5 * gain
        exponent = (1 + self.gamma) ** (2 * u[:, 7] - 1)
        start = random.integers(0, 1 << 30, count)
        return Draw(affine.astype(np.float32), gain, offset, exponent, self.noise * u[:, 8], start)


# What a recipe's `data.augment` names. A run of a dozen passes over a thousand images learns more from `light`.
STRENGTHS = {
    "full": Augment(),
    "light": Augment((0.85, 1.0), stretch=0.05, degrees=5.0, brightness=0.05, contrast=0.1, gamma=0.1, noise=0.01),
    "none": Augment((1.0, 1.0), stretch=0.0, degrees=0.0, brightness=0.0, contrast=0.0, gamma=0.0, noise=0.0),
}


@dataclass(frozen=True, eq=False)
class Draw:
    """Parameters of B images: what was drawn, so that masks move with their images and a batch can be replayed.

    Attributes:
        affine: `[B, 6]`, rows of the 2 x 3 matrix from output to input coordinates (both -1 to 1).
        gain, offset, exponent, noise: `[B]`.
        start: `[B]`, where in the noise field each image's noise begins.
    """

    affine: NDArray[np.float32]
    gain: NDArray[np.float32]
    offset: NDArray[np.float32]
    exponent: NDArray[np.float32]
    noise: NDArray[np.float32]
    start: NDArray[np.int64]

    def __getitem__(self, images: slice) -> Draw:
        """The parameters of some of the images."""
        return Draw(*(getattr(self, name)[images] for name in self.__dataclass_fields__))

    def images(self, pixels: NDArray[np.uint8]) -> Tensor:
        """uint8 `[B, H, W]` -> float32 `[B, H, W]` between 0 and 1."""
        out = torch.empty(pixels.shape)
        for start in range(0, len(pixels), _AT_ONCE):  # what lies between the steps stays in the cache
            some = slice(start, start + _AT_ONCE)
            out[some] = self[some]._images(pixels[some])
        return out

    def _images(self, pixels: NDArray[np.uint8]) -> Tensor:
        gray = np.arange(256, dtype=np.float32)[None] / 255
        curve = gray ** self.exponent[:, None] * self.gain[:, None] + self.offset[:, None]
        curve[:, 0] = 0  # the letterbox stays black
        toned = np.empty(pixels.shape, np.float32)
        for table, picture, out in zip(curve.astype(np.float32), pixels, toned, strict=True):
            np.take(table, picture, out=out, mode="clip")
        moved = self._sample(torch.from_numpy(toned)[:, None], "bilinear")[:, 0]
        moved.addcmul_(self._noise(moved), torch.from_numpy(self.noise)[:, None, None])
        return moved.clamp_(0, 1)

    def masks(self, masks: NDArray[np.uint8]) -> Tensor:
        """uint8 `[B, K, H, W]` -> the same after the same movement (nearest pixel); what comes in from outside is 0."""
        return self._sample(torch.from_numpy(masks).float(), "nearest").to(torch.uint8)

    def _noise(self, images: Tensor) -> Tensor:
        """Standard noise of the images' shape: pieces of one long field, which costs a tenth of drawing it."""
        pieces = np.lib.stride_tricks.sliding_window_view(_noise_field(), images[0].numel())
        return torch.from_numpy(pieces[self.start % len(pieces)]).view_as(images)

    def _sample(self, images: Tensor, mode: str) -> Tensor:
        height, width = images.shape[-2:]
        x = (torch.arange(width) * 2 + 1) / width - 1
        y = (torch.arange(height) * 2 + 1) / height - 1
        columns = torch.complex(*torch.from_numpy(self.affine).view(-1, 2, 3).unbind(1))[
            ..., None, None
        ]  # [B, 3, 1, 1]
        along, down, shift = columns.unbind(1)
        grid = torch.view_as_real(along * x + (down * y[:, None] + shift))  # one pass: both coordinates in one number
        return torch.nn.functional.grid_sample(images, grid, mode=mode, align_corners=False)


@cache
def _noise_field() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(_FIELD, np.float32)


def random_view(
    images: Tensor, area: tuple[float, float] = (0.6, 1.0), degrees: float = 10.0, tone: float = 0.3
) -> Tensor:
    """The same radiographs with another random window, rotation and contrast; left stays left.

    What a loader does to an image, `Augment` does better and ahead of time; this is for methods that compare two views
    of one image, and costs one resampling.

    Args:
        images: `[B, 1, H, W]`, normalized.
        area: fraction of the image that is kept, drawn between the two.
        degrees: rotation is drawn between minus and plus this.
        tone: contrast is drawn between 1 - tone and 1 + tone, and brightness between -tone and tone standard deviations
            of the image.

    Returns:
        `[B, 1, H, W]`; what comes in from outside repeats the border.

    Raises:
        ValueError: these are no radiographs.

    Examples:
        >>> random_view(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 1, 8, 8])
    """
    if images.ndim != 4:
        raise ValueError(f"a random view is made of radiographs [B, 1, H, W]; got {list(images.shape)}")
    drawn = torch.rand(6, len(images), device=images.device)
    side = (area[0] + (area[1] - area[0]) * drawn[0]).sqrt()
    angle = math.radians(degrees) * (2 * drawn[1] - 1)
    cos, sin = side * angle.cos(), side * angle.sin()
    shift_x, shift_y = (1 - side) * (2 * drawn[2] - 1), (1 - side) * (2 * drawn[3] - 1)
    window = torch.stack([cos, -sin, shift_x, sin, cos, shift_y], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(window, list(images.shape), align_corners=False)
    moved = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    mean = moved.mean((1, 2, 3), keepdim=True)
    spread = moved.std((1, 2, 3), keepdim=True)
    gain, offset = (tone * (2 * drawn[i] - 1).view(-1, 1, 1, 1) for i in (4, 5))
    return (moved - mean) * (1 + gain) + mean + offset * spread
