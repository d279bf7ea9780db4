"""Work on a few rows at a time: temporaries stay in the cache, and their size does not grow with the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BYTES_AT_ONCE = 1 << 18


def in_blocks(function: Callable[[NDArray[Any]], NDArray[Any]], array: NDArray[Any]) -> NDArray[np.float32]:
    """float32 `[H, W]`: `function` of `[n, W, ...]` rows of `array` `[H, W, ...]`, one value a pixel."""
    result = np.empty(array.shape[:2], np.float32)
    rows = max(1, _BYTES_AT_ONCE // max(1, array[:1].nbytes))
    for first in range(0, len(array), rows):
        result[first : first + rows] = function(array[first : first + rows])
    return result
