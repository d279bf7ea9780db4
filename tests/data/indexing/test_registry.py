"""Sources by name, and what all of them share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.data import SOURCES, Manifest, SourceError, index_data_set, register_source, sources
from medvlp.data.indexing import assemble, box_cells, coded_states, find_table, listed_states
from medvlp.data.indexing.registry import check_source
from medvlp.knowledge import LabelSpace, UnknownNameError
from medvlp.registry import UnknownMemberError
from medvlp.reports.states import FindingState


def test_all_sources_are_known() -> None:
    assert {"mimic_cxr", "chexpert", "nih_cxr", "padchest", "folder", "ct_rate"} <= set(SOURCES.names())
    assert set(SOURCES.names()) >= {module.name for module in iter_modules(sources.__path__)}
    assert SOURCES.refused() == {}


def test_misspelled_source_and_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UnknownMemberError, match='did you mean "mimic_cxr"'):
        index_data_set("mimic_crx", tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist; give the folder that nih_cxr was unpacked in"):
        index_data_set("nih_cxr", tmp_path / "nowhere")


@pytest.mark.parametrize("name", sorted(set(SOURCES.names()) - {"folder", "table"}))
def test_empty_folder_says_what_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        index_data_set(name, tmp_path)


def test_unknown_option_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="mimic_cxr has no option 'label'; did you mean \"labels\""):
        index_data_set("mimic_cxr", tmp_path, label="chexpert")


def test_yes_and_no_of_the_command_line(layout: Callable[..., Path]) -> None:
    root = layout(
        {"captions.csv": "image,article,caption\na.jpg,A,A cat.\nb.jpg,B,Chest radiograph.\n"}, ["a.jpg", "b.jpg"]
    )
    assert len(index_data_set("roco", root, chest_radiographs="no")) == 2
    assert len(index_data_set("roco", root, chest_radiographs="yes")) == 1
    with pytest.raises(SourceError, match="option chest_radiographs is 'maybe'; give yes or no"):
        index_data_set("roco", root, chest_radiographs="maybe")


def test_a_value_that_is_none_of_the_choices(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="option labels is 'chexprt'; did you mean \"chexpert\""):
        index_data_set("mimic_cxr", tmp_path, labels="chexprt")


def test_help_names_every_source() -> None:
    text = CliRunner().invoke(app, ["data", "index", "--help"], env={"COLUMNS": "200"}).output
    assert all(name in text for name in SOURCES)


@pytest.mark.usefixtures("restored_sources")
def test_a_source_of_the_users_own_code(layout: Callable[..., Path]) -> None:
    name = "archive_of_this_test"
    with pytest.raises(UnknownMemberError):
        SOURCES.get(name)

    @register_source(name)
    def manifest(root: Path, every: int = 1) -> Manifest:
        table = find_table(root, ["t.csv"], ["file"]).iloc[::every]
        ids = dict.fromkeys(("patient_id", "study_id", "image_id"), "own-" + table["file"])
        return assemble(name, ids | {"path": [str(root / file) for file in table["file"]]})

    root = layout({"t.csv": "file\na.png\nb.png\nc.png\n"}, ["a.png", "b.png", "c.png"])
    assert index_data_set(name, root, every="2").table["image_id"].tolist() == ["own-a.png", "own-c.png"]
    with pytest.raises(SourceError, match="option every is 'x'; give a number"):
        index_data_set(name, root, every="x")
    run = CliRunner().invoke(app, ["data", "index", name, str(root), "-o", str(root / "m.csv"), "--json"])
    assert run.exit_code == 0
    assert json.loads(run.stdout)["images"] == 3


def test_an_entry_point_that_is_no_source_is_refused() -> None:
    with pytest.raises(TypeError, match="a data source is a function of a folder"):
        check_source(42)


def test_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"has no column 'c'; it has a, b"):
        find_table(tmp_path, ["t.csv"], ["a", "c"])


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
