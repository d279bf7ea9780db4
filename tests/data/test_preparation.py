"""`prepare`: what is written, what is set aside, and that killed, cut-up and parallel runs give the same store."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medvlp.data import Manifest, Preprocess, Store, prepare, prepare_part
from medvlp.data.store_layout import StoreLayout
from medvlp.io.atomic_write import DiskFullError


def files(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of three images, so that the small data set has several."""
    whole = StoreLayout.from_manifest

    def of(manifest: Manifest, preprocess: tuple[Preprocess, ...]) -> StoreLayout:
        from dataclasses import replace

        return replace(whole(manifest, preprocess), images_a_shard=3, reports_a_shard=2)

    monkeypatch.setattr(StoreLayout, "from_manifest", of)


def test_pixels_are_those_of_the_preprocessing(small_store: Store, small_table: pd.DataFrame) -> None:
    from medvlp.io import read_image

    rows = [4, 0]
    expected = [Preprocess(size=32).apply(read_image(small_table["path"][r])) for r in rows]
    np.testing.assert_array_equal(small_store.images(rows), expected)


def test_broken_image_and_missing_mask_are_set_aside(small_store: Store, small_table: pd.DataFrame) -> None:
    quarantine = pd.read_csv(small_store.path / "quarantine.csv")
    assert list(quarantine.columns) == ["kind", "image_id", "path", "reason"]
    assert sorted(zip(quarantine["kind"], quarantine["image_id"], strict=True)) == [
        ("image", "image5"),
        ("mask", "image2"),
    ]
    assert (quarantine["reason"].str.len() > 10).all()
    assert "image5" not in set(small_store.table["image_id"])
    assert "image2" in set(small_store.table["image_id"])
    assert small_store.quarantined == 2


def test_table_has_no_paths(small_store: Store) -> None:
    assert not [c for c in small_store.table if c == "path" or c.startswith("mask_l")]
    assert not small_store.table.map(lambda cell: isinstance(cell, str) and "/" in cell).any().any()


def test_store_does_not_depend_on_workers(small_manifest: Manifest, small_store: Store, tmp_path: Path) -> None:
    prepare(small_manifest, tmp_path / "parallel", Preprocess(size=32), workers=2)
    assert files(tmp_path / "parallel") == files(small_store.path)


@pytest.mark.usefixtures("small_shards")
def test_parts_make_the_whole(small_manifest: Manifest, tmp_path: Path) -> None:
    prepare(small_manifest, tmp_path / "whole", Preprocess(size=32), workers=0)
    missing = [
        prepare_part(small_manifest, tmp_path / "parts", part, 3, Preprocess(size=32), workers=0) for part in (2, 3, 1)
    ]
    assert missing == [3, 2, 0]
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


