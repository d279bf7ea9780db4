"""A small data set on disk: 8 pictures of 4 patients, one broken, with reports, labels and a mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medvlp.data import Manifest, Store, prepare

REPORTS = [
    "FINDINGS: There is a small left pleural effusion. No pneumothorax.\nIMPRESSION: Small left pleural effusion.",
    "FINDINGS: The lungs are clear. No pleural effusion. No pneumothorax.\nIMPRESSION: No acute process.",
    "",
    "FINDINGS: Possible pneumonia in the right lower lobe.\nIMPRESSION: Possible pneumonia.",
]


@pytest.fixture(scope="session")
def small_table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Rows of a manifest whose sixth image is cut off in the middle."""
    folder = tmp_path_factory.mktemp("small")
    random = np.random.default_rng(0)
    rows = []
    for i in range(8):
        patient = i // 2
        path = folder / f"image{i}.png"
        height, width = (60, 80) if i % 2 else (80, 60)
        Image.fromarray(random.integers(0, 256, (height, width), np.uint8)).save(path)
        rows.append(
            {
                "patient_id": f"p{patient}",
                "study_id": f"s{i // 2}",
                "image_id": f"image{i}",
                "path": str(path),
                "view": "LATERAL" if i % 2 else "PA",
                "split": "test" if patient == 3 else "train",
                "report": REPORTS[patient],
                "source": "a" if patient < 3 else "b",
                "cardiomegaly": ["1", "0", "u", ""][patient] if patient < 3 else "",
                "mask_lungs": "",
            }
        )
    broken = Path(rows[5]["path"])
    broken.write_bytes(broken.read_bytes()[:300])
    mask = np.zeros((80, 60), bool)
    mask[20:60, 15:45] = True
    np.savez(folder / "mask0.npz", lungs=mask)
    rows[0]["mask_lungs"] = str(folder / "mask0.npz#lungs")
    rows[2]["mask_lungs"] = str(folder / "absent.npz#lungs")
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def small_manifest(small_table: pd.DataFrame) -> Manifest:
    return Manifest(small_table)


@pytest.fixture(scope="session")
def small_store(small_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    from medvlp.data import Preprocess

    return prepare(small_manifest, tmp_path_factory.mktemp("store") / "small", Preprocess(size=32), workers=0)
