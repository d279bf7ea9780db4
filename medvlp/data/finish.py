"""The last step of `prepare`: a table of what is there, one of what is not, and the file that makes a store of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from medvlp.data import prepare_plan as plans
from medvlp.data.manifest import Manifest
from medvlp.data.manifest_columns import PREFIXES
from medvlp.data.prepare_plan import Plan, table_hash
from medvlp.io.atomic_write import atomic_file

_FORMAT = 1


def finish(manifest: Manifest, plan: Plan, out: Path) -> None:
    """Write `table.parquet`, `quarantine.csv`, and last `store.json`. Two parts may: they write the same."""
    rows = [
        pd.read_parquet(plans.rows_file(out, shard)).assign(shard=np.int32(shard)) for shard in range(plan.image_shards)
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
    quarantine = _quarantine(manifest, plan, shards, numbers, out)
    with atomic_file(out / "quarantine.csv") as partial:
        quarantine.to_csv(partial, index=False)
    digest = hashlib.sha256("".join([table_hash(table), *plan.preprocess]).encode()).hexdigest()[:16]
    summary = {"format": _FORMAT, "images": len(table), "quarantined": len(quarantine), "hash": digest}
    with atomic_file(out / "store.json") as partial:
        partial.write_text(json.dumps({**summary, "generated": plan.generated}, indent=1) + "\n")


def _report_numbers(manifest: Manifest) -> np.ndarray:
    """For each row the number of its report (in order of first appearance), -1 where it has none."""
    texts = manifest.table["report"]
    codes, _ = pd.factorize(texts.where(texts != "", None))
    return codes.astype(np.int32)


def _quarantine(manifest: Manifest, plan: Plan, shards: pd.DataFrame, numbers: np.ndarray, out: Path) -> pd.DataFrame:
    """One line for each image, mask and report that could not be read: `kind, image_id, path, reason`."""
    parts = []
    for kind, column in (("image", "reason"), ("mask", "mask_reason")):
        rows = np.flatnonzero((shards[column] != "").to_numpy())
        part = manifest.table[["image_id", "path"]].iloc[rows]
        parts.append(part.assign(kind=kind, reason=shards[column].to_numpy()[rows]))
    for shard in range(plan.report_shards):
        reasons = pq.read_table(plans.report_file(out, shard), columns=["reason"])["reason"].to_pylist()
        for i, reason in enumerate(reasons):
            if reason:
                first = np.flatnonzero(numbers == plan.report_rows(shard)[i])[:1]
                parts.append(manifest.table[["image_id", "path"]].iloc[first].assign(kind="report", reason=reason))
    return pd.concat(parts, ignore_index=True)[["kind", "image_id", "path", "reason"]]
