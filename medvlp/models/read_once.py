"""Several questions about the same images, with one pass of the trunk that all of them read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from medvlp.models.features import ImageFeatures
from medvlp.models.image_encoder import ImageEncoder


@contextmanager
def read_once(encoder: ImageEncoder) -> Iterator[None]:
    """Inside the block the encoder keeps the last features: asked again with the same tensor it gives them again.

    For a trained model without gradients: its weights must stay as they are. Another tensor is read anew, though it be
    equal, and so is the same one after a write in place.
    """
    forward, kept = encoder.forward, list[tuple[Tensor, int, ImageFeatures]]()

    def remembering(images: Tensor) -> ImageFeatures:
        if not kept or kept[0][0] is not images or kept[0][1] != images._version:
            kept[:] = [(images, images._version, forward(images))]
        return kept[0][2]

    encoder.forward = remembering  # type: ignore[method-assign]
    try:
        yield
    finally:
        del encoder.forward  # the class's own is seen again
