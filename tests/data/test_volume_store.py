"""A store of CT volumes: what is written, set aside and read, and that it is made as one of radiographs is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.data import (
    Augment,
    BatchLoader,
    Manifest,
    Preprocess,
    Store,
    VolumeAugment,
    VolumePreprocess,
    prepare,
    prepare_part,
)
from medvlp.data.store_layout import StoreLayout
from medvlp.io import Image

PREPROCESS = VolumePreprocess(24, (4, 4, 6))
FINDINGS = ["pleural_effusion", "emphysema"]


def files(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}


def words(texts: Sequence[str], max_length: int) -> tuple[np.ndarray, np.ndarray]:
    ids = np.array([[len(t)] for t in texts])
    return ids, ids > 0


def loader(store: Store, **options: object) -> BatchLoader:
    return BatchLoader(store, store.rows(), words, FINDINGS, **({"batch_size": 2} | options))  # type: ignore[arg-type]


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of two volumes, so that the small data set has three."""
    whole = StoreLayout.from_manifest
    monkeypatch.setattr(
        StoreLayout, "from_manifest", lambda *a: replace(whole(*a), images_a_shard=2, reports_a_shard=2)
    )


def test_volumes_are_those_of_the_preprocessing_in_ras(volume_store: Store, ct: SimpleNamespace) -> None:
    made = volume_store.images([3, 1, 0])  # the series of DICOM files, the turned NIfTI, the straight one
    assert (made.shape, made.dtype) == ((3, 24, 24, 24), np.int16)
    for volume, seed in zip(made, (4, 1, 0), strict=True):
        stored = ct.phantom(seed)
        if seed == 4:  # 12 bits
            stored = stored.clip(-1024, 3071)
        expected = PREPROCESS.apply(Image(stored.astype(np.float32), ct.spacing, "SAR", "CT"))
        np.testing.assert_array_equal(volume, expected)
    assert made[0, 0, 0, 0] == -1024  # outside the scan


def test_a_crop_is_that_part(volume_store: Store) -> None:
    whole = volume_store.images([2, 0])
    for crop in (np.s_[3:9, :, 20:24], np.s_[5:6,], np.s_[:, 2:2], ()):
        np.testing.assert_array_equal(volume_store.images([2, 0], crop), whole[(slice(None), *crop)])
    with pytest.raises(ValueError, match="at most 3 slices"):
        volume_store.images([0], (slice(1),) * 4)


def test_broken_files_are_set_aside_and_the_table_knows_the_originals(volume_store: Store) -> None:
    quarantine = pd.read_csv(volume_store.path / "quarantine.csv")
    assert quarantine[["kind", "image_id"]].to_numpy().tolist() == [["image", "ct3"]]
    assert "gzip" in quarantine["reason"][0]
    table = volume_store.table
    assert table["image_id"].tolist() == ["ct0", "ct1", "ct2", "ct4"]
    assert table[["depth", "height", "width", "thickness", "spacing"]].drop_duplicates().to_numpy().tolist() == [
        [20, 24, 28, 4, 3]
    ]


def test_masks_lie_on_their_volumes(volume_store: Store) -> None:
    assert volume_store.has_masks.tolist() == [False, False, True, False]
    masks, volumes = volume_store.masks([2, 0]), volume_store.images([2])
    assert masks.shape == (2, 1, 24, 24, 24)
    assert (masks[1] == 255).all()
    agree = masks[0, 0] == (volumes[0] == 300)
    assert masks[0].sum() > 20
    assert agree.mean() > 0.99  # voxels on the rim hold part of the ball


