"""The reports that `medvlp report label` reads: rows of a CSV, or files of a folder, one after the other."""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class ReportStream:
    """Pairs of id and text, with how far the input has been read."""

    def __init__(self, pairs: Iterator[tuple[str, str]], raw: IO[bytes] | None = None, size: int = 0) -> None:
        self._pairs = pairs
        self._raw = raw
        self._size = size

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self._pairs

    def fraction_read(self) -> float | None:
        """How much of the input has been read, 0 to 1; None where that is not known."""
        return self._raw.tell() / self._size if self._raw and self._size else None


def count_estimate(reports: ReportStream, done: int) -> int:
    """How many reports there may be in all, from how far `done` of them have brought us."""
    fraction = reports.fraction_read()
    return round(done / fraction) if fraction else done


@contextmanager
def open_reports(
    source: Path, id_column: str, text_column: str, refused: list[tuple[str, str]]
) -> Iterator[ReportStream]:
    """The reports of a CSV file (`.csv`, `.csv.gz`) or of a folder; what cannot be read is added to `refused`.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: the table has no such column.
    """
    if source.is_dir():
        yield ReportStream(_from_folder(source, refused))
        return
    csv.field_size_limit(sys.maxsize)  # a report may be longer than the module's 128 kB
    with source.open("rb") as raw:
        binary = gzip.GzipFile(fileobj=raw) if source.suffix == ".gz" else raw
        lines = (line.decode("utf-8-sig" if k == 0 else "utf-8", errors="replace") for k, line in enumerate(binary))
        rows = csv.DictReader(lines)
        missing = [name for name in (id_column, text_column) if name not in (rows.fieldnames or [])]
        if missing:
            have = ", ".join(rows.fieldnames or [])
            raise ValueError(
                f"{source} has no column {' or '.join(missing)}; it has: {have}. See --id-column, --text-column"
            )
        yield ReportStream(_from_rows(rows, id_column, text_column, refused), raw, source.stat().st_size)


def _from_rows(
    rows: csv.DictReader[str], id_column: str, text_column: str, refused: list[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(rows, start=1):
        name, text = row[id_column], row[text_column]
        if name and text is not None:
            yield name, text
        else:
            refused.append(
                (f"row {number}", "the row is shorter than the header" if text is None else "the id is empty")
            )


def _from_folder(folder: Path, refused: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    from medvlp.reports.files import ReportFileError, find_report_files, read_report_file

    for path in find_report_files(folder):
        try:
            text = read_report_file(path)
        except (ReportFileError, OSError) as error:
            refused.append((str(path.relative_to(folder)), str(error)))
            continue
        yield path.stem, text
