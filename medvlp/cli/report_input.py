"""The reports that `medvlp report label` reads: rows of a CSV, or files of a folder, one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medvlp.io.tables import TableError, TableRows, open_rows


class ReportStream:
    """Pairs of id and text, with how far the input has been read."""

    def __init__(self, pairs: Iterator[tuple[str, str]], rows: TableRows | None = None) -> None:
        self._pairs = pairs
        self._rows = rows

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self._pairs

    def fraction_read(self) -> float | None:
        """How much of the input has been read, 0 to 1; None where that is not known."""
        return self._rows.fraction() if self._rows else None


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
        TableError: no table, or it has no such column.
    """
    if source.is_dir():
        yield ReportStream(_from_folder(source, refused))
        return
    with open_rows(source, strict=False) as rows:
        missing = [name for name in (id_column, text_column) if name not in rows.columns]
        if missing:
            have = ", ".join(rows.columns)
            raise TableError(
                source, f"has no column {' or '.join(missing)}; it has: {have}. See --id-column, --text-column"
            )
        yield ReportStream(_from_rows(rows, id_column, text_column, refused), rows)


def _from_rows(
    rows: TableRows, id_column: str, text_column: str, refused: list[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    name_at, text_at = rows.columns.index(id_column), rows.columns.index(text_column)
    first: dict[str, int] = {}
    for number, cells in rows:
        refused.extend((f"row {earlier}", reason) for earlier, reason in rows.take_refused())
        name = cells[name_at]
        if not name:
            refused.append((f"row {number}", "the id is empty"))
        elif first.setdefault(name, number) != number:
            refused.append((f"row {number}", f"the id {name!r} is that of row {first[name]} already"))
        else:
            yield name, cells[text_at]
    refused.extend((f"row {number}", reason) for number, reason in rows.take_refused())


def _from_folder(folder: Path, refused: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    from medvlp.reports.files import ReportFileError, find_report_files, read_report_file

    paths = list(find_report_files(folder))
    stems, whole = (Counter(_id(path, folder, long) for path in paths) for long in (False, True))
    for path in paths:
        try:
            text = read_report_file(path)
        except (ReportFileError, OSError) as error:
            refused.append((str(path.relative_to(folder)), str(error)))
            continue
        short, long = _id(path, folder, False), _id(path, folder, True)
        yield short if stems[short] == 1 else long if whole[long] == 1 else path.relative_to(folder).as_posix(), text


def _id(path: Path, folder: Path, long: bool) -> str:
    """A report's name without its ending, alone or with its folders (`p17/report`)."""
    return path.relative_to(folder).with_suffix("").as_posix() if long else path.stem
