"""How fast a prepared radiograph is read, against decoding and resizing it each time.

    OMP_NUM_THREADS=1 python benchmarks/store_read.py --images 2048 --size 224 --out store_read.json

The store is made of generated radiographs of the size of a hospital's (3056 x 2544), as JPEG and as 12-bit DICOM.
Measured in CPU time of one thread, so that other work on the machine matters little, and in batches of 64 in random
order:

- read: pixels out of the memory map;
- read, augment: also crop, rotation, tone and noise, normalized to a tensor, as training takes them;
- decode JPEG: what most code of the field does in each epoch: Pillow decodes the full file, reduces it, augments it;
- decode DICOM: `read_image` and the letterbox.

Targets: read and augment at least 1,500 images a second and core, and at least 50 times the rate of decode JPEG.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image as PillowImage
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from medvlp.data import Augment, Manifest, Preprocess, Store, prepare
from medvlp.data.image_statistics import FRONTAL_CHEST
from medvlp.io import read_image

BATCH = 64
FULL = (3056, 2544)
FILES = 6  # distinct full-size files; rows of the store repeat them
NOISE = 24  # of 4,095: makes JPEG files of the mean size of MIMIC-CXR-JPG, 1.5 MB (557 GB of 377,110)


def radiograph(seed: int) -> np.ndarray:
    """12-bit pixels with the light of a chest, structures of all sizes and the noise of a detector."""
    random = np.random.default_rng(seed)
    pixels = np.asarray(PillowImage.fromarray(FRONTAL_CHEST).resize(FULL[::-1], PillowImage.Resampling.BICUBIC)) * 12
    for cells in (20, 80, 320):
        own = random.normal(0, 2000 / cells, (cells, cells)).astype(np.float32)
        pixels = pixels + np.asarray(PillowImage.fromarray(own).resize(FULL[::-1], PillowImage.Resampling.BICUBIC))
    return np.clip(pixels + random.normal(0, NOISE, FULL), 0, 4095).astype(np.uint16)


def write_dicom(path: Path, pixels: np.ndarray) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, data.PhotometricInterpretation, data.SamplesPerPixel = "DX", "MONOCHROME2", 1
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.WindowCenter, data.WindowWidth = 2048, 4096
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)


def make_files(folder: Path) -> tuple[list[Path], list[Path]]:
    jpegs, dicoms = [], []
    for i in range(FILES):
        pixels = radiograph(i)
        jpegs.append(folder / f"{i}.jpg")
        dicoms.append(folder / f"{i}.dcm")
        PillowImage.fromarray((pixels >> 4).astype(np.uint8)).save(jpegs[-1], quality=95)
        write_dicom(dicoms[-1], pixels)
    return jpegs, dicoms


def make_store(folder: Path, files: list[Path], images: int, size: int) -> Store:
    names = [f"{i:06d}" for i in range(images)]
    rows = {"patient_id": names, "study_id": names, "image_id": names, "split": "train"}
    small = []
    for path in files:  # reduced once here: what is measured is reading, not preparing
        small.append(path.with_suffix(".png"))
        PillowImage.fromarray(Preprocess(size=size).apply(read_image(path))).save(small[-1])
    paths = [str(small[i % len(small)]) for i in range(images)]
    return prepare(Manifest(pd.DataFrame(rows | {"path": paths})), folder / "store", Preprocess(size=size))


def rate(work: Callable[[int], int], seconds: float) -> float:
    """Images a second of CPU time: `work(i)` does its i-th piece and returns how many images that was."""
    work(0)
    done, step, start = 0, 1, time.process_time()
    while time.process_time() - start < seconds:
        done += work(step)
        step += 1
    return done / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seconds", type=float, default=5.0, help="CPU time for each measurement")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    augment, preprocess = Augment(), Preprocess(size=options.size)
    with tempfile.TemporaryDirectory() as folder:
        jpegs, dicoms = make_files(Path(folder))
        store = make_store(Path(folder), jpegs, options.images, options.size)

        def rows(step: int) -> np.ndarray:
            return np.random.default_rng(step).choice(len(store), BATCH)

        def tensors(pixels: np.ndarray, step: int) -> int:
            made = augment.draw(len(pixels), np.random.default_rng(step)).images(pixels)
            return len(store.preprocess.normalize(made))

        def decode_jpeg(step: int) -> int:
            path = jpegs[step % FILES]
            with PillowImage.open(path) as picture:
                small = picture.resize((options.size, options.size), PillowImage.Resampling.BILINEAR)
            return tensors(np.asarray(small)[None], step)

        def decode_dicom(step: int) -> int:
            return tensors(preprocess.apply(read_image(dicoms[step % FILES]))[None], step)

        rates = {
            "read": rate(lambda step: len(store.images(rows(step))), options.seconds),
            "read, augment": rate(lambda step: tensors(store.images(rows(step)), step), options.seconds),
            "decode JPEG": rate(decode_jpeg, options.seconds),
            "decode DICOM": rate(decode_dicom, options.seconds),
        }
        megabytes = {"JPEG": jpegs[0].stat().st_size / 1e6, "DICOM": dicoms[0].stat().st_size / 1e6}
    for name, value in rates.items():
        print(f"{name:14s} {value:10.0f} images a second of CPU time")
    ratio = rates["read, augment"] / rates["decode JPEG"]
    print(f"read and augment is {ratio:.0f} times decode JPEG ({megabytes['JPEG']:.1f} MB a file)")
    if options.out:
        result = {
            "rates": rates,
            "ratio": ratio,
            "megabytes": megabytes,
            "size": options.size,
            "images": options.images,
        }
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
