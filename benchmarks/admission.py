"""How many pictures that are no chest radiographs a model refuses or flags, and how many held-out radiographs it flags.

    nice python benchmarks/admission.py --data ../shared/data --out /tmp/admission

Trains `unimodal` on nih_cxr and pediatric_pneumonia for at most --minutes (a model that is there is taken), then asks
the admission step about: figures of roco whose caption names another modality or body part, all files of dicom/ but its
CR and DX objects, drawn photographs, and held-out radiographs of both training sets. Targets: at least 95 % of the
former refused or flagged, at most 2 % of the latter.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image as Picture
from PIL import ImageDraw

from medvlp.data import Manifest, Preprocess, Store, prepare
from medvlp.data.indexing import index_data_set
from medvlp.data.manifest import splits_by_patient
from medvlp.io import Image, ReadError, read_image
from medvlp.io.radiograph_header import RADIOGRAPHS
from medvlp.tasks import Model, load
from medvlp.training.recipe import Recipe

SHARES = {"nih_cxr": (0.6, 0.15, 0.25), "pediatric_pneumonia": (0.7, 0.1, 0.2)}
RECIPE = """
method: unimodal
findings: [pneumonia, atelectasis, pleural_effusion, infiltration, edema, cardiomegaly, consolidation, no_finding]
data: {{store: {store}, batch_size: 32, sampling_weights: {{nih_cxr: 6, pediatric_pneumonia: 0.3}}}}
image_encoder: {{name: resnet10t, dim: 256, pretrained: false}}
training: {{keep: last, epochs: 100, max_minutes: {minutes}, learning_rate: 1.0e-3, warmup_steps: 30}}
"""
# Captions of roco, in lower case.
OTHER_MODALITY = (
    r"\b(?:ct|cts|tomogra\w*|mri|mr|magnetic|ultraso\w*|sonogra\w*|echocardio\w*|doppler|mammogra\w*|pet|scintigra\w*|"
    r"angiogra\w*|panoramic|orthopantomo\w*|endoscop\w*|fluorosc\w*|spect|axial|sagittal|coronal|t1|t2|flair|hrct|cbct)\b"
)
OTHER_PART = (
    r"\b(?:knee|hip|pelvis|pelvic|femur|femoral|tibia\w*|ankle|foot|hand|wrist|elbow|humer\w*|shoulder|skull|dental|tooth|"
    r"teeth|molar|lumbar|cervical|abdom\w*|periapical|ulna)\b"
)
CHEST = r"\b(?:chest|thorax|thoracic|lung|lungs|pulmonary|cxr|pleural|pneumo\w*|cardiomegaly|heart)\b"
PLAIN = r"(?:x[- ]?ray|radiograph|roentgen|cxr|plain film|radiogram|radiolog)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("/tmp/admission"))
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--model", type=Path, help="a trained model instead of one of --out")
    given = parser.parse_args()
    model, store = trained_model(given.data, given.out, given.minutes, given.model)
    table = pd.read_csv(given.data / "roco" / "captions.csv")
    figures = [given.data / "roco" / path for path in table["image"][other_captions(table["caption"])]]
    groups = {
        "roco figures": share_stopped(model, figures),
        "dicom files": share_stopped(model, other_files(given.data / "dicom")),
        "drawn photographs": share_stopped(model, photographs(200)),
    }
    for source in SHARES:
        rows = store.rows("test")
        rows = rows[store.table["source"].to_numpy(object)[rows] == source]
        images = [Image(pixels.astype(np.float32) / 255) for pixels in store.images(rows)]
        groups[f"held-out {source}"] = share_stopped(model, images)
    for name, (stopped, count) in groups.items():
        print(f"{name:32} {stopped:4d} of {count:4d} refused or flagged ({stopped / max(count, 1):.1%})")
    total = [sum(each) for each in zip(*list(groups.values())[:3], strict=True)]
    print(f"{'no chest radiographs, all':32} {total[0]:4d} of {total[1]:4d} ({total[0] / total[1]:.1%}; target 95 %)")
    held = [sum(each) for each in zip(*list(groups.values())[3:], strict=True)]
    print(
        f"{'held-out radiographs, all':32} {held[0]:4d} of {held[1]:4d} ({held[0] / held[1]:.1%}; target at most 2 %)"
    )


def trained_model(data: Path, out: Path, minutes: float, folder: Path | None) -> tuple[Model, Store]:
    """The store and the model, made where they are not there yet."""
    from medvlp.training.pretraining import pretrain

    if not (out / "store").is_dir():
        parts = []
        for source, shares in SHARES.items():
            table = index_data_set(source, data / source).table
            parts.append(Manifest(table.assign(split=splits_by_patient(table["patient_id"], shares))))
        prepare(Manifest.concat(parts), out / "store", Preprocess(size=128))
    folder = folder or out / "model"
    if not (folder / "card.json").exists():
        pretrain(Recipe.from_yaml(RECIPE.format(store=out / "store", minutes=minutes)), folder)
    return load(folder, "cpu"), Store.open(out / "store")


def other_captions(captions: pd.Series) -> pd.Series:
    """Which captions say that a figure is something else than a chest radiograph."""
    words = captions.fillna("").str.lower()
    chest_film = words.str.contains(CHEST) & words.str.contains(PLAIN)
    other = words.str.contains(OTHER_MODALITY) | (words.str.contains(OTHER_PART) & ~words.str.contains(CHEST))
    return other & ~chest_film


def other_files(folder: Path) -> list[Path]:
    """Files that are no radiographs by their own header, among them those that cannot be read."""
    kept = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            if read_image(path).modality in RADIOGRAPHS:
                continue
        except ReadError:
            pass
        kept.append(path)
    return kept


def photographs(count: int) -> Iterable[Image]:
    """Gray scenes drawn by chance: a sky, hills, houses, a sun, faces of two circles, and grain."""
    for seed in range(count):
        random = np.random.default_rng(seed)
        side = int(random.integers(200, 500))
        scene = Picture.new("L", (side, side), int(random.integers(120, 255)))
        pen = ImageDraw.Draw(scene)
        for _ in range(int(random.integers(3, 20))):
            x, y = random.integers(0, side, 2).tolist()
            w, h = random.integers(side // 12, side // 2, 2).tolist()
            tone = int(random.integers(0, 255))
            shape = random.integers(3)
            if shape == 0:
                pen.rectangle((x, y, x + w, y + h), fill=tone)
            elif shape == 1:
                pen.ellipse((x, y, x + w, y + w), fill=tone)
            else:
                pen.polygon([(x, y), (x + w, y), (x + w // 2, y - h)], fill=tone)
        grain = random.normal(0, random.uniform(1, 12), (side, side))
        yield Image((np.asarray(scene, np.float32) + grain).clip(0, 255).astype(np.float32) / 255)


def share_stopped(model: Model, sources: Iterable[str | Path | Image]) -> tuple[int, int]:
    """How many are refused or flagged, and how many there are."""
    table = model.label(list(sources))
    stopped = (table["status"] != "ok") | table["remark"].str.contains("unlike|in color", regex=True)
    return int(stopped.sum()), len(table)


if __name__ == "__main__":
    main()
