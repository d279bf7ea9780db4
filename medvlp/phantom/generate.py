"""`generate`: a whole archive of phantom studies, patient by patient, in as many processes as asked."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from medvlp.phantom import layout
from medvlp.phantom.dicom import write_dicom
from medvlp.phantom.findings import FINDINGS
from medvlp.phantom.patients import Illness, Patient, Study, make_patient
from medvlp.phantom.render import Picture, take
from medvlp.phantom.report import write_report

NOTICE = "Generated data: drawn by medvlp, of no real person. Not for clinical use."


@dataclass(frozen=True)
class World:
    """What decides every patient of an archive.

    Attributes:
        seed: of everything at random.
        size: rows and columns of the pictures.
        studies_per_patient: fewest and most.
        split: shares of train, validate and test, by patient.
        rle: share of files that are RLE compressed.
        severity: least and greatest level of a lesion, within 0 (subtle) and 1; a narrow range makes an easier world.
        prevalence: factor on the rate of every finding.
    """

    seed: int = 0
    size: int = 256
    studies_per_patient: tuple[int, int] = (1, 3)
    split: tuple[float, float, float] = (0.7, 0.1, 0.2)
    rle: float = 0.0
    severity: tuple[float, float] = (0.0, 1.0)
    prevalence: float = 1.0

    def __post_init__(self) -> None:
        low, high = self.studies_per_patient
        if not 1 <= low <= high <= 64:
            raise ValueError(f"studies_per_patient is (fewest, most) between 1 and 64; got {self.studies_per_patient}")
        if not 64 <= self.size <= 4096:
            raise ValueError(f"size is between 64 and 4096 pixels; got {self.size}")
        if len(self.split) != 3 or min(self.split) < 0 or abs(sum(self.split) - 1) > 1e-6:
            raise ValueError(f"split is three shares (train, validate, test) that sum to 1; got {self.split}")
        if not 0 <= self.severity[0] <= self.severity[1] <= 1:
            raise ValueError(f"severity is (least, greatest) between 0 and 1; got {self.severity}")
        if not 0 < self.prevalence <= 4:
            raise ValueError(f"prevalence is above 0 and at most 4; got {self.prevalence}")

    def patient(self, index: int) -> Patient:
        """Patient `index`, the same however many are made."""
        illness = Illness(self.severity, self.prevalence)
        return make_patient(self.seed, index, self.studies_per_patient, self.split, illness)

    def picture(self, patient: Patient, study: Study, view: int) -> Picture:
        """One view of one visit."""
        key = (self.seed, patient.index, study.number, view)
        return take(key, patient.anatomy, study.lesions, study.views[view], self.size)


@dataclass
class Rows:
    """What one patient adds to each table."""

    metadata: list[layout.Row] = field(default_factory=list)
    split: list[layout.Row] = field(default_factory=list)
    chexpert: list[layout.Row] = field(default_factory=list)
    images: list[layout.Row] = field(default_factory=list)
    studies: list[layout.Row] = field(default_factory=list)
    objects: list[layout.Row] = field(default_factory=list)
    sentences: list[layout.Row] = field(default_factory=list)


def generate(
    root: str | Path,
    patients: int = 200,
    seed: int = 0,
    size: int = 256,
    *,
    workers: int | None = None,
    studies_per_patient: tuple[int, int] = (1, 3),
    split: tuple[float, float, float] = (0.7, 0.1, 0.2),
    rle: float = 0.0,
    severity: tuple[float, float] = (0.0, 1.0),
    prevalence: float = 1.0,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write an archive of generated studies in the layout of MIMIC-CXR, with its ground truth.

    The bytes depend on what `World` holds alone, and patient k is the same however many patients or workers there are.

    Args:
        root: folder to write; made when missing. One that holds the same archive, whole or in part, is written again.
        patients: how many.
        seed, size, studies_per_patient, split, rle, severity, prevalence: as in `World`.
        workers: processes; by default one for each core. More than one needs an importable `__main__`, as ever.
        progress: called with the number of patients that are finished.

    Returns:
        `root`.

    Raises:
        ValueError: an argument is out of range.
        FileExistsError: `root` holds other files, or a phantom with other settings.
    """
    if patients < 1:
        raise ValueError(f"patients is at least 1; got {patients}")
    root, world = Path(root), World(seed, size, studies_per_patient, split, rle, severity, prevalence)
    description = {"generated": True, "notice": NOTICE, "patients": patients, **asdict(world), "findings": FINDINGS}
    _claim(root, json.dumps(description, indent=2) + "\n")
    write = partial(write_patient, root, world)
    total = Rows()
    for done, rows in enumerate(_spread(write, patients, workers or os.cpu_count() or 1), start=1):
        for name, values in vars(rows).items():
            getattr(total, name).extend(values)
        if progress:
            progress(done)
    _write_tables(root, total)
    return root


