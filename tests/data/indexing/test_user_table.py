"""A table of the user's own: which column is what, what is refused, and what is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medvlp.data import ManifestError, SourceError, index_data_set

ROWS = "".join(f"im{i};P{i // 2};FINDINGS: Text {i}.;{i % 2};train\n" for i in range(6))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """`images/im0.png` to `im5.png` and a table beside the folder."""
    for i in range(6):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(tmp_path / "images" / f"im{i}.png")
    (tmp_path / "reports.csv").write_text("file;pid;text;Pneumonia;set\n" + ROWS)
    return tmp_path


@pytest.mark.parametrize("source", ["folder", "table"])
@pytest.mark.parametrize("options", [{}, {"path": "file", "patient": "pid", "report": "text"}])
def test_columns_are_guessed_or_named(source: str, options: dict[str, str], mine: Path) -> None:
    root = mine if source == "folder" else mine / "reports.csv"
    manifest = index_data_set(source, root, **options)
    table = manifest.table
    assert table["patient_id"].tolist() == ["P0", "P0", "P1", "P1", "P2", "P2"]
    assert table["image_id"].tolist() == [f"images/im{i}.png" for i in range(6)]
    assert table["path"][3] == str(mine / "images" / "im3.png")
    assert table["report"][5] == "FINDINGS: Text 5."
    assert table["pneumonia"].tolist() == [0, 1] * 3
    assert table["split"].tolist() == ["train"] * 6
    assert ("guessed" in manifest.notes[0]) == (not options or "split" not in options)
    assert "--option path=file" in manifest.notes[0]
    assert "--option patient=pid" in manifest.notes[0]
    assert "--option report=text" in manifest.notes[0]


def test_an_option_that_is_no_column_names_the_nearest(mine: Path) -> None:
    with pytest.raises(SourceError, match=r"reports\.csv: no column 'fil' for path; did you mean \"file\""):
        index_data_set("folder", mine, path="fil")
    with pytest.raises(SourceError, match="no option 'pacient'; did you mean \"patient\""):
        index_data_set("table", mine / "reports.csv", pacient="pid")


def test_without_a_column_of_patients_it_is_refused(mine: Path) -> None:
    (mine / "reports.csv").write_text("file,text\n" + "".join(f"im{i}.png,Text.\n" for i in range(6)))
    with pytest.raises(SourceError, match=r"no column says which patient .*--option patient=COLUMN .*file, text"):
        index_data_set("table", mine / "reports.csv")
    alone = index_data_set("table", mine / "reports.csv", patient="file").table
    assert alone["patient_id"].nunique() == 6


def test_a_guess_that_makes_one_patient_of_all_is_refused(mine: Path) -> None:
    (mine / "reports.csv").write_text("file,subject\n" + "".join(f"im{i},chest\n" for i in range(6)))
    with pytest.raises(SourceError, match="by 'subject' all 6 images are of one patient"):
        index_data_set("table", mine / "reports.csv")
    assert len(index_data_set("table", mine / "reports.csv", patient="subject")) == 6


def test_rows_and_images_without_the_other_are_counted(mine: Path) -> None:
    (mine / "reports.csv").write_text("file,pid,weight\nim0,1,70\nim9,2,80\nim1,2,75\n")
    manifest = index_data_set("folder", mine)
    assert manifest.table["image_id"].tolist() == ["images/im0.png", "images/im1.png"]
    assert "1 rows whose image is not there were left out, first row 2: 'im9'" in manifest.notes
    assert "4 images are in no row of reports.csv and were left out" in manifest.notes
    assert "columns not used: weight" in manifest.notes


def test_an_image_in_two_rows_is_refused_with_both(mine: Path) -> None:
    (mine / "reports.csv").write_text("file,pid\nim0,1\nim1,2\nim0,3\n")
    with pytest.raises(ManifestError, match=r"row 3, column 'image_id': 'images/im0\.png' is already row 1"):
        index_data_set("table", mine / "reports.csv")


def test_two_files_of_the_name_in_a_cell_are_refused_with_both(mine: Path) -> None:
    (mine / "copy").mkdir()
    (mine / "images" / "im2.png").rename(mine / "copy" / "im2.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(mine / "images" / "im2.png")
    with pytest.raises(SourceError, match=r"row 3, column 'file': 'im2' .*copy/im2\.png and .*images/im2\.png"):
        index_data_set("table", mine / "reports.csv")


def test_what_a_table_of_a_hospital_looks_like(mine: Path) -> None:
    header = "Image File,Patient ID,Findings,Impression,View,Gender,Age,Edema,Split\n"
    rows = [
        r"images\im0.png,7,Clear.,Normal.,pa,female,045Y,-1,valid",
        r"images\im1.png,8,,Edema.,AP,M,50,yes,Training",
    ]
    (mine / "reports.csv").write_bytes(("\ufeff" + header + "\r\n".join(rows) + "\r\n").encode())
    manifest = index_data_set("table", mine / "reports.csv")
    table = manifest.table
    assert table["report"].tolist() == ["FINDINGS: Clear.\nIMPRESSION: Normal.", "IMPRESSION: Edema."]
    assert table[["view", "sex", "age", "split"]].to_numpy().tolist() == [
        ["PA", "F", 45, "validate"],
        ["AP", "M", 50, "train"],
    ]
    assert table["edema"].tolist() == [2, 1]
    assert "1 cells -1 of column 'Edema' are taken as uncertain" in manifest.notes


def test_a_column_of_folds_is_no_split(mine: Path) -> None:
    (mine / "reports.csv").write_text("file,pid,fold\n" + "".join(f"im{i},{i},{i}\n" for i in range(6)))
    manifest = index_data_set("table", mine / "reports.csv")
    assert "column 'fold' names no splits (train, validate, test) and was not used" in manifest.notes
    with pytest.raises(ManifestError, match="row 1, column 'split': '0' is none of train"):
        index_data_set("table", mine / "reports.csv", split="fold")


def test_a_folder_with_two_tables_asks_which(mine: Path) -> None:
    (mine / "more.tsv").write_text("path\tsubject\nimages/im0.png\ta\nimages/im1.png\tb\n")
    with pytest.raises(SourceError, match=r"2 tables name images, more\.tsv, reports\.csv; --option table=NAME"):
        index_data_set("folder", mine)
    assert len(index_data_set("folder", mine, table="more.tsv")) == 2


def test_a_manifest_that_was_written_into_the_folder_is_not_taken_for_a_table(mine: Path) -> None:
    index_data_set("folder", mine).save(mine / "manifest.csv")
    again = index_data_set("folder", mine)
    assert len(again) == 6
    assert f"{mine / 'manifest.csv'} was not used: a manifest that this command wrote" in again.notes
