"""One opener: whatever program wrote a table, the cells come out as text, and errors name file, row and column."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from medvlp.errors import MedVLPError
from medvlp.io.tables import TableError, open_rows, posix_path, read_table

ROWS = [
    {"id": "007", "text": "Größe: 5 mm, stabil", "n": ""},
    {"id": "NA", "text": 'zwei\nZeilen "zitiert"', "n": "1.0"},
]
COMMA = 'id,text,n\n007,"Größe: 5 mm, stabil",\nNA,"zwei\nZeilen ""zitiert""",1.0\n'


def rows_of(path: Path) -> list[dict[str, str]]:
    return read_table(path).to_dict("records")  # type: ignore[return-value]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_encoding_gives_the_same_cells(tmp_path: Path, encoding: str, end: str) -> None:
    (tmp_path / "x.csv").write_bytes(COMMA.replace("\n", end).encode(encoding))
    assert rows_of(tmp_path / "x.csv") == [{k: v.replace("\n", end) for k, v in row.items()} for row in ROWS]


@pytest.mark.parametrize(("name", "delimiter"), [("x.csv", ";"), ("x.tsv", "\t"), ("x.csv", "\t"), ("x.txt", "|")])
def test_every_delimiter_gives_the_same_cells(tmp_path: Path, name: str, delimiter: str) -> None:
    text = f'id{delimiter}text{delimiter}n\n007{delimiter}"Größe: 5 mm, stabil"{delimiter}\n'
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert rows_of(tmp_path / name) == ROWS[:1]


def test_a_comma_inside_a_quoted_header_does_not_decide(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('id;"text, long, very"\n1;a,b\n')
    assert rows_of(tmp_path / "x.csv") == [{"id": "1", "text, long, very": "a,b"}]


def test_gzip_parquet_and_an_index_column(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(COMMA.encode()))
    assert rows_of(tmp_path / "x.csv.gz") == ROWS
    table = pd.DataFrame({"id": [7, 8], "text": ["a", None], "score": [1.5, 2.0]})
    table.to_parquet(tmp_path / "x.parquet")
    table.to_csv(tmp_path / "indexed.csv")
    expected = [{"id": "7", "text": "a", "score": "1.5"}, {"id": "8", "text": "", "score": "2"}]
    assert rows_of(tmp_path / "x.parquet") == expected
    assert rows_of(tmp_path / "indexed.csv")[0] == {"id": "7", "text": "a", "score": "1.5"}


def test_windows_paths_become_paths_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("path,text\nimages\\1\\a.png,C:\\kept\nb/c.png,\n")
    table = read_table(tmp_path / "x.csv", ["path"], path_columns=["path", "mask"])
    assert table["path"].tolist() == ["images/1/a.png", "b/c.png"]
    assert table["text"].tolist() == ["C:\\kept", ""]
    assert posix_path("D:\\scans\\x.dcm") == "D:/scans/x.dcm"


def test_delimiters_at_the_ends_of_lines_and_blank_lines_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("\na,b\n\n1,2,\n\n3,4\n")
    assert rows_of(tmp_path / "x.csv") == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    (tmp_path / "y.csv").write_text("a,b,\n1,2,\n3,4,\n")
    assert rows_of(tmp_path / "y.csv") == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,2\n3\n", "row 2: 1 cells, and the header has 2"),
        (b"a,b\n1,2,3\n", "row 1: 3 cells"),
        (b"a,b,a\n1,2,3\n", "column 'a': two columns have this name"),
        (b"", "the table is empty"),
        (b"\n\n", "the table is empty"),
        (b"PK\x03\x04rest", "save it as CSV"),
        (b"PAR1rest", "name it .parquet"),
        (b"a,b\n\x00\x01\x02", "binary data|no UTF"),
    ],
)
def test_errors_name_the_file_and_the_row(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(TableError, match=words) as caught:
        read_table(tmp_path / "x.csv")
    assert str(caught.value).startswith(str(tmp_path / "x.csv"))
    assert isinstance(caught.value, MedVLPError)
    assert isinstance(caught.value, ValueError)


def test_a_missing_column_is_named_with_its_nearest(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("image_id,report\n1,2\n")
    with pytest.raises(TableError, match=r"no column 'image id'; it has image_id, report; did you mean \"image_id\"\?"):
        read_table(tmp_path / "x.csv", ["image id"])


def test_damaged_files_and_no_files(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(COMMA.encode() * 999)[:60])
    for name in ("x.parquet", "x.csv.gz"):
        with pytest.raises(TableError, match=r"read|damaged|cut short"):
            read_table(tmp_path / name)
    with pytest.raises(TableError, match="a folder"):
        read_table(tmp_path)
    with pytest.raises(FileNotFoundError, match="no table at"):
        read_table(tmp_path / "nothing.csv")


def test_rows_come_one_by_one_and_bad_ones_are_kept_apart(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3\n5,6\n")
    with open_rows(tmp_path / "x.csv", ["b"], strict=False) as rows:
        assert list(rows) == [(1, ["1", "2"]), (3, ["5", "6"])]
        assert rows.refused == [(2, "1 cells, and the header has 2: a quote or a delimiter is missing")]
        assert rows.fraction() == 1.0
