"""A manifest says what is wrong with a table: which row, which column, what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medvlp.data import Manifest, ManifestError
from medvlp.data.manifest import splits_by_patient
from medvlp.data.manifest_columns import read_states

GOOD = {
    "patient_id": ["1", "1", "2"],
    "study_id": ["a", "b", "c"],
    "image_id": ["x", "y", "z"],
    "path": ["x.png", "y.png", "z.png"],
}


def problems(**columns: list) -> str:
    with pytest.raises(ManifestError) as error:
        Manifest(pd.DataFrame(GOOD | columns))
    return "\n".join(error.value.problems)


def test_missing_columns_are_filled() -> None:
    table = Manifest(pd.DataFrame(GOOD)).table
    assert list(table["report"]) == ["", "", ""]
    assert table["split"].iloc[0] == table["split"].iloc[1]
    assert set(table["split"]) <= {"train", "validate", "test"}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"patient": ["1", "1", "2"]}, "column 'patient' is neither"),
        ({"pleural_efusion": ["1", "0", ""]}, 'did you mean "pleural_effusion"'),
        ({"Pleural Effusion": ["1", "0", ""]}, 'did you mean "pleural_effusion"'),
        ({"pneumonia": ["1", "maybe", ""]}, "row 2, column 'pneumonia': 'maybe' is none of the four states"),
        ({"pneumonia": [1, -1, 0]}, "row 2, column 'pneumonia': -1 is none of the four states"),
        ({"split": ["train", "train", "val"]}, "row 3, column 'split': 'val' is none of train, validate, test"),
        ({"split": ["train", "test", "test"]}, "row 1, column 'split': patient '1' stands in test and train"),
        ({"image_id": ["x", "y", "x"]}, "row 3, column 'image_id': 'x' is already row 1"),
        ({"path": ["x.png", "", "z.png"]}, "row 2, column 'path': empty"),
        ({"study_id": ["a", "b", "a"]}, "row 3, column 'study_id': 'a' also belongs to another patient"),
        ({"age": ["40", "old", ""]}, "row 2, column 'age': not a number"),
        ({"boxes": ["", '[{"finding": "mass", "box": [5, 0, 1, 4]}]', ""]}, "row 2, column 'boxes': not a JSON list"),
    ],
)
def test_each_error_names_row_column_and_remedy(columns: dict, expected: str) -> None:
    assert expected in problems(**columns)


def test_missing_column_is_named() -> None:
    with pytest.raises(ManifestError, match="column 'image_id' is missing"):
        Manifest(pd.DataFrame({k: v for k, v in GOOD.items() if k != "image_id"}))


def test_many_equal_problems_are_counted() -> None:
    table = pd.DataFrame({k: [f"{v[0]}{i}" for i in range(50)] for k, v in GOOD.items()})
    with pytest.raises(ManifestError) as error:
        Manifest(table.assign(split="elsewhere"))
    assert error.value.problems[-1] == "... and 45 more rows like these"


def test_missing_files_are_named(small_manifest: Manifest) -> None:
    assert small_manifest.missing_files() == []
    gone = Manifest(small_manifest.table.assign(path="/nowhere/at/all.png"))
    assert gone.missing_files()[0].startswith("row 1, column 'path': /nowhere/at/all.png does not exist")


def test_states_are_read_cell_by_cell() -> None:
    codes, wrong = read_states(pd.Series(["1", "0", "u", "", None, "present", 1.0, "1.0"], name="mass"))
    assert codes.tolist() == [1, 0, 2, -1, -1, 1, 1, 1]
    assert wrong == []


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.parquet"])
def test_saved_and_loaded_again(small_manifest: Manifest, tmp_path: Path, name: str) -> None:
    there = Manifest(small_manifest.table, generated=True)
    again = Manifest.load(there.save(tmp_path / name))
    pd.testing.assert_frame_equal(again.table, there.table)
    assert again.generated
    assert (again.table["cardiomegaly"].dtype, again.labels, again.masks) == (np.int8, ["cardiomegaly"], ["lungs"])
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_relative_paths_are_from_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "m.csv").write_text("patient_id,study_id,image_id,path\n1,1,1,images/a.png\n")
    assert Manifest.load(tmp_path / "sub" / "m.csv").table["path"][0] == str(tmp_path / "sub" / "images" / "a.png")


def test_notes_survive_in_parquet(small_manifest: Manifest, tmp_path: Path) -> None:
    noted = Manifest(small_manifest.table, notes=("a defect",))
    assert Manifest.load(noted.save(tmp_path / "m.parquet")).notes == ("a defect",)


def test_concat_keeps_unmentioned_and_refuses_one_patient_of_two_sources(small_manifest: Manifest) -> None:
    other = Manifest(pd.DataFrame(GOOD | {"source": "other", "mass": ["1", "0", ""]}))
    both = Manifest.concat([small_manifest, other])
    assert both.table["mass"].tolist() == [-1] * 8 + [1, 0, -1]
    assert both.table["cardiomegaly"].tolist()[-3:] == [-1, -1, -1]
    clash = Manifest(pd.DataFrame(GOOD | {"patient_id": ["p0", "p0", "q"]}))
    with pytest.raises(ManifestError, match="'p0' stands in '' and 'a'"):
        Manifest.concat([small_manifest, clash])


def test_select_takes_positions_and_masks(small_manifest: Manifest) -> None:
    assert list(small_manifest.select([3, 1]).table["image_id"]) == ["image3", "image1"]
    assert len(small_manifest.select((small_manifest.table["view"] == "PA").to_numpy())) == 4


def test_splits_follow_the_patient_the_fractions_and_the_seed() -> None:
    patients = [f"p{i // 2}" for i in range(4000)]
    split = splits_by_patient(patients)
    assert (split[::2] == split[1::2]).all()
    rates = [np.mean(split == name) for name in ("train", "validate", "test")]
    assert rates == pytest.approx([0.8, 0.1, 0.1], abs=0.03)
    assert (splits_by_patient(patients[::-1]) == split[::-1]).all()
    assert 0.2 < np.mean(splits_by_patient(patients, seed=1) != split) < 0.5  # by chance 1 - 0.64 - 0.01 - 0.01


def test_relative_paths_are_saved_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    masks = ["m.png#2", "", "rle:5 3"]
    Manifest(pd.DataFrame(GOOD | {"mask_lungs": masks})).save("m.parquet")
    (tmp_path / "sub").mkdir()
    (tmp_path / "m.parquet").rename(tmp_path / "sub" / "m.parquet")
    table = Manifest.load(tmp_path / "sub" / "m.parquet").table
    assert table["path"].tolist() == [str(tmp_path / name) for name in GOOD["path"]]
    assert table["mask_lungs"].tolist() == [str(tmp_path / "m.png#2"), "", "rle:5 3"]