def _claim(root: Path, description: str) -> None:
    """Make the folder ours: its description is written first, so that an interrupted run can be told and repeated."""
    mine = root / "phantom.json"
    if mine.exists() and mine.read_text() != description:
        raise FileExistsError(f"{root} holds a phantom with other settings; give an empty or a new folder")
    if not mine.exists() and root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} holds other files; give an empty or a new folder")
    (root / "truth" / "masks").mkdir(parents=True, exist_ok=True)
    mine.write_text(description)


def _spread(write: Callable[[int], Rows], patients: int, workers: int) -> Iterator[Rows]:
    if workers == 1:
        yield from map(write, range(patients))
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _keep_to_one_core) as pool:
        yield from pool.map(write, range(patients), chunksize=4)


def _keep_to_one_core() -> None:
    """Without BLAS threads in each worker: with them, two workers on two cores were 2.8 times as slow."""
    threadpool_limits(1)


def write_patient(root: Path, world: World, index: int) -> Rows:
    """Write the files of one patient and return the rows for the tables."""
    patient, rows = world.patient(index), Rows()
    folder = layout.patient_folder(root, patient)
    for study in patient.studies:
        report = write_report(world.seed, patient, study)
        (folder / f"s{study.number}").mkdir(parents=True, exist_ok=True)
        (folder / f"s{study.number}.txt").write_text(report.text)
        rows.chexpert.append(layout.chexpert_row(patient, study, report))
        rows.studies.append(layout.study_row(patient, study, report.statements))
        rows.sentences.extend(layout.sentence_rows(study, report))
        for view in range(len(study.views)):
            _write_view(root, folder, world, patient, study, view, rows)
    return rows


def _write_view(root: Path, folder: Path, world: World, patient: Patient, study: Study, view: int, rows: Rows) -> None:
    name = study.views[view]
    image = layout.dicom_id(world.seed, patient, study, view)
    picture = world.picture(patient, study, view)
    key = (world.seed, patient.index, study.number, view)
    rng = np.random.default_rng([*key, 6])
    write_dicom(
        folder / f"s{study.number}" / f"{image}.dcm",
        picture.image,
        picture.projection,
        key=key,
        subject=patient.number,
        study=study.number,
        day=study.day,
        time=layout.study_time(study),
        rng=rng,
        compress=bool(rng.random() < world.rle),
    )
    masks: dict[str, Any] = dict(picture.masks())
    np.savez_compressed(root / "truth" / "masks" / f"{image}.npz", **masks)
    rows.metadata.append(layout.metadata_row(patient, study, image, name, world.size))
    rows.split.append(dict(zip(layout.SPLIT, (image, study.number, patient.number, patient.split), strict=True)))
    rows.images.append(layout.image_row(patient, study, image, name, {s.lesion.finding for s in picture.seen}))
    for s in picture.seen:
        rows.objects.append(
            {
                "image_id": image,
                "finding": s.lesion.finding,
                "side": s.lesion.side,
                "place": s.lesion.place,
                "severity": s.lesion.severity,
                "size_mm": round(max(s.box[2] - s.box[0], s.box[3] - s.box[1]) * picture.projection.pitch, 1),
                "box": list(s.box),
            }
        )


def _write_tables(root: Path, rows: Rows) -> None:
    chexpert = ("subject_id", "study_id", *layout.CHEXPERT)
    for name, values, columns in (
        ("metadata", rows.metadata, layout.METADATA),
        ("split", rows.split, layout.SPLIT),
        ("chexpert", rows.chexpert, chexpert),
    ):
        # no time stamp in the header, so that the same archive has the same bytes
        data = gzip.compress(_csv(values, columns).encode(), mtime=0)
        (root / f"mimic-cxr-2.0.0-{name}.csv.gz").write_bytes(data)
    truth = root / "truth"
    (truth / "images.csv").write_text(_csv(rows.images, tuple(rows.images[0])))
    (truth / "studies.csv").write_text(_csv(rows.studies, tuple(rows.studies[0])))
    (truth / "objects.jsonl").write_text(_lines(rows.objects))
    (truth / "sentences.jsonl").write_text(_lines(rows.sentences))


def _csv(rows: Iterable[layout.Row], columns: tuple[str, ...]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _lines(rows: Iterable[layout.Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
