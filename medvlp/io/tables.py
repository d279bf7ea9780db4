"""The opener of tables: CSV, TSV, semicolons, parquet; UTF-8 with or without mark, UTF-16, cp1252; all cells as text.

Errors name file, row (1 is the first below the header) and column, and never quote a program's inner words.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medvlp.errors import MedVLPError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

_DELIMITERS = ",;\t|"
_MARKS = (  # the longer first: the mark of UTF-32 begins as that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class TableError(MedVLPError, ValueError):
    """A table that cannot be used; its text names the file and, where there is one, row and column."""

    def __init__(self, path: str | Path, problem: str, *, row: int | None = None, column: str | None = None) -> None:
        where = [*([f"row {row}"] if row is not None else []), *([f"column {column!r}"] if column is not None else [])]
        super().__init__(": ".join([str(path), *([", ".join(where)] if where else []), problem]))
        self.path, self.row, self.column = Path(path), row, column


class TableRows:
    """Rows of a text table, one after the other: a list of cells each, as many as `columns`.

    Attributes:
        columns: names in the header.
        refused: number and reason of rows with another number of cells, where `strict` is off.
    """

    def __init__(self, path: Path, raw: io.BufferedReader, *, strict: bool = True) -> None:
        csv.field_size_limit(sys.maxsize)  # a report may be longer than the module's 128 kB
        self._path, self._raw, self._strict = path, raw, strict
        self._size = path.stat().st_size
        lines = _text_lines(path, gzip.GzipFile(fileobj=raw) if path.suffix.lower() == ".gz" else raw)
        header = next((line for line in lines if line.strip()), None)
        if header is None:
            raise TableError(path, "the table is empty")
        self._reader = csv.reader(_chain(header, lines), delimiter=_delimiter(path, header))
        names = [name.strip() for name in next(self._reader)]
        unnamed = [index for index, name in enumerate(names) if _is_unnamed(name)]
        self._dropped = set(unnamed)
        self._width = len(names)
        self.columns = [name for index, name in enumerate(names) if index not in self._dropped]
        self.refused: list[tuple[int, str]] = []
        twice = next((name for index, name in enumerate(self.columns) if name in self.columns[:index]), None)
        if twice is not None:
            raise TableError(path, "two columns have this name", column=twice)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Row number and cells; blank lines are passed over.

        Raises:
            TableError: a row with another number of cells than the header, where `strict`.
        """
        number = 0
        for cells in self._reader:
            if not cells:
                continue
            number += 1
            while len(cells) > self._width and not cells[-1].strip():
                cells.pop()  # a delimiter at the end of the line
            if len(cells) != self._width:
                problem = f"{len(cells)} cells, and the header has {self._width}: a quote or a delimiter is missing"
                if self._strict:
                    raise TableError(self._path, problem, row=number)
                self.refused.append((number, problem))
                continue
            yield number, [cell for index, cell in enumerate(cells) if index not in self._dropped]

    def take_refused(self) -> list[tuple[int, str]]:
        """Rows refused since the last call: number and reason."""
        taken, self.refused = self.refused, []
        return taken

    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return self._raw.tell() / max(1, self._size)


@contextmanager
def open_rows(path: str | Path, columns: Sequence[str] = (), *, strict: bool = True) -> Iterator[TableRows]:
    """The rows of a text table without holding it in memory; `.gz` is unzipped on the way.

    Raises:
        FileNotFoundError: no such file.
        TableError: no table, or a column is missing.
    """
    path = Path(path)
    _require_file(path)
    with path.open("rb") as raw:
        rows = TableRows(path, raw, strict=strict)
        _require_columns(path, rows.columns, columns)
        yield rows


