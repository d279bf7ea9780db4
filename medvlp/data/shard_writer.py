"""Results of a shard's rows -> its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.data import prepare_plan as plans
from medvlp.data.atomic import replaced
from medvlp.data.image_task import PreparedImage
from medvlp.data.prepare_plan import Plan
from medvlp.data.worker_process import Failure


def write_images(plan: Plan, shard: int, results: Sequence[PreparedImage | Failure], folder: Path) -> None:
    """Write pixels, masks, and last the rows, which say that the shard is done.

    The arrays are built in memory: a full disk is then an error of a write, not a signal out of a memory map. A row
    that failed keeps its slot, black and in no table.
    """
    drawn = [r.masks for r in results if isinstance(r, PreparedImage) and r.masks is not None]
    for level, settings in enumerate(plan.preprocess):
        size = json.loads(settings)["size"]
        pixels = np.zeros((len(results), size, size), np.uint8)
        for slot, result in enumerate(results):
            if isinstance(result, PreparedImage):
                pixels[slot] = result.pixels[level]
        _write_array(plans.image_file(folder, size, shard), pixels)
        if drawn:
            _write_array(plans.mask_file(folder, size, shard), np.stack([masks[level] for masks in drawn]))
    with replaced(plans.rows_file(folder, shard)) as partial:
        _rows(results).to_parquet(partial, index=False)


def _rows(results: Sequence[PreparedImage | Failure]) -> pd.DataFrame:
    """What became of each row: `slot, mask_slot, height, width, spacing, checksum, reason, mask_reason`."""
    empty = {"height": 0, "width": 0, "spacing": np.nan, "checksum": 0, "reason": "", "mask_reason": ""}
    rows, masks = [], 0
    for slot, result in enumerate(results):
        row = {"slot": slot, "mask_slot": -1, **empty}
        if isinstance(result, Failure):
            row["reason"] = result.reason
        else:
            row |= {k: getattr(result, k) for k in ("height", "width", "spacing", "checksum", "mask_reason")}
            if result.masks is not None:
                row["mask_slot"], masks = masks, masks + 1
        rows.append(row)
    return pd.DataFrame(rows)


def _write_array(path: Path, array: np.ndarray) -> None:
    with replaced(path) as partial, partial.open("wb") as file:
        np.save(file, array)
