"""Folders of DICOM slices -> the volumes in them, one row each, as `medvlp.io.read_volume` will find them again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from medvlp.io.errors import ReadError, as_read_error
from medvlp.io.series import find_volumes

_FEWEST = 3  # slices; fewer are scouts


@dataclass(frozen=True)
class SeriesRow:
    """One volume of a folder.

    Attributes:
        folder: what `read_volume` reads.
        series: which of its volumes, the largest first; None where there is one.
        first: a file of it, whose header says whose it is.
    """

    folder: Path
    series: int | None
    first: Path


def series_rows(slices: Iterable[Path]) -> Iterator[SeriesRow]:
    """The volumes that files of a volume's modality belong to.

    A folder is read with all that lies below it, so slices in a folder and in folders below it are looked at together.
    A folder that cannot be understood is one row, for `prepare` to put into the quarantine table.

    Args:
        slices: DICOM files.
    """
    holding: dict[Path, Path] = {}
    for path in sorted(slices):
        holding.setdefault(path.parent, path)
    for folder, first in holding.items():
        if any(above in holding for above in folder.parents):
            continue
        try:
            with as_read_error(folder):
                files = sorted(f for f in folder.rglob("*") if f.is_file() and not f.name.startswith("."))
                volumes = [volume for volume in find_volumes(files)[0] if len(volume) >= _FEWEST]
        except ReadError:
            volumes = []
        if len(volumes) < 2:
            yield SeriesRow(folder, None, volumes[0][0].path if volumes else first)
            continue
        for number, volume in enumerate(volumes):
            yield SeriesRow(folder, number, volume[0].path)
