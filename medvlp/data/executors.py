"""`prepare_on`: the parts of `prepare` on many machines, by any `concurrent.futures.Executor`, or by Ray.

The executor's processes must see the same disk. Parts share nothing but the folder of the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, wait
from pathlib import Path
from typing import Any

from medvlp.data.image_kind import AnyPreprocess
from medvlp.data.manifest import Manifest
from medvlp.data.preparation import Progress, prepare_part, sizes_of
from medvlp.data.store import Store
from medvlp.data.store_layout import StoreLayout, rows_file

_POLL_INTERVAL = 2.0  # seconds


def prepare_on(
    executor: Executor,
    manifest: Manifest,
    out: str | Path,
    preprocess: AnyPreprocess | Sequence[AnyPreprocess] | None = None,
    *,
    parts: int,
    workers: int = 1,
    progress: Progress | None = None,
) -> Store:
    """Prepare a manifest in parts on an executor, and wait for them.

    Args:
        executor: runs the parts; it is not shut down.
        manifest, out, preprocess: as of `prepare`; the folder has to be on a disk that all processes see.
        parts: how many tasks the executor gets; one for each machine is best, for each reads the whole manifest.
        workers: processes of each part; at least 1, so that a decoder that crashes costs one image and not the part.
        progress: as of `prepare`, called every two seconds with the images of the shards that are done.

    Raises:
        ValueError: as `prepare`, or fewer than one part or worker.
        Exception: what a part raised; the others go on, and the same call continues after the cause was removed.
    """
    if parts < 1 or workers < 1:
        raise ValueError(f"an executor needs at least one part and one worker a part; got {parts} and {workers}")
    out, sizes = Path(out), sizes_of(manifest, preprocess)
    table = manifest.save(out / "executor_manifest.parquet")  # its paths are absolute: they hold in every process
    layout = StoreLayout.from_manifest(Manifest.load(table), sizes)
    layout.write_or_verify(out)
    tasks = [executor.submit(_part, str(table), str(out), i, parts, sizes, workers) for i in range(1, parts + 1)]
    waiting: set[Future[int]] = set(tasks)
    while waiting:
        done, waiting = wait(waiting, _POLL_INTERVAL, FIRST_EXCEPTION)
        for task in done:
            task.result()
        if progress:
            progress("images", _images_done(layout, out), layout.images)
    table.unlink(missing_ok=True)
    return Store.open(out)


def _part(manifest: str, out: str, part: int, parts: int, sizes: tuple[AnyPreprocess, ...], workers: int) -> int:
    """One part, in a process of the executor; the manifest comes over the disk, where it lies once for all."""
    return prepare_part(Manifest.load(manifest), out, part, parts, sizes, workers=workers)


def _images_done(layout: StoreLayout, out: Path) -> int:
    return sum(len(layout.rows(s)) for s in range(layout.image_shards) if rows_file(out, s).is_file())


class RayExecutor(Executor):
    """Ray as an executor; needs the extra `medvlp[ray]`.

        import ray
        ray.init(address="auto")
        prepare_on(RayExecutor(cpus=16), manifest, "store", parts=8, workers=16)

    Args:
        cpus: of each function; with all of a machine's, Ray puts one part on each.

    Raises:
        ImportError: Ray is not installed.
    """

    def __init__(self, cpus: float = 1) -> None:
        try:
            import ray
        except ImportError:
            raise ImportError(
                "Ray is missing: `pip install medvlp[ray]`, or run `medvlp data prepare --part i/n` on each machine"
            ) from None
        self._ray, self._cpus = ray, cpus

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function on the cluster."""
        remote = self._ray.remote(num_cpus=self._cpus, max_retries=0)(fn)
        result: Future[Any] = remote.remote(*args, **kwargs).future()
        return result
