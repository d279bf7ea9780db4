"""A folder of the Medical Segmentation Decathlon, or any folder with a `dataset.json` of MONAI's form.

Layout: `dataset.json` with `modality`, `labels` and lists `training`, `validation`, `test`; an entry is a path or
`{"image": ..., "label": ...}`.

Known, and handled here: the official test images have no labels; each label value becomes a mask `mask_<name>`; files
that begin with `._` are left-overs of an archive; one image a patient.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from medvlp.data.indexing import assemble, find_file, register_source
from medvlp.data.manifest import Manifest, splits_by_patient

_LISTS = {"training": "train", "validation": "validate", "test": "test"}
_MODALITIES = {"CT": "CT", "MRI": "MR", "MR": "MR"}


@register_source("msd")
def manifest(root: Path) -> Manifest:
    """Index the volumes; validation is drawn from the training list where the file has no list of its own."""
    root = Path(root).absolute()
    content = json.loads(find_file(root, ["dataset.json", "dataset*.json"]).read_text())
    labels = {value: _name(name) for value, name in _pairs(content.get("labels", {})) if value != "0"}
    rows = []
    for part, split in _LISTS.items():
        for entry in content.get(part, []):
            image, label = (entry, "") if isinstance(entry, str) else (entry["image"], entry.get("label", ""))
            if not Path(image).name.startswith("._"):
                rows.append((str((root / image).resolve()), str((root / label).resolve()) if label else "", split))
    names = [re.sub(r"\.nii(\.gz)?$", "", Path(path).name) for path, _, _ in rows]
    splits = [split for _, _, split in rows]
    if not content.get("validation"):
        drawn = splits_by_patient(names, (0.8, 0.2, 0.0))
        splits = [d if s == "train" else s for s, d in zip(splits, drawn, strict=True)]
    modality = next(iter(content.get("modality", {"0": ""}).values()))
    prefix = _name(content.get("name", root.name))
    columns: dict[str, object] = {
        **{column: [f"{prefix}-{name}" for name in names] for column in ("patient_id", "study_id", "image_id")},
        "path": [path for path, _, _ in rows],
        "modality": _MODALITIES.get(str(modality).upper(), "OT"),
        "split": splits,
    }
    for value, name in labels.items():
        columns[f"mask_{name}"] = [f"{label}#{value}" if label else "" for _, label, _ in rows]
    return assemble("msd", columns)


def _pairs(labels: dict) -> list[tuple[str, str]]:
    """Value and name; both `{"1": "liver"}` and `{"liver": 1}` are in use."""
    return [(k, v) if str(k).isdigit() else (str(v), k) for k, v in labels.items()]


def _name(text: str) -> str:
    return re.sub(r"\W+", "_", text.strip().lower()).strip("_")