@pytest.mark.usefixtures("small_shards")
def test_finished_shards_are_not_done_again(
    small_manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_part(small_manifest, tmp_path, 1, 2, Preprocess(size=32), workers=0)
    read: list[str] = []
    from medvlp.data import preparation as module

    monkeypatch.setattr(module, "prepare_image", lambda task, preprocess: read.append(task.path))
    with pytest.raises(AttributeError):  # the stand-in's None is no image: only reached for the shards still to do
        prepare(small_manifest, tmp_path, Preprocess(size=32), workers=0)
    assert [Path(p).stem for p in read] == ["image3", "image4", "image5"]


def test_killed_at_any_moment_and_run_again(small_manifest: Manifest, small_store: Store, tmp_path: Path) -> None:
    manifest, out = small_manifest.save(tmp_path / "m.parquet"), tmp_path / "store"
    script = (
        "import sys; from medvlp.data import *; from dataclasses import replace\n"
        "prepare(Manifest.load(sys.argv[1]), sys.argv[2], Preprocess(size=32), workers=1)"
    )
    for delay in (0.4, 1.2, 2.0):
        run = subprocess.Popen([sys.executable, "-c", script, str(manifest), str(out)])
        time.sleep(delay)
        run.send_signal(signal.SIGKILL)
        run.wait()
    again = prepare(Manifest.load(manifest), out, Preprocess(size=32), workers=0)
    assert {k: v for k, v in files(out).items() if "partial" not in k} == files(small_store.path)
    assert again.hash == small_store.hash


def test_another_manifest_or_size_is_refused(small_manifest: Manifest, small_store: Store) -> None:
    with pytest.raises(ValueError, match="made with other preprocess"):
        prepare(small_manifest, small_store.path, Preprocess(size=48), workers=0)
    with pytest.raises(ValueError, match="made with other manifest"):
        prepare(small_manifest.select([0, 1]), small_store.path, Preprocess(size=32), workers=0)


def test_unfinished_store_says_so(small_manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no store at"):
        Store.open(tmp_path)
    StoreLayout.from_manifest(small_manifest, (Preprocess(),)).write_or_verify(tmp_path)
    with pytest.raises(FileNotFoundError, match="unfinished store"):
        Store.open(tmp_path)


def test_full_disk_leaves_no_half_file(
    small_manifest: Manifest, small_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: object, array: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(np, "save", full)
        with pytest.raises(OSError, match="No space left"):
            prepare(small_manifest, tmp_path / "store", Preprocess(size=32), workers=0)
    assert not list((tmp_path / "store").rglob("*.npy"))
    assert not list((tmp_path / "store").rglob("*partial*"))
    prepare(small_manifest, tmp_path / "store", Preprocess(size=32), workers=0)
    assert files(tmp_path / "store") == files(small_store.path)


def test_a_short_write_of_numpy_is_called_a_full_disk(
    small_manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(file: object, array: np.ndarray) -> None:
        raise OSError(f"{array.size} requested and 0 written")

    monkeypatch.setattr(np, "save", short)
    with pytest.raises(DiskFullError, match=r"No space left on device: .*00000\.npy was not written.*MB are free"):
        prepare(small_manifest, tmp_path / "store", Preprocess(size=32), workers=0)


def test_several_sizes_from_one_reading(small_manifest: Manifest, small_store: Store, tmp_path: Path) -> None:
    prepare(small_manifest, tmp_path, [Preprocess(size=32), Preprocess(size=64)], workers=0)
    np.testing.assert_array_equal(Store.open(tmp_path).images([1, 2]), small_store.images([1, 2]))
    large = Store.open(tmp_path, size=64)
    assert large.images([0]).shape == (1, 64, 64)
    assert large.masks([0]).shape == (1, 1, 64, 64)
    with pytest.raises(ValueError, match="holds images of 32, 64 pixels, none of 128"):
        Store.open(tmp_path, size=128)


def test_generated_is_carried(small_manifest: Manifest, small_store: Store, tmp_path: Path) -> None:
    made = Manifest(small_manifest.table, generated=True)
    assert prepare(made, tmp_path, Preprocess(size=32), workers=0).generated
    assert not small_store.generated


def test_special_reports_of_mimic_cxr_are_read_by_their_study(small_manifest: Manifest, tmp_path: Path) -> None:
    text = "RECOMMENDATION: Small effusion.\n"
    rows = {
        "patient_id": ["1", "2"],
        "study_id": ["50913680", "x"],
        "image_id": ["1", "2"],
        "report": [text, text + " "],
    }
    paths = small_manifest.table["path"][:2].tolist()
    for source, special in (("mimic_cxr", True), ("", False)):
        manifest = Manifest(pd.DataFrame(rows | {"path": paths, "source": source}))
        store = prepare(manifest, tmp_path / f"store{source}", Preprocess(size=32), workers=0)
        assert (store.reports[0].sections != store.reports[1].sections) == special


def test_frames_of_one_file(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((20, 20), value, np.uint8)) for value in (50, 200)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    rows = {k: ["1", "1"] for k in ("patient_id", "study_id")} | {"image_id": ["0", "1"], "frame": [0, 1]}
    manifest = Manifest(pd.DataFrame(rows | {"path": str(tmp_path / "a.tif")}))
    store = prepare(manifest, tmp_path / "store", Preprocess(size=20), workers=0)
    assert store.images([0, 1])[:, 10, 10].tolist() == [50, 200]


def test_progress_counts_to_the_end(small_manifest: Manifest, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    prepare(small_manifest, tmp_path, Preprocess(size=32), workers=0, progress=lambda *a: seen.append(a))
    assert [s for s in seen if s[0] == "images"] == [("images", i, 8) for i in range(1, 9)]
    assert seen[2] == ("reports", 3, 3)


def test_summary_is_readable(small_store: Store) -> None:
    summary = json.loads((small_store.path / "store.json").read_text())
    assert (summary["images"], summary["quarantined"], summary["generated"]) == (7, 2, False)
