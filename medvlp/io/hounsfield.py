"""`to_hounsfield`: the slope and intercept of a table, for volumes whose file lacks them; applied once or never."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medvlp.io.image import Image

_BELOW_STORED = -200.0  # CT scanners store values from 0, or from about -1024 when they are Hounsfield units already


def to_hounsfield(image: Image, slope: float, intercept: float) -> Image:
    """Rescale a volume by numbers that stand beside its file, as the first release of CT-RATE needs it.

    Its second release is in Hounsfield units already, and so is every volume that `read_volume` rescaled itself;
    scaling those again puts water at -1024 and is refused.

    Args:
        image: a volume as `read_volume` returned it.
        slope, intercept: of PS3.3 C.11.1: Hounsfield units = slope x stored + intercept.

    Raises:
        ValueError: the values are in Hounsfield units already, or the slope is 0.
    """
    if slope == 0:
        raise ValueError("a slope of 0 makes every voxel the same")
    if any(step.startswith(("rescale", "modality LUT")) for step in image.steps):
        raise ValueError("the reader rescaled this volume by its own header; scaling it again would be wrong")
    if intercept < 0 and float(image.array.min()) < _BELOW_STORED:
        raise ValueError(
            f"the smallest value is {image.array.min():g}: the volume is in Hounsfield units already (as CT-RATE v2 is)"
        )
    step = f"rescale {slope:g} x stored {intercept:+g}, from a table"
    return replace(
        image, array=image.array * np.float32(slope) + np.float32(intercept), modality="CT", steps=(*image.steps, step)
    )
