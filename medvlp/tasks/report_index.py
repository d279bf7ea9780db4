"""`ReportIndex`: vectors of reports and images in a folder; an image finds reports, a text finds images."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medvlp.io.atomic_write import atomic_folder
from medvlp.tasks.admission import TaskError

if TYPE_CHECKING:
    import faiss


@dataclass(frozen=True, eq=False)
class ReportIndex:
    """Exact nearest neighbors by cosine (faiss, flat: 400,000 reports answer in tenths of a second).

    Attributes:
        reports: one row a distinct report: `report_id` (of a store: the first study that has it), `findings` (ids of
            the present ones, joined by spaces) and `report` (the sentences that the model reads).
        images: one row an image: `image_id`, `study_id`, `report_id`; empty for an index made of a table of reports.
        report_vectors, image_vectors: faiss indices with as many vectors as there are rows.
        card: which model made the vectors, and of which data.
    """

    reports: pd.DataFrame
    images: pd.DataFrame
    report_vectors: faiss.Index
    image_vectors: faiss.Index
    card: dict[str, Any]

    def reports_for(self, vectors: NDArray[np.float32], k: int = 5) -> list[pd.DataFrame]:
        """For each unit vector `[Q, D]` of an image the k nearest reports: `rank, similarity`, then the row."""
        return _nearest(self.report_vectors, self.reports, vectors, k)

    def images_for(self, vectors: NDArray[np.float32], k: int = 5) -> list[pd.DataFrame]:
        """For each unit vector `[Q, D]` of a text the k nearest images.

        Raises:
            TaskError: the index was made of a table of reports and holds no images.
        """
        if self.images.empty:
            raise TaskError("this index holds reports only; build it from a store to find images by text")
        return _nearest(self.image_vectors, self.images, vectors, k)

    def save(self, folder: str | Path) -> Path:
        """Write the folder, whole or not at all.

        Raises:
            DiskFullError: nothing was replaced.
        """
        import faiss

        with atomic_folder(Path(folder)) as staging:
            self.reports.to_parquet(staging / "reports.parquet", index=False)
            self.images.to_parquet(staging / "images.parquet", index=False)
            for name, vectors in (("reports", self.report_vectors), ("images", self.image_vectors)):
                (staging / f"{name}.faiss").write_bytes(faiss.serialize_index(vectors).tobytes())
            (staging / "index.json").write_text(json.dumps(self.card, indent=2) + "\n")
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> ReportIndex:
        """Read what `save` wrote.

        Raises:
            TaskError: it is not there, or not complete.
        """
        import faiss

        folder = Path(folder)
        names = ("index.json", "reports.parquet", "images.parquet", "reports.faiss", "images.faiss")
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise TaskError(
                f"{folder} is no index ({', '.join(missing)} missing); "
                f"`medvlp retrieve build MODEL --store STORE -o {folder}` makes one"
            )
        return cls(
            pd.read_parquet(folder / "reports.parquet"),
            pd.read_parquet(folder / "images.parquet"),
            faiss.read_index(str(folder / "reports.faiss")),
            faiss.read_index(str(folder / "images.faiss")),
            json.loads((folder / "index.json").read_text()),
        )

    def check_model(self, folder: str | Path) -> None:
        """Refuse a model that did not make these vectors.

        Raises:
            TaskError: its weights are others.
        """
        if weights_hash(folder) != self.card["weights"]:
            raise TaskError(f"this index was made with other weights than those of {folder}; build it again with them")


def weights_hash(folder: str | Path) -> str:
    """SHA-256 of a model folder's weights."""
    with (Path(folder) / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _nearest(index: faiss.Index, table: pd.DataFrame, vectors: NDArray[np.float32], k: int) -> list[pd.DataFrame]:
    similarity, found = index.search(np.ascontiguousarray(vectors, np.float32), min(k, len(table)))
    return [
        table.iloc[rows].reset_index(drop=True).pipe(_ranked, values)
        for rows, values in zip(found, similarity, strict=True)
    ]


def _ranked(table: pd.DataFrame, similarity: NDArray[np.float32]) -> pd.DataFrame:
    table.insert(0, "similarity", similarity)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table