def test_what_cannot_be_trusted_is_set_aside(tmp_path: Path, ct: SimpleNamespace) -> None:
    import nibabel

    volume = ct.phantom()
    image = nibabel.load(ct.nifti(tmp_path / "plain.nii", volume))
    image.header["sform_code"] = image.header["qform_code"] = 0
    lost = nibabel.Nifti1Image(np.asarray(image.dataobj), None, image.header)
    nibabel.save(lost, tmp_path / "lost.nii")
    ct.nifti(tmp_path / "raw.nii", volume + 1024)
    (tmp_path / "empty").mkdir()
    names = ["plain.nii", "lost.nii", "raw.nii", "empty"]
    rows = dict.fromkeys(("patient_id", "study_id", "image_id"), names)
    manifest = Manifest(pd.DataFrame(rows | {"path": [str(tmp_path / name) for name in names], "modality": "CT"}))
    store = prepare(manifest, tmp_path / "store", PREPROCESS, workers=0)
    assert store.table["image_id"].tolist() == ["plain.nii"]
    reasons = pd.read_csv(store.path / "quarantine.csv").set_index("image_id")["reason"]
    assert "left and right" in reasons["lost.nii"]
    assert "not Hounsfield units" in reasons["raw.nii"]
    assert "no files" in reasons["empty"]


@pytest.mark.usefixtures("small_shards")
def test_workers_and_parts_make_the_same_store(volume_manifest: Manifest, tmp_path: Path) -> None:
    prepare(volume_manifest, tmp_path / "whole", PREPROCESS, workers=0)
    prepare(volume_manifest, tmp_path / "parallel", PREPROCESS, workers=2)
    missing = [prepare_part(volume_manifest, tmp_path / "parts", part, 3, PREPROCESS, workers=0) for part in (3, 1, 2)]
    assert missing == [4, 2, 0]
    assert len(list((tmp_path / "whole" / "images-24").iterdir())) == 3
    assert files(tmp_path / "parts") == files(tmp_path / "whole") == files(tmp_path / "parallel")


def test_killed_and_run_again(volume_manifest: Manifest, volume_store: Store, tmp_path: Path) -> None:
    manifest, out = volume_manifest.save(tmp_path / "m.parquet"), tmp_path / "store"
    script = (
        "import sys\n"
        "from medvlp.data.manifest import Manifest\n"
        "from medvlp.data.preparation import prepare\n"
        "from medvlp.data.volume_preprocess import VolumePreprocess\n"
        "prepare(Manifest.load(sys.argv[1]), sys.argv[2], VolumePreprocess(24, (4, 4, 6)), workers=1)"
    )
    for sign in ("plan.json", "images-24/*"):  # killed as soon as there is one, whole or not
        run = subprocess.Popen([sys.executable, "-c", script, str(manifest), str(out)])
        while run.poll() is None and not list(out.glob(sign)):
            time.sleep(0.002)
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert not (out / "store.json").exists()
    again = prepare(Manifest.load(manifest), out, PREPROCESS, workers=0)
    assert {k: v for k, v in files(out).items() if "partial" not in k} == files(volume_store.path)
    assert again.hash == volume_store.hash


def test_several_sizes_and_what_a_store_refuses(volume_manifest: Manifest, tmp_path: Path) -> None:
    few = volume_manifest.select([0, 2])
    prepare(few, tmp_path / "store", [PREPROCESS, VolumePreprocess((8, 10, 12), 8)], workers=0)
    assert Store.open(tmp_path / "store").preprocess == PREPROCESS
    coarse = Store.open(tmp_path / "store", size="8x10x12")
    assert coarse.images([1]).shape == (1, 8, 10, 12)
    assert coarse.masks([1]).shape == (1, 1, 8, 10, 12)
    with pytest.raises(ValueError, match="holds images of 24, 8x10x12 pixels, none of 96"):
        Store.open(tmp_path / "store", size=96)
    with pytest.raises(ValueError, match="made with other preprocess"):
        prepare(few, tmp_path / "store", VolumePreprocess(24, 3), workers=0)
    with pytest.raises(ValueError, match="need VolumePreprocess; Preprocess is of the other kind"):
        prepare(few, tmp_path / "other", Preprocess(), workers=0)
    with pytest.raises(ValueError, match="two preprocessings have one size"):
        prepare(few, tmp_path / "other", [VolumePreprocess(24, 3), VolumePreprocess(24, 4)], workers=0)
    with pytest.raises(ValueError, match="holds CT volumes, and this works on radiographs"):
        _ = coarse.letterbox