def read_table(path: str | Path, columns: Sequence[str] = (), *, path_columns: Sequence[str] = ()) -> pd.DataFrame:
    r"""A table with every cell as text, "" where empty. A column without a name (an index) is left out.

    Args:
        path: `.parquet`, or text with commas, semicolons, tabs or bars, also as `.gz`.
        columns: names that it must have; others are kept too.
        path_columns: their cells are file paths: the backslashes of Windows become slashes.

    Raises:
        FileNotFoundError: no such file.
        TableError: no table, a row with another number of cells than the header, or a column is missing.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "reports.csv"
        >>> _ = file.write_bytes("\ufeffpatient;path\n007;scans\\a.png\n".encode())
        >>> read_table(file, ["patient"], path_columns=["path"]).to_dict("records")
        [{'patient': '007', 'path': 'scans/a.png'}]
    """
    import pandas as pd

    path = Path(path)
    _require_file(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        table = _read_parquet(path)
    else:
        with open_rows(path) as rows:
            cells = [row for _, row in rows]
        table = (
            pd.DataFrame(cells, columns=rows.columns, dtype=object)
            if cells
            else pd.DataFrame(columns=rows.columns, dtype=object)
        )
    _require_columns(path, list(table.columns), columns)
    for column in path_columns:
        if column in table:
            table[column] = [posix_path(cell) for cell in table[column]]
    return table


def posix_path(cell: str) -> str:
    r"""A path as this machine writes it: `images\a.png` -> `images/a.png`; paths with slashes stay as they are.

    Examples:
        >>> posix_path("images\\sub\\a.png"), posix_path("a/odd\\name.png")
        ('images/sub/a.png', 'a/odd\\name.png')
    """
    return cell.replace("\\", "/") if "\\" in cell and ("/" not in cell or cell[1:3] == ":\\") else cell


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except Exception as error:  # pyarrow's own words say nothing to a user
        raise TableError(path, f"no parquet file that can be read ({type(error).__name__})") from None
    names = [str(name) for name in table.columns]
    attrs = table.attrs
    table = table.set_axis(names, axis=1)[[name for name in names if not _is_unnamed(name)]]
    table = table.reset_index(drop=True).apply(lambda cells: cells.map(_as_text)).astype(object)
    table.attrs = attrs
    return table


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or value != value or str(value) in ("<NA>", "NaT"):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _text_lines(path: Path, binary: io.BufferedReader | gzip.GzipFile) -> Iterator[str]:
    """Decoded lines, their ends kept. A line that is no UTF-8 is cp1252, which is what Excel on Windows writes."""
    try:
        start = binary.peek(1 << 12)[: 1 << 12]
    except (OSError, EOFError):
        raise TableError(path, "the gzip stream is damaged") from None
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise TableError(path, "a workbook of a spreadsheet program: save it as CSV first")
    if start.startswith(b"PAR1"):
        raise TableError(path, "a parquet file: name it .parquet")
    encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "")
    if not encoding and b"\0" in start:
        even, odd = start[0::2].count(0), start[1::2].count(0)
        if max(even, odd) < len(start) // 4 or min(even, odd) > 0:
            raise TableError(path, "no table: the file holds binary data")
        encoding = "utf-16-le" if odd > even else "utf-16-be"
    try:
        if encoding.startswith(("utf-16", "utf-32")):
            text = io.TextIOWrapper(binary, encoding, newline="")
            try:
                yield from text
            finally:
                text.detach()  # it would close the file
            return
        for number, line in enumerate(binary):
            line = line[3:] if number == 0 and encoding else line
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError:
                yield line.decode("cp1252", errors="replace")
    except UnicodeDecodeError:
        raise TableError(path, f"the text is no {encoding.upper()}") from None
    except (OSError, EOFError):
        raise TableError(path, "the file is cut short or damaged") from None


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _delimiter(path: Path, header: str) -> str:
    """The commonest of the delimiters outside quotes in the header; a tab in a `.tsv`."""
    if ".tsv" in path.suffixes:
        return "\t"
    outside = "".join(header.split('"')[::2])
    return max(_DELIMITERS, key=outside.count)  # the first of equals: a comma


def _is_unnamed(name: str) -> bool:
    return not name or (name.startswith("Unnamed: ") and name[9:].isdigit()) or name == "__index_level_0__"


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise TableError(path, "a folder, not a table")
    if not path.is_file():
        raise FileNotFoundError(f"no table at {path}")


def _require_columns(path: Path, have: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in have]
    if missing:
        names = ", ".join(map(repr, missing))
        advice = "; ".join(filter(None, (did_you_mean(name, have, show=0) for name in missing)))
        advice = advice if advice.startswith("did you") else ""
        raise TableError(path, f"has no column {names}; it has {', '.join(have)}" + (f"; {advice}" if advice else ""))
