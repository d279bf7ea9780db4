"""`prepare`: a manifest becomes a store, once. Parallel, in bounded memory, resumable, in parts for a cluster.

Each shard is written whole or not at all, and the file that says what became of its rows is written last: a run that
was killed goes on with the shards that lack it. `prepare_part(i, n)` does every n-th shard, on as many machines as
there are.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medvlp.data.base_preprocess import BasePreprocess, PreprocessError
from medvlp.data.image_kind import AnyPreprocess, preprocess_class
from medvlp.data.manifest import Manifest
from medvlp.data.prepare_image import ImageTask, prepare_image
from medvlp.data.preprocess import Preprocess
from medvlp.data.report_table import failed_report_row, report_row, write_reports
from medvlp.data.store import Store
from medvlp.data.store_layout import StoreError, StoreLayout, report_file, rows_file
from medvlp.data.store_writer import finalize_store, write_images
from medvlp.data.volume_preprocess import VolumePreprocess
from medvlp.io.process_pool import Failure, ProcessPool

Progress = Callable[[str, int, int], None]  # stage (`reports` or `images`), done, total
_LIMITS: dict[type[AnyPreprocess], dict[str, Any]] = {  # of the pool: many files a second, or seconds a file
    Preprocess: {},
    VolumePreprocess: {"timeout": 600.0, "chunk": 1},
}
_WORTH_A_POOL = 500  # reports; fewer are parsed here, before a fresh interpreter would have started


def prepare(
    manifest: Manifest,
    out: str | Path,
    preprocess: AnyPreprocess | Sequence[AnyPreprocess] | None = None,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Store:
    """Prepare every image and report of a manifest.

    Args:
        manifest: what to read. Files that cannot be read go to `quarantine.csv` with their reason; nothing stops the
            run.
        out: folder of the store. One that a killed run left unfinished is continued.
        preprocess: one, or several of different size (each file is decoded once), of radiographs or of volumes as the
            manifest's rows are; default `Preprocess()` of 224 pixels, or `VolumePreprocess()` of 96 voxels of 3 mm.
        workers: processes; default one a core; 0 for this process.
        progress: called with the stage, how many are done and how many there are.

    Raises:
        ValueError: `out` holds a store of another manifest or preprocessing; or the manifest mixes radiographs and
            volumes, or has volumes that are no CT, or the preprocessing is of the other kind.
        OSError: no room on the disk; what is done stays, and the same call goes on after room was made.
    """
    prepare_part(manifest, out, 1, 1, preprocess, workers=workers, progress=progress)
    return Store.open(out)


def prepare_part(
    manifest: Manifest,
    out: str | Path,
    part: int,
    parts: int,
    preprocess: AnyPreprocess | Sequence[AnyPreprocess] | None = None,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Prepare part `part` (from 1) of `parts`, for one machine of a cluster with a shared disk.

    Returns:
        How many shards of other parts are still missing. The part that finds none makes the store ready to open.
    """
    if not 1 <= part <= parts:
        raise StoreError(f"part {part}/{parts}: the first number goes from 1 to the second")
    sizes = sizes_of(manifest, preprocess)
    out, layout = Path(out), StoreLayout.from_manifest(manifest, sizes)
    out.mkdir(parents=True, exist_ok=True)
    layout.write_or_verify(out)
    workers = (os.cpu_count() or 1) if workers is None else workers
    report = progress or (lambda stage, done, total: None)
    if (out / "store.json").is_file():
        return 0
    _prepare_reports(manifest, layout, out, range(part - 1, layout.report_shards, parts), workers, report)
    _prepare_images(manifest, layout, sizes, out, range(part - 1, layout.image_shards, parts), workers, report)
    missing = _missing(layout, out)
    if not missing:
        finalize_store(manifest, layout, out)
    return missing


def sizes_of(
    manifest: Manifest, preprocess: AnyPreprocess | Sequence[AnyPreprocess] | None
) -> tuple[AnyPreprocess, ...]:
    """What was asked for, or the default: one or more preprocessings of the manifest's kind, of different size.

    Raises:
        ValueError: as `prepare`.
    """
    kind = preprocess_class(manifest.table)
    given = (preprocess,) if isinstance(preprocess, BasePreprocess) else tuple(preprocess or (kind(),))
    if len({p.name for p in given}) < len(given):
        raise PreprocessError("two preprocessings have one size; a store holds one for each size")
    for p in given:
        if not isinstance(p, kind):
            raise PreprocessError(
                f"the manifest's images need {kind.__name__}; {type(p).__name__} is of the other kind"
            )
    return given