def test_a_mixed_manifest_is_refused(volume_manifest: Manifest, small_manifest: Manifest, tmp_path: Path) -> None:
    tables = [volume_manifest.table, small_manifest.table.assign(patient_id="x" + small_manifest.table["patient_id"])]
    mixed = Manifest.concat(
        [Manifest(table.drop(columns=["split", "study_id"]).assign(study_id=table["image_id"])) for table in tables]
    )
    with pytest.raises(ValueError, match="mixes 8 radiographs and 5 volumes"):
        prepare(mixed, tmp_path / "store", workers=0)
    assert not (tmp_path / "store").exists()
    mixed.save(tmp_path / "m.csv")
    run = CliRunner().invoke(app, ["data", "prepare", str(tmp_path / "m.csv"), "-o", str(tmp_path / "store")])
    assert (run.exit_code, "--only volumes" in " ".join(run.output.split())) == (2, True)
    for only, count in (("volumes", 4), ("radiographs", 7)):
        arguments = ["-o", str(tmp_path / only), "--only", only, "--size", "16", "--workers", "0", "--json"]
        run = CliRunner().invoke(app, ["data", "prepare", str(tmp_path / "m.csv"), *arguments])
        assert (run.exit_code, json.loads(run.stdout)["images"]) == (1, count)


def test_shards_of_large_volumes_hold_few(volume_manifest: Manifest) -> None:
    assert (
        StoreLayout.from_manifest(
            volume_manifest, (VolumePreprocess((240, 480, 480), (1.5, 0.75, 0.75)),)
        ).images_a_shard
        == 1
    )
    assert StoreLayout.from_manifest(volume_manifest, (VolumePreprocess(96, 3),)).images_a_shard == 18


def test_batches_of_volumes(volume_store: Store) -> None:
    batches = list(loader(volume_store, train=False, batch_size=3).epoch(0))
    images = torch.cat([b.images for b in batches])
    assert (images.shape, images.dtype) == ((4, 1, 24, 24, 24), torch.float32)
    hounsfield = volume_store.images(volume_store.rows()).astype(np.float64)
    expected = (np.clip(hounsfield / 2000 + 0.5, 0, 1) - 0.3) / 0.25
    np.testing.assert_allclose(images[:, 0].numpy(), expected, atol=1e-5)
    assert torch.cat([b.findings for b in batches]).tolist() == volume_store.states(FINDINGS).tolist()


def test_training_batches_are_a_function_of_seed_epoch_and_step(volume_store: Store) -> None:
    one = list(loader(volume_store, seed=5).epoch(3))
    (last,) = loader(volume_store, seed=5, threads=4).epoch(3, start=1)
    assert torch.equal(one[1].images, last.images)
    shared = [next(loader(volume_store, seed=5, batch_size=1, rank=r, world_size=2).epoch(3)) for r in (0, 1)]
    assert torch.equal(one[0].images, torch.cat([b.images for b in shared]))
    for other in (loader(volume_store, seed=6).epoch(3), loader(volume_store, seed=5).epoch(4)):
        assert not torch.equal(next(other).images, one[0].images)
    still = VolumeAugment(shift=0, hounsfield=0, contrast=0)
    for batch in loader(volume_store, seed=5, augment=still).epoch(3):
        rows = [volume_store.table["image_id"].tolist().index(name) for name in batch.image_ids]
        plain = volume_store.preprocess.normalize(torch.from_numpy(volume_store.images(rows)))
        assert torch.allclose(batch.images, plain)
    with pytest.raises(ValueError, match="needs VolumeAugment; Augment is of the other kind"):
        loader(volume_store, augment=Augment())


def test_check_finds_a_copy_and_writes_a_page(volume_manifest: Manifest, tmp_path: Path) -> None:
    rows = volume_manifest.table.iloc[[0, 1, 2, 4]].copy()
    table = pd.concat([rows, rows.iloc[:1].assign(image_id="copy", study_id="copy", patient_id="p9", split="test")])
    store = prepare(Manifest(table), tmp_path / "store", PREPROCESS, workers=0)
    page = tmp_path / "check.html"
    run = CliRunner().invoke(app, ["data", "check", str(store.path), "-o", str(page), "--json"])
    assert run.exit_code == 1
    issues = {c["message"].split(":")[0]: c["rows"] for c in json.loads(run.stdout) if c["kind"] != "report"}
    assert issues == {"1 pairs of the same image in two splits": [[0, 4]]}
    assert page.read_text().count("data:image") > 4


