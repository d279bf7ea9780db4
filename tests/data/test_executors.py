"""`prepare_on`: the parts of a store on any executor, and on a real local Ray where it is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medvlp.data import Manifest, Preprocess, RayExecutor, Store, VolumePreprocess, prepare_on
from medvlp.data.store_layout import StoreLayout


class Here(Executor):
    """Runs each function at once and remembers its arguments."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls.append(args)
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = StoreLayout.from_manifest
    monkeypatch.setattr(
        StoreLayout, "from_manifest", lambda *a: replace(whole(*a), images_a_shard=3, reports_a_shard=2)
    )


def pixels(store: Store) -> bytes:
    return store.images(store.rows()).tobytes()


@pytest.mark.usefixtures("small_shards")
def test_parts_on_an_executor_make_the_store(small_manifest: Manifest, small_store: Store, tmp_path: Path) -> None:
    executor, seen = Here(), []
    store = prepare_on(
        executor, small_manifest, tmp_path / "s", Preprocess(size=32), parts=3, progress=lambda *a: seen.append(a)
    )
    assert [call[2:4] for call in executor.calls] == [(1, 3), (2, 3), (3, 3)]
    assert pixels(store) == pixels(small_store)
    assert store.table["image_id"].tolist() == small_store.table["image_id"].tolist()
    assert seen[-1] == ("images", 8, 8)
    assert not list((tmp_path / "s").glob("executor*"))  # the manifest that the parts read


def test_volumes_and_relative_paths(
    volume_manifest: Manifest, volume_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(volume_manifest.table["path"][0]).parent
    monkeypatch.chdir(folder)
    paths = [str(Path(path).relative_to(folder)) for path in volume_manifest.table["path"]]
    manifest = Manifest(volume_manifest.table.assign(path=paths))
    with ThreadPoolExecutor(1) as executor:
        store = prepare_on(executor, manifest, tmp_path / "s", VolumePreprocess(24, (4, 4, 6)), parts=1)
    assert pixels(store) == pixels(volume_store)


def test_what_a_part_raises_is_raised(small_manifest: Manifest, small_store: Store, tmp_path: Path) -> None:
    class Broken(Here):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(OSError("node lost"))
            return future

    with pytest.raises(OSError, match="node lost"):
        prepare_on(Broken(), small_manifest, tmp_path / "s", Preprocess(size=32), parts=2)
    again = prepare_on(Here(), small_manifest, tmp_path / "s", Preprocess(size=32), parts=2)
    assert again.hash == small_store.hash
    with pytest.raises(ValueError, match="at least one part"):
        prepare_on(Here(), small_manifest, tmp_path / "t", parts=0)


def test_ray_runs_the_parts(small_manifest: Manifest, small_store: Store, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")
    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR")
    try:
        store = prepare_on(RayExecutor(), small_manifest, tmp_path / "s", Preprocess(size=32), parts=2)
        assert store.hash == small_store.hash
    finally:
        ray.shutdown()


def test_without_ray_the_way_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install medvlp\[ray\].*--part i/n"):
        RayExecutor()
