"""`StoreLayout`: which images and reports a store holds, in which files. It is written first, so that a run that was
killed, and other machines, go on with the same."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medvlp import __version__
from medvlp.data.image_kind import AnyPreprocess, preprocess_from_json
from medvlp.data.manifest import Manifest
from medvlp.errors import MedVLPError
from medvlp.io.atomic_write import atomic_file

_SHARD_BYTES = 32 << 20  # what a kill costs, and what the writer holds in memory per shard
_REPORTS_A_SHARD = 2048
_ROWS_AT_ONCE = 8192


class StoreError(MedVLPError, ValueError):
    """What is asked of a store does not fit what it holds; the message says what it holds."""


@dataclass(frozen=True)
class StoreLayout:
    """What a store holds, and in which files.

    Attributes:
        preprocess: one JSON a size, the first is the one that `Store.open` takes by default.
        manifest: hash of the manifest's table.
        images, reports: how many rows, and how many distinct report texts.
        images_a_shard, reports_a_shard: rows of one file.
        masks: names of the masks, in the order of their axis.
        generated: as in the manifest.
        made_by: version of medvlp, whose readers and parser may differ from those of another.
    """

    preprocess: tuple[str, ...]
    manifest: str
    images: int
    reports: int
    images_a_shard: int
    reports_a_shard: int
    masks: tuple[str, ...]
    generated: bool
    made_by: str = __version__

    @classmethod
    def from_manifest(cls, manifest: Manifest, preprocess: Sequence[AnyPreprocess]) -> StoreLayout:
        """The layout of a manifest: shards hold as many images as stay below a size in the largest preprocessing."""
        largest = max(math.prod(p.file_shape) * np.dtype(p.dtype).itemsize for p in preprocess)
        texts = manifest.table["report"]
        return cls(
            preprocess=tuple(p.to_json() for p in preprocess),
            manifest=table_hash(manifest.table),
            images=len(manifest),
            reports=int(texts[texts != ""].nunique()),
            images_a_shard=max(preprocess[0].fewest, _SHARD_BYTES // largest),
            reports_a_shard=_REPORTS_A_SHARD,
            masks=tuple(manifest.masks),
            generated=manifest.generated,
        )

    @property
    def sizes(self) -> list[AnyPreprocess]:
        """The preprocessing of each size, the default first.

        Raises:
            ValueError: another version of medvlp made the store.
        """
        return [preprocess_from_json(text) for text in self.preprocess]

    @property
    def image_shards(self) -> int:
        """How many files of images a size has."""
        return -(-self.images // self.images_a_shard)

    @property
    def report_shards(self) -> int:
        """How many files of reports there are."""
        return -(-self.reports // self.reports_a_shard)

    def rows(self, shard: int) -> range:
        """The manifest's rows in an image shard."""
        return range(shard * self.images_a_shard, min(self.images, (shard + 1) * self.images_a_shard))

    def report_rows(self, shard: int) -> range:
        """The numbers of the reports in a report shard."""
        return range(shard * self.reports_a_shard, min(self.reports, (shard + 1) * self.reports_a_shard))

    def write_or_verify(self, folder: Path) -> None:
        """Write `plan.json` into a new store, or make sure that the store there has the same layout.

        Raises:
            StoreError: the folder holds a store of other data or another preprocessing; the message says what differs.
        """
        path = folder / "plan.json"
        if path.is_file():
            there = json.loads(path.read_text())
            mine = json.loads(json.dumps(asdict(self)))
            different = [k for k in mine if mine[k] != there.get(k)]
            if different:
                raise StoreError(
                    f"{folder} holds a store made with other {', '.join(different)}; "
                    "give another folder, or delete this one to make it anew"
                )
            return
        with atomic_file(path) as partial:
            partial.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> StoreLayout:
        """Read `plan.json` of a store."""
        fields: dict[str, Any] = json.loads((folder / "plan.json").read_text())
        return cls(**(fields | {k: tuple(fields[k]) for k in ("preprocess", "masks")}))


def table_hash(table: pd.DataFrame) -> str:
    """16 hexadecimal digits over columns and cells; a few thousand rows at a time, for the texts are long."""
    digest = hashlib.sha256("\n".join(map(str, table.columns)).encode())
    for start in range(0, len(table), _ROWS_AT_ONCE):
        hashes = pd.util.hash_pandas_object(table.iloc[start : start + _ROWS_AT_ONCE], index=False)
        digest.update(np.ascontiguousarray(hashes.to_numpy()).tobytes())
    return digest.hexdigest()[:16]


def image_file(folder: Path, size: str, shard: int) -> Path:
    """Pixels of a shard: uint8 `[n, size, size]`, or int16 blocks of volumes `[n, nd, nh, nw, d, h, w]`."""
    return folder / f"images-{size}" / f"{shard:05d}.npy"


def mask_file(folder: Path, size: str, shard: int) -> Path:
    """Masks of the images of a shard that have any: uint8 `[m, K, *shape]`, 0, 1, or 255 where not drawn."""
    return folder / f"masks-{size}" / f"{shard:05d}.npy"


def rows_file(folder: Path, shard: int) -> Path:
    """What became of each row of a shard; it is written last, so a shard is done when this file is there."""
    return folder / "rows" / f"{shard:05d}.parquet"


def report_file(folder: Path, shard: int) -> Path:
    """Parsed reports of a shard."""
    return folder / "reports" / f"{shard:05d}.parquet"