@pytest.mark.parametrize("workers", ["0", "1"])
def test_no_identifier_of_a_header_survives(ct: SimpleNamespace, tmp_path: Path, workers: str) -> None:
    names = [f"scan{i}" for i in range(3)]
    for i, name in enumerate(names):
        ct.series(tmp_path / name, ct.phantom(i))
    broken = sorted((tmp_path / "scan2").iterdir())[3]
    broken.write_bytes(broken.read_bytes()[:-300])
    rows = dict.fromkeys(("patient_id", "study_id", "image_id"), names)
    table = pd.DataFrame(rows | {"path": [str(tmp_path / name) for name in names]})
    out = tmp_path / "out"
    out.mkdir()
    table.to_csv(out / "m.csv", index=False)
    size = ["--size", "24", "--spacing", "4x4x6", "--workers", workers]
    made = CliRunner().invoke(app, ["data", "prepare", str(out / "m.csv"), "-o", str(out / "store"), *size])
    seen = CliRunner().invoke(app, ["data", "check", str(out / "store"), "-o", str(out / "check.html")])
    assert (made.exit_code, seen.exit_code) == (1, 1)
    assert (len(Store.open(out / "store")), Store.open(out / "store").preprocess) == (2, PREPROCESS)
    everything = [p.read_bytes() for p in out.rglob("*") if p.is_file()] + [made.output.encode(), seen.output.encode()]
    cells = [pd.read_parquet(p).astype(str).to_csv().encode() for p in out.rglob("*.parquet")]
    for trace in ct.traces:
        for form in (trace.encode(), trace.lower().encode(), trace.encode("utf-16-le")):
            assert not any(form in data for data in everything + cells), trace


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "24x24"], "three with x between them"),
        (["--size", "24.5"], "not a whole number"),
        (["--spacing", "three"], "--spacing 'three' is not a number"),
        (["--size", "24", "--size", "32", "--size", "40", "--spacing", "3", "--spacing", "4"], "one for each size"),
        (["--only", "ct"], "'ct' is none of radiographs, volumes"),
    ],
)
def test_mistakes_say_what_to_do(arguments: list[str], message: str, volume_manifest: Manifest, tmp_path: Path) -> None:
    volume_manifest.save(tmp_path / "m.csv")
    run = CliRunner().invoke(app, ["data", "prepare", str(tmp_path / "m.csv"), "-o", str(tmp_path / "s"), *arguments])
    assert run.exit_code == 2
    assert message in " ".join(run.output.replace("│", " ").split())


def test_spacing_of_radiographs_is_a_mistake(small_manifest: Manifest, tmp_path: Path) -> None:
    small_manifest.save(tmp_path / "m.csv")
    arguments = [str(tmp_path / "m.csv"), "-o", str(tmp_path / "s"), "--spacing", "3"]
    run = CliRunner().invoke(app, ["data", "prepare", *arguments])
    assert (run.exit_code, "leave it out" in " ".join(run.output.split())) == (2, True)


def test_what_works_on_radiographs_says_so(volume_store: Store, tmp_path: Path) -> None:
    from medvlp.training import pretrain
    from medvlp.training.model_folder import PreprocessingError, check_preprocessing
    from medvlp.training.recipe import Recipe
    from medvlp.training.recipe_errors import RecipeError

    with pytest.raises(PreprocessingError, match="kind: CT volume in HU against radiograph letterbox"):
        check_preprocessing(volume_store, Preprocess())
    text = f"method: unimodal\nfindings: [emphysema]\ndata: {{store: {volume_store.path}}}\n"
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError, match="holds CT volumes, and this works on radiographs"):
        pretrain(Recipe.load(tmp_path / "recipe.yaml"), tmp_path / "run", progress=False)
