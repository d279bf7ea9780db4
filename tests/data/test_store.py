"""What a store answers: pixels, masks, states, reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medvlp.data import Manifest, Preprocess, Store, StoreError, prepare
from medvlp.data.report_table import select_sentences
from medvlp.data.store_layout import table_hash


def test_rows_by_split_and_view(small_store: Store) -> None:
    assert small_store.rows().tolist() == list(range(7))
    assert small_store.table["image_id"][small_store.rows("test")].tolist() == ["image6", "image7"]
    assert small_store.rows("train", views=["PA"]).tolist() == [0, 2, 4]
    with pytest.raises(ValueError, match='no split "val"'):
        small_store.rows("val")


def test_masks_say_where_nothing_was_drawn(small_store: Store) -> None:
    masks = small_store.masks([0, 1, 2])
    assert (small_store.mask_names, small_store.has_masks[:3].tolist()) == (("lungs",), [True, False, True])
    assert masks.shape == (3, 1, 32, 32)
    assert masks[0].sum() == 16 * 12  # 40 x 30 pixels of 80 x 60, in a square of 32
    assert masks[0, 0, 8:24, 10:22].all()
    assert (masks[1] == 255).all()
    assert (masks[2] == 255).all()  # named, but the file is not there


def test_states_come_from_labels_then_from_reports(small_store: Store) -> None:
    states = small_store.states(["cardiomegaly", "pleural_effusion", "pneumonia"])
    assert states.dtype == np.int8
    assert states.tolist() == [
        [1, 1, -1],
        [1, 1, -1],
        [0, 0, -1],
        [0, 0, -1],
        [2, -1, -1],
        [-1, -1, 2],
        [-1, -1, 2],
    ]


def test_states_by_origin(small_store: Store) -> None:
    findings = ["cardiomegaly", "pleural_effusion"]
    assert small_store.states(findings, "table")[:, 1].tolist() == [-1] * 7
    assert small_store.states(findings, "report")[:, 0].tolist() == [-1] * 7


def test_unknown_finding_is_named(small_store: Store) -> None:
    with pytest.raises(KeyError, match="pneumothorax"):
        small_store.states(["pneumotorax"])


def test_reports_are_as_parsed(small_store: Store) -> None:
    from medvlp.reports import parse_report

    numbers = small_store.table["report"].tolist()
    assert numbers == [0, 0, 1, 1, -1, 2, 2]
    assert len(small_store.reports) == 3
    for i in range(3):
        assert small_store.reports[i] == parse_report(small_store.reports.texts[i])


def test_sentences_of_the_sections_that_are_read(small_store: Store) -> None:
    read = select_sentences(small_store.reports, ["impression"])
    assert read.words == ["Small left pleural effusion.", "No acute process.", "Possible pneumonia."]
    assert read.number.tolist() == [2, 3, 1]
    everything = select_sentences(small_store.reports, ["technique"])  # none has it: each is read whole
    assert len(everything.words) == 9
    some = select_sentences(small_store.reports, wanted=np.array([False, True, False]))
    assert some.texts(3)[1] == "The lungs are clear. No pleural effusion. No pneumothorax. No acute process."
    assert some.texts(3)[0] == ""


def test_views_that_drop_every_row_are_named(small_store: Store) -> None:
    with pytest.raises(StoreError, match=r"the train split has no LL, RL images, its \d are PA \d"):
        small_store.rows("train", ["LL", "RL"])
    assert len(small_store.rows("validate", ["LL"])) == 0  # the split itself is empty
    with pytest.raises(StoreError, match='no split "trian"; did you mean "train"'):
        small_store.rows("trian")


def test_a_column_of_one_data_set_says_nothing_of_another(small_manifest: Manifest, tmp_path: Path) -> None:
    """Data set a labels cardiomegaly, b does not: there the report speaks, by its whole and not by a sentence."""
    table = small_manifest.table.iloc[[0, 4, 6]]
    words = "FINDINGS: Cardiomegaly. Left pleural effusion. No right pleural effusion."
    manifest = Manifest(table.assign(report=["", "FINDINGS: Cardiomegaly.", words]))
    store = prepare(manifest, tmp_path / "store", Preprocess(size=32), workers=0)
    assert store.states(["cardiomegaly", "pleural_effusion"]).tolist() == [[1, -1], [2, -1], [1, 1]]
    assert store.states(["cardiomegaly"], "table")[:, 0].tolist() == [1, 2, -1]


def test_the_hash_is_of_the_preprocessing_and_of_the_columns(small_manifest: Manifest, tmp_path: Path) -> None:
    one = small_manifest.select([0])
    hashes = {prepare(one, tmp_path / str(mean), Preprocess(size=32, mean=mean), workers=0).hash for mean in (0.4, 0.5)}
    assert len(hashes) == 2
    table = one.table[["image_id", "cardiomegaly"]]
    assert table_hash(table) == table_hash(table.copy())
    assert table_hash(table) != table_hash(table.rename(columns={"cardiomegaly": "edema"}))
