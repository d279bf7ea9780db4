"""Intensities: windows (PS3.3 C.11.2.1.2, C.11.2.1.3), and Hounsfield units by a table beside the file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvlp.io.image import Image

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def window(image: Image, center: float, width: float, function: str = "LINEAR_EXACT") -> Image:
    """Show a range of values: `image` with `array` between 0 and 1.

        lung = window(read_volume("chest_ct/"), center=-600, width=1500)

    Args:
        image: a volume in Hounsfield units, or any image whose values mean something.
        center, width: in the units of its values.
        function: one of `FUNCTIONS`; LINEAR_EXACT puts `center - width / 2` at 0 and `center + width / 2` at 1.

    Raises:
        ValueError: the function is unknown or its width is not allowed.

    Examples:
        >>> import numpy as np
        >>> image = Image(np.float32([[-600, 150]]))
        >>> window(image, center=-600, width=1500).array
        array([[0.5, 1. ]], dtype=float32)
    """
    array = window_values(image.array, center, width, function).astype(np.float32, copy=False)
    return replace(image, array=array, steps=(*image.steps, f"window {center:g}/{width:g} {function}"))


def window_values(values: NDArray[Any], center: float, width: float, function: str = "LINEAR") -> NDArray[Any]:
    """Apply a window.

        LINEAR        (x - (c - 0.5)) / (w - 1) + 0.5, clipped to 0..1; a threshold at c - 0.5 for w = 1
        LINEAR_EXACT  (x - c) / w + 0.5, clipped to 0..1
        SIGMOID       1 / (1 + exp(-4 (x - c) / w))

    Args:
        values: floating point, any shape.
        center, width: in the units of `values`.
        function: one of `FUNCTIONS`.

    Raises:
        ValueError: the function is not one of the three, or the width is below what it allows (1 for LINEAR, above 0
            for the others).
    """
    if function not in FUNCTIONS:
        raise ValueError(f"VOI LUT function {function!r}; there are {', '.join(FUNCTIONS)}")
    if width < 1 if function == "LINEAR" else width <= 0:
        raise ValueError(f"a {function} window needs a width {'of at least 1' if function == 'LINEAR' else 'above 0'}")
    kind = values.dtype.type
    if function == "SIGMOID":
        with np.errstate(over="ignore"):  # exp(large) is infinite and 1 / infinity is the black that is meant
            return 1 / (1 + np.exp((values - kind(center)) * kind(-4 / width)))
    if function == "LINEAR_EXACT":
        ramp = (values - kind(center)) * kind(1 / width)
    elif width == 1:
        return (values > center - 0.5).astype(kind)
    else:
        ramp = (values - kind(center - 0.5)) * kind(1 / (width - 1))
    ramp += kind(0.5)
    return np.clip(ramp, 0, 1, out=ramp)


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

    Examples:
        >>> import numpy as np
        >>> to_hounsfield(Image(np.float32([[0, 1064]])), slope=1, intercept=-1024).array
        array([[-1024.,    40.]], dtype=float32)
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
