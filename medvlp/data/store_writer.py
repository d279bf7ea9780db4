"""Results of a shard's rows -> its files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from medvlp.data.manifest import Manifest
from medvlp.data.manifest_columns import PREFIXES
from medvlp.data.prepare_image import PreparedImage
from medvlp.data.store_layout import StoreLayout, image_file, mask_file, report_file, rows_file, table_hash
from medvlp.io.atomic_write import atomic_file
from medvlp.io.process_pool import Failure


def write_images(layout: StoreLayout, shard: int, results: Sequence[PreparedImage | Failure], folder: Path) -> None:
    """Write pixels, masks, and last the rows, which say that the shard is done.

    The arrays are built in memory: a full disk is then an error of a write, not a signal out of a memory map. A row
    that failed keeps its slot, blank and in no table.
    """
    drawn = [r.masks for r in results if isinstance(r, PreparedImage) and r.masks is not None]
    for level, size in enumerate(layout.sizes):
        pixels = np.full((len(results), *size.file_shape), size.blank, size.dtype)
        for slot, result in enumerate(results):
            if isinstance(result, PreparedImage):
                pixels[slot] = result.pixels[level]
        _write_array(image_file(folder, size.name, shard), pixels)
        if drawn:
            _write_array(mask_file(folder, size.name, shard), np.stack([masks[level] for masks in drawn]))
    with atomic_file(rows_file(folder, shard)) as partial:
        _rows(results, volumes=len(layout.sizes[0].shape) == 3).to_parquet(partial, index=False)


def _rows(results: Sequence[PreparedImage | Failure], volumes: bool) -> pd.DataFrame:
    """What became of each row: `slot, mask_slot, height, width, spacing, checksum, reason, mask_reason`.

    Of volumes also `depth` and `thickness`, voxels and millimeters along the first axis.
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
        try:
            np.save(file, array)
        except OSError as error:
            if error.errno is None:  # NumPy says "589824 requested and 0 written" of a disk that is full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise


_FORMAT = 1


def finalize_store(manifest: Manifest, layout: StoreLayout, out: Path) -> None:
    """Write `table.parquet`, `quarantine.csv`, and last `store.json`. Two parts may: they write the same."""
    rows = [
        pd.read_parquet(rows_file(out, shard)).assign(shard=np.int32(shard)) for shard in range(layout.image_shards)
    ]
    shards = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
    numbers = _report_numbers(manifest)
    failed = (shards["reason"] != "").to_numpy()
    kept = [c for c in manifest.table.columns if c not in ("path", "report") and not c.startswith(PREFIXES)]
    where = shards[["shard", *[c for c in shards if c not in ("shard", "reason", "mask_reason")]]]
    table = pd.concat([manifest.table[kept], pd.Series(numbers, name="report"), where], axis=1)
    table = table.loc[~failed].reset_index(drop=True)
    with atomic_file(out / "table.parquet") as partial:
        table.to_parquet(partial, index=False)
    quarantine = _quarantine(manifest, layout, shards, numbers, out)
    with atomic_file(out / "quarantine.csv") as partial:
        quarantine.to_csv(partial, index=False)
    digest = hashlib.sha256("".join([table_hash(table), *layout.preprocess]).encode()).hexdigest()[:16]
    summary = {"format": _FORMAT, "images": len(table), "quarantined": len(quarantine), "hash": digest}
    with atomic_file(out / "store.json") as partial:
        partial.write_text(json.dumps({**summary, "generated": layout.generated}, indent=1) + "\n")


def _report_numbers(manifest: Manifest) -> np.ndarray:
    """For each row the number of its report (in order of first appearance), -1 where it has none."""
    texts = manifest.table["report"]
    codes, _ = pd.factorize(texts.where(texts != "", None))
    return codes.astype(np.int32)


def _quarantine(
    manifest: Manifest, layout: StoreLayout, shards: pd.DataFrame, numbers: np.ndarray, out: Path
) -> pd.DataFrame:
    """One line for each image, mask and report that could not be read: `kind, image_id, path, reason`."""
    parts = []
    for kind, column in (("image", "reason"), ("mask", "mask_reason")):
        rows = np.flatnonzero((shards[column] != "").to_numpy())
        part = manifest.table[["image_id", "path"]].iloc[rows]
        parts.append(part.assign(kind=kind, reason=shards[column].to_numpy()[rows]))
    for shard in range(layout.report_shards):
        reasons = pq.read_table(report_file(out, shard), columns=["reason"])["reason"].to_pylist()
        for i, reason in enumerate(reasons):
            if reason:
                first = np.flatnonzero(numbers == layout.report_rows(shard)[i])[:1]
                parts.append(manifest.table[["image_id", "path"]].iloc[first].assign(kind="report", reason=reason))
    return pd.concat(parts, ignore_index=True)[["kind", "image_id", "path", "reason"]]
