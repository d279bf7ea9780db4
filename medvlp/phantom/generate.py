"""`generate`: write an archive of phantom studies, patient by patient, in several processes."""

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
from medvlp.phantom.patients import DiseaseModel, Patient, Study, sample_patient
from medvlp.phantom.render import RenderedView, render_view
from medvlp.phantom.report import write_report

NOTICE = "Generated data: drawn by medvlp, of no real person. Not for clinical use."


@dataclass(frozen=True)
class PhantomConfig:
    """All settings that determine the patients of an archive.

    Attributes:
        seed: of all random numbers.
        size: rows and columns of the images.
        studies_per_patient: fewest and most.
        split: fractions of train, validate and test, by patient.
        rle: fraction of files that are RLE compressed.
        severity: least and greatest level of a lesion, from 0 (subtle) to 1; a narrow range is easier to learn.
        prevalence: factor on the rate of every finding, above 0 and at most 4.

    Raises:
        ValueError: a value is out of range.

    Examples:
        >>> patient = PhantomConfig(seed=4, size=64).patient(7)
        >>> [sorted(study.findings) for study in patient.studies]
        [['atelectasis', 'pneumothorax', 'rib_fracture']]
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
        """Patient `index`; it does not depend on how many others are generated."""
        disease = DiseaseModel(self.severity, self.prevalence)
        return sample_patient(self.seed, index, self.studies_per_patient, self.split, disease)

    def render(self, patient: Patient, study: Study, view: int) -> RenderedView:
        """Render one view of a study."""
        key = (self.seed, patient.index, study.number, view)
        return render_view(key, patient.anatomy, study.lesions, study.views[view], self.size)


@dataclass
class _Rows:
    """The rows of one patient in each table."""

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

    The bytes depend on the settings of `PhantomConfig` alone, and patient k on neither the number of patients nor of
    workers.

    Args:
        root: folder to write; created when missing. One that holds the same archive, whole or in part, is overwritten.
        patients: how many.
        seed, size, studies_per_patient, split, rle, severity, prevalence: as in `PhantomConfig`.
        workers: processes; by default one for each core. More than one needs an importable `__main__`.
        progress: called with the number of patients that are finished.

    Returns:
        `root`.

    Raises:
        ValueError: an argument is out of range.
        FileExistsError: `root` holds other files, or a phantom with other settings.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     root = generate(folder, patients=1, size=64, workers=1)
        ...     sorted(p.name for p in root.iterdir())[0]
        'files'
    """
    if patients < 1:
        raise ValueError(f"patients is at least 1; got {patients}")
    root, config = Path(root), PhantomConfig(seed, size, studies_per_patient, split, rle, severity, prevalence)
    description = {"generated": True, "notice": NOTICE, "patients": patients, **asdict(config), "findings": FINDINGS}
    _write_description(root, json.dumps(description, indent=2) + "\n")
    write = partial(_write_patient, root, config)
    total = _Rows()
    for done, rows in enumerate(_map_patients(write, patients, workers or os.cpu_count() or 1), start=1):
        for name, values in vars(rows).items():
            getattr(total, name).extend(values)
        if progress:
            progress(done)
    _write_tables(root, total)
    return root


def _write_description(root: Path, description: str) -> None:
    """Write the description first, so that an interrupted run is recognized and can be repeated."""
    mine = root / "phantom.json"
    if mine.exists() and mine.read_text() != description:
        raise FileExistsError(f"{root} holds a phantom with other settings; give an empty or a new folder")
    if not mine.exists() and root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} holds other files; give an empty or a new folder")
    (root / "truth" / "masks").mkdir(parents=True, exist_ok=True)
    mine.write_text(description)


def _map_patients(write: Callable[[int], _Rows], patients: int, workers: int) -> Iterator[_Rows]:
    if workers == 1:
        yield from map(write, range(patients))
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _limit_threads) as pool:
        yield from pool.map(write, range(patients), chunksize=4)


def _limit_threads() -> None:
    """One BLAS thread in each worker: with more, two workers on two cores were 2.8 times as slow."""
    threadpool_limits(1)


def _write_patient(root: Path, config: PhantomConfig, index: int) -> _Rows:
    """Write the files of one patient and return the rows for the tables."""
    patient, rows = config.patient(index), _Rows()
    folder = layout.patient_folder(root, patient)
    for study in patient.studies:
        report = write_report(config.seed, patient, study)
        (folder / f"s{study.number}").mkdir(parents=True, exist_ok=True)
        (folder / f"s{study.number}.txt").write_text(report.text)
        rows.chexpert.append(layout.chexpert_row(patient, study, report))
        rows.studies.append(layout.study_row(patient, study, report.findings))
        rows.sentences.extend(layout.sentence_rows(study, report))
        for view in range(len(study.views)):
            _write_view(root, folder, config, patient, study, view, rows)
    return rows


def _write_view(
    root: Path, folder: Path, config: PhantomConfig, patient: Patient, study: Study, view: int, rows: _Rows
) -> None:
    name = study.views[view]
    image = layout.dicom_id(config.seed, patient, study, view)
    rendered = config.render(patient, study, view)
    key = (config.seed, patient.index, study.number, view)
    rng = np.random.default_rng([*key, 6])
    write_dicom(
        folder / f"s{study.number}" / f"{image}.dcm",
        rendered.image,
        rendered.projection,
        key=key,
        subject=patient.number,
        study=study.number,
        day=study.day,
        time=layout.study_time(study),
        rng=rng,
        compress=bool(rng.random() < config.rle),
    )
    masks: dict[str, Any] = dict(rendered.masks())
    np.savez_compressed(root / "truth" / "masks" / f"{image}.npz", **masks)
    rows.metadata.append(layout.metadata_row(patient, study, image, name, config.size))
    rows.split.append(dict(zip(layout.SPLIT, (image, study.number, patient.number, patient.split), strict=True)))
    rows.images.append(layout.image_row(patient, study, image, name, {s.lesion.finding for s in rendered.visible}))
    for s in rendered.visible:
        rows.objects.append(
            {
                "image_id": image,
                "finding": s.lesion.finding,
                "side": s.lesion.side,
                "place": s.lesion.place,
                "severity": s.lesion.severity,
                "size_mm": round(max(s.box[2] - s.box[0], s.box[3] - s.box[1]) * rendered.projection.pitch, 1),
                "box": list(s.box),
            }
        )


def _write_tables(root: Path, rows: _Rows) -> None:
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
