"""What preparing and reading CT volumes costs: seconds and memory a volume, volumes and crops read a second.

    python benchmarks/volume_store.py
    python benchmarks/volume_store.py --slices 600 --files 6 --workers 2 --out volume_store.json

Chest-like CTs (512 x 512 pixels of 0.7 mm, slices of 1 mm, noise of 30 HU) are made as `.nii.gz` and prepared as a user
prepares them, at 96 voxels of 3 mm and at 240 x 480 x 480 of 1.5 x 0.75 x 0.75 mm, while the processes are watched.
Reading is measured on the prepared volumes, which lie in the page cache: whole, whole with augmentation and window, and
a random crop of a quarter of each axis. `decode` is what a loader does that reads and resamples the file each time.
Targets: at 96 voxels, reading with augmentation at least 50 times as fast as that; below 2 GiB a process.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import torch
from prepare_scale import watched

from medvlp.data import Manifest, Store, VolumeAugment
from medvlp.io import read_volume

BATCH = 4


def write_ct(path: Path, slices: int, seed: int) -> None:
    """A body with two lungs in air, `[512, 512, slices]` as NIfTI stores it."""
    random = np.random.default_rng(seed)
    across, down = np.meshgrid(np.arange(512) - 256, np.arange(512) - 256, indexing="ij")
    plane = np.where((across / 230) ** 2 + (down / 160) ** 2 < 1, 40, -1000)
    for side in (-1, 1):
        plane[((across - side * 100) / 75) ** 2 + (down / 110) ** 2 < 1] = -850
    noise = random.normal(0, 30, (8, 512, 512))
    volume = np.stack([plane + noise[k % 8] for k in range(slices)], axis=2).astype(np.int16)
    affine = np.diag([0.7, 0.7, 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(volume, affine), path)


def rate(work: Callable[[int], int], seconds: float) -> float:
    """Volumes a second of CPU time."""
    work(0)
    done, step, start = 0, 1, time.process_time()
    while time.process_time() - start < seconds or not done:
        done += work(step)
        step += 1
    return done / (time.process_time() - start)


def reading(store: Store, files: list[Path], seconds: float) -> dict[str, float]:
    """What reading a prepared store costs, and what decoding each time costs instead."""
    augment, shape = VolumeAugment(), store.preprocess.shape

    def rows(step: int) -> np.ndarray:
        return np.random.default_rng(step).choice(len(store), BATCH)

    def tensors(pixels: np.ndarray, step: int) -> int:
        made = augment.draw(len(pixels), np.random.default_rng(step)).images(pixels)
        return len(store.preprocess.normalize(made))

    def crop(step: int) -> int:
        corner = np.random.default_rng(step).integers(0, [3 * n // 4 for n in shape])
        return len(store.images(rows(step), tuple(slice(a, a + n // 4) for a, n in zip(corner, shape, strict=True))))

    def decode(step: int) -> int:
        return tensors(store.preprocess.apply(read_volume(files[step % len(files)]))[None], step)

    return {
        "whole": rate(lambda step: len(store.images(rows(step))), seconds),
        "whole, augmented": rate(lambda step: tensors(store.images(rows(step)), step), seconds),
        "crop of a quarter": rate(crop, seconds),
        "decode": rate(decode, seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU time for each measurement of reading")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, help="where to work; default a temporary folder")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        files = [folder / f"ct{i}.nii.gz" for i in range(options.files)]
        for i, path in enumerate(files):
            write_ct(path, options.slices, i)
        names = [path.name for path in files]
        ids = {"patient_id": names, "study_id": names, "image_id": names}
        manifest = Manifest(pd.DataFrame(ids | {"path": [str(path) for path in files], "modality": "CT"}))
        manifest.save(folder / "m.parquet")
        for size, spacing in (("96", "3"), ("240x480x480", "1.5x0.75x0.75")):
            out = folder / f"store-{size}"
            arguments = ["--size", size, "--spacing", spacing, "--workers", str(options.workers)]
            seen = watched(["data", "prepare", str(folder / "m.parquet"), "-o", str(out), *arguments])
            store = Store.open(out)
            mib = sum(path.stat().st_size for path in (out / f"images-{size}").iterdir()) / 2**20
            result[size] = {
                "prepare, CPU s a volume": seen["cpu"] / len(files),
                "worker, peak MiB": seen["worker_mib"],
                "parent, peak MiB": seen["parent_mib"],
                "disk, MiB a volume": mib / len(files),
                **{f"{what}, volumes a CPU s": value for what, value in reading(store, files, options.seconds).items()},
            }
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps({**result, "slices": options.slices}, indent=1) + "\n")


if __name__ == "__main__":
    main()
