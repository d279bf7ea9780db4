"""Results of a shard's rows -> its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medvlp.data import prepare_plan as plans
from medvlp.data.image_task import PreparedImage
from medvlp.data.prepare_plan import Plan
from medvlp.io.atomic_write import atomic_file
from medvlp.io.process_pool import Failure


def write_images(plan: Plan, shard: int, results: Sequence[PreparedImage | Failure], folder: Path) -> None:
    """Write pixels, masks, and last the rows, which say that the shard is done.

    The arrays are built in memory: a full disk is then an error of a write, not a signal out of a memory map. A row
    that failed keeps its slot, blank and in no table.
    """
    drawn = [r.masks for r in results if isinstance(r, PreparedImage) and r.masks is not None]
    for level, size in enumerate(plan.sizes):
        pixels = np.full((len(results), *size.file_shape), size.blank, size.dtype)
        for slot, result in enumerate(results):
            if isinstance(result, PreparedImage):
                pixels[slot] = result.pixels[level]
        _write_array(plans.image_file(folder, size.name, shard), pixels)
        if drawn:
            _write_array(plans.mask_file(folder, size.name, shard), np.stack([masks[level] for masks in drawn]))
    with atomic_file(plans.rows_file(folder, shard)) as partial:
        _rows(results, volumes=len(plan.sizes[0].shape) == 3).to_parquet(partial, index=False)


def _rows(results: Sequence[PreparedImage | Failure], volumes: bool) -> pd.DataFrame:
    """What became of each row: `slot, mask_slot, height, width, spacing, checksum, reason, mask_reason`.

    Of volumes also `depth` and `thickness`, voxels and millimetres along the first axis.
    """
    lengths = ["depth", "height", "width"] if volumes else ["height", "width"]
    distances = ["thickness", "spacing"] if volumes else ["spacing"]
    empty = {**dict.fromkeys(lengths, 0), **dict.fromkeys(distances, np.nan), "checksum": 0}
    rows, masks = [], 0
    for slot, result in enumerate(results):
        row: dict[str, Any] = {"slot": slot, "mask_slot": -1, **empty, "reason": "", "mask_reason": ""}
        if isinstance(result, Failure):
            row["reason"] = result.reason
        else:
            row |= dict(zip(lengths, result.shape, strict=True))
            row |= dict(zip(distances, result.spacing, strict=False))  # rows and columns lie equally far apart
            row |= {"checksum": result.checksum, "mask_reason": result.mask_reason}
            if result.masks is not None:
                row["mask_slot"], masks = masks, masks + 1
        rows.append(row)
    return pd.DataFrame(rows)


def _write_array(path: Path, array: np.ndarray) -> None:
    with atomic_file(path) as partial, partial.open("wb") as file:
        np.save(file, array)
