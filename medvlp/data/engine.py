"""`prepare_on`: the parts of `prepare` on an engine that runs functions elsewhere, such as a pool, or Ray if installed.

An engine is any `concurrent.futures.Executor` whose processes see the same disk. Parts share nothing but the folder of
the store, so an engine has nothing to know of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, wait
from pathlib import Path
from typing import Any

from medvlp.data import prepare_plan as plans
from medvlp.data.manifest import Manifest
from medvlp.data.preparation import Progress, prepare_part, sizes_of
from medvlp.data.prepare_plan import Plan
from medvlp.data.preprocess_kinds import AnyPreprocess
from medvlp.data.store import Store

_LOOK_EVERY = 2.0  # seconds


def prepare_on(
    engine: Executor,
    manifest: Manifest,
    out: str | Path,
    preprocess: AnyPreprocess | Sequence[AnyPreprocess] | None = None,
    *,
    parts: int,
    workers: int = 1,
    progress: Progress | None = None,
) -> Store:
    """Prepare a manifest in parts on an engine, and wait for them.

    Args:
        engine: what runs the parts; it is not shut down.
        manifest, out, preprocess: as of `prepare`; the folder has to be on a disk that all processes see.
        parts: how many functions the engine gets; one for each machine is best, for each reads the whole manifest.
        workers: processes of each part; at least 1, so that a decoder that crashes costs one image and not the part.
        progress: as of `prepare`, called every two seconds with the images of the shards that are done.

    Raises:
        ValueError: as `prepare`, or fewer than one part or worker.
        Exception: what a part raised; the others go on, and the same call continues after the cause was removed.
    """
    if parts < 1 or workers < 1:
        raise ValueError(f"an engine needs at least one part and one worker a part; got {parts} and {workers}")
    out, sizes = Path(out), sizes_of(manifest, preprocess)
    table = manifest.save(out / "engine_manifest.parquet")  # with absolute paths, which all processes understand alike
    plan = Plan.of(Manifest.load(table), sizes)
    plan.settle(out)
    tasks = [engine.submit(_part, str(table), str(out), i, parts, sizes, workers) for i in range(1, parts + 1)]
    waiting: set[Future[int]] = set(tasks)
    while waiting:
        done, waiting = wait(waiting, _LOOK_EVERY, FIRST_EXCEPTION)
        for task in done:
            task.result()
        if progress:
            progress("images", _images_done(plan, out), plan.images)
    table.unlink(missing_ok=True)
    return Store.open(out)


def _part(manifest: str, out: str, part: int, parts: int, sizes: tuple[AnyPreprocess, ...], workers: int) -> int:
    """One part, in a process of the engine; the manifest comes over the disk, where it lies once for all."""
    return prepare_part(Manifest.load(manifest), out, part, parts, sizes, workers=workers)


def _images_done(plan: Plan, out: Path) -> int:
    return sum(len(plan.rows(s)) for s in range(plan.image_shards) if plans.rows_file(out, s).is_file())


class RayEngine(Executor):
    """Ray as an executor.

        import ray
        ray.init(address="auto")
        prepare_on(RayEngine(cpus=16), manifest, "store", parts=8, workers=16)

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
                "Ray is not installed: `pip install ray`, or run `medvlp data prepare --part i/n` on each machine"
            ) from None
        self._ray, self._cpus = ray, cpus

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function on the cluster."""
        remote = self._ray.remote(num_cpus=self._cpus, max_retries=0)(fn)
        result: Future[Any] = remote.remote(*args, **kwargs).future()
        return result