def _missing(layout: StoreLayout, out: Path) -> int:
    images = sum(not rows_file(out, s).is_file() for s in range(layout.image_shards))
    return images + sum(not report_file(out, s).is_file() for s in range(layout.report_shards))


def _prepare_reports(
    manifest: Manifest, layout: StoreLayout, out: Path, shards: range, workers: int, progress: Progress
) -> None:
    texts = manifest.table["report"]
    first = np.flatnonzero(((texts != "") & ~texts.duplicated()).to_numpy())  # report n stands first in row first[n]
    work = _Work(
        shards=[s for s in shards if not report_file(out, s).is_file()],
        rows=layout.report_rows,
        tasks=lambda numbers: _report_tasks(manifest.table.iloc[first[numbers]]),
    )
    total = sum(len(layout.report_rows(s)) for s in shards)
    tick = functools.partial(_tick, progress, "reports", total - work.count, total)
    with ProcessPool(report_row, workers if work.count > _WORTH_A_POOL else 0, chunk=32) as pool:
        for shard, results in _by_shard(pool, work, tick):
            tasks = work.tasks(layout.report_rows(shard))
            parsed = [
                failed_report_row(task[0], row.reason) if isinstance(row, Failure) else row
                for task, row in zip(tasks, results, strict=True)
            ]
            write_reports(parsed, report_file(out, shard))


def _prepare_images(
    manifest: Manifest,
    layout: StoreLayout,
    sizes: tuple[AnyPreprocess, ...],
    out: Path,
    shards: range,
    workers: int,
    progress: Progress,
) -> None:
    work = _Work(
        shards=[s for s in shards if not rows_file(out, s).is_file()],
        rows=layout.rows,
        tasks=lambda rows: _image_tasks(manifest.table.iloc[list(rows)], layout),
    )
    total = sum(len(layout.rows(s)) for s in shards)
    tick = functools.partial(_tick, progress, "images", total - work.count, total)
    with ProcessPool(functools.partial(prepare_image, preprocess=sizes), workers, **_LIMITS[type(sizes[0])]) as pool:
        for shard, results in _by_shard(pool, work, tick):
            write_images(layout, shard, results, out)


@dataclass(frozen=True)
class _Work:
    """The shards to do, the rows of each, and the tasks of rows, which are made when they are needed."""

    shards: Sequence[int]
    rows: Callable[[int], range]
    tasks: Callable[[range], Sequence[Any]]

    @property
    def count(self) -> int:
        return sum(len(self.rows(shard)) for shard in self.shards)


def _by_shard(pool: ProcessPool, work: _Work, tick: Callable[[int], None]) -> Iterator[tuple[int, list[Any]]]:
    """Run the tasks of all shards through one pool; yield each shard that is complete, with its results in order."""
    sizes = [len(work.rows(shard)) for shard in work.shards]
    ends = np.cumsum(sizes)
    partial: dict[int, dict[int, Any]] = {}
    tasks = (task for shard in work.shards for task in work.tasks(work.rows(shard)))
    for done, (i, result) in enumerate(pool.map(tasks), start=1):
        owner = int(np.searchsorted(ends, i, side="right"))
        results = partial.setdefault(owner, {})
        results[i] = result
        if len(results) == sizes[owner]:
            del partial[owner]
            yield work.shards[owner], [results[slot] for slot in sorted(results)]
        tick(done)


def _tick(progress: Progress, stage: str, before: int, total: int, done: int) -> None:
    progress(stage, before + done, total)


def _report_tasks(table: pd.DataFrame) -> list[tuple[str, str | None]]:
    """The text of each row, with its study's id where the parser knows the archive."""
    rows = zip(table["report"], table["study_id"], table["source"], strict=True)
    return [(text, study if source == "mimic_cxr" else None) for text, study, source in rows]


def _image_tasks(table: pd.DataFrame, layout: StoreLayout) -> list[ImageTask]:
    frames = table["frame"].tolist() if "frame" in table else [np.nan] * len(table)
    masks = zip(*(table[f"mask_{name}"] for name in layout.masks), strict=True) if layout.masks else [()] * len(table)
    return [
        ImageTask(path, None if np.isnan(frame) else int(frame), tuple(cells), source)
        for path, frame, cells, source in zip(table["path"], frames, masks, table["source"], strict=True)
    ]
