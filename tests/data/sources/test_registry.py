"""Sources by name, and what all of them share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medvlp.cli.data_index import index
from medvlp.data import sources
from medvlp.data.sources.assembly import assemble, box_cells, listed_states
from medvlp.data.sources.csv_tables import coded_states, read_table
from medvlp.knowledge import LabelSpace, UnknownNameError
from medvlp.reports.states import FindingState


def test_all_sources_are_known() -> None:
    assert {"mimic_cxr", "chexpert", "nih_cxr", "padchest", "folder", "ct_rate"} <= set(sources.names())
    assert not {"assembly", "csv_tables", "dicom_keys", "dicom_series"} & set(sources.names())


def test_misspelt_source_and_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean mimic_cxr"):
        sources.load("mimic_crx", tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist; give the folder that nih_cxr was unpacked in"):
        sources.load("nih_cxr", tmp_path / "nowhere")


@pytest.mark.parametrize("name", sorted(set(sources.names()) - {"folder"}))
def test_empty_folder_says_what_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        sources.load(name, tmp_path)


def test_unknown_option_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mimic_cxr has no option 'label'; did you mean labels"):
        sources.load("mimic_cxr", tmp_path, label="chexpert")


def test_yes_and_no_of_the_command_line(layout: Callable[..., Path]) -> None:
    root = layout(
        {"captions.csv": "image,article,caption\na.jpg,A,A cat.\nb.jpg,B,Chest radiograph.\n"}, ["a.jpg", "b.jpg"]
    )
    assert len(sources.load("roco", root, chest_radiographs="no")) == 2
    assert len(sources.load("roco", root, chest_radiographs="yes")) == 1
    with pytest.raises(ValueError, match="option chest_radiographs is 'maybe'; give yes or no"):
        sources.load("roco", root, chest_radiographs="maybe")


def test_help_names_every_source() -> None:
    text = " ".join((index.__doc__ or "").split())
    assert set(text.split("Data sets: ")[1].split(". ")[0].split(", ")) == set(sources.names())


def test_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"has no column 'c'; it has a, b"):
        read_table(tmp_path, ["t.csv"], ["a", "c"])


def test_unknown_code_is_named() -> None:
    cells = pd.DataFrame({"Edema": ["1.0", "2.0"]})
    with pytest.raises(ValueError, match=r"row 2, column 'Edema': '2\.0' is none of"):
        coded_states(cells, LabelSpace.load("chexpert14"), {"1.0": FindingState.PRESENT})


def test_listed_labels() -> None:
    states = listed_states([["Effusion", "Mass"], []], LabelSpace.load("nih14"))
    assert states["pleural_effusion"].tolist() == [1, 0]
    assert states["edema"].tolist() == [0, 0]
    with pytest.raises(UnknownNameError, match="Efusion"):
        listed_states([["Efusion"]], LabelSpace.load("nih14"))


def test_boxes_of_an_image_come_together() -> None:
    boxes = pd.DataFrame(
        {
            "image_id": ["a", "a"],
            "finding": ["mass", "nodule"],
            "x0": [1, 2],
            "y0": 0,
            "x1": 5,
            "y1": 6,
            "phrase": ["x", ""],
        }
    )
    first = '[{"finding": "mass", "box": [1.0, 0.0, 5.0, 6.0], "phrase": "x"}, {"finding": "nodule", "box": [2.0, '
    assert box_cells(["a", "b"], boxes) == [first + "0.0, 5.0, 6.0]}]", ""]


def test_absent_images_are_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    columns = {k: ["a", "b"] for k in ("patient_id", "study_id", "image_id")}
    columns["path"] = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    manifest = assemble("here", columns, {"mass": np.array([1, 0], np.int8)}, ["0 things happened", "1 thing happened"])
    assert manifest.table["image_id"].tolist() == ["a"]
    assert manifest.notes == (
        "here: 1 thing happened",
        "here: 1 images of the tables are not on this disk and were left out",
    )
    (tmp_path / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match="none of the 2 images of here is on this disk; the first would be"):
        assemble("here", columns)
