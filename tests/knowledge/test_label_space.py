"""Label spaces: order and spelling of the data sets, lookup by label and by id, and what their files may not do."""

from __future__ import annotations

import pytest

from medvlp.knowledge import KnowledgeError, LabelSpace, UnknownNameError


def test_orders_are_those_of_the_data_sets() -> None:
    chexpert = LabelSpace.load("chexpert14")
    assert chexpert.labels[:3] == ("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly")
    assert chexpert.findings[-1] == "support_devices"
    assert len(LabelSpace.load("nih14")) == 14
    assert LabelSpace.load("phantom15").findings == LabelSpace.load("phantom15").labels


def test_a_label_is_found_by_spelling_case_and_id() -> None:
    nih = LabelSpace.load("nih14")
    assert nih.index("Effusion") == nih.index("effusion") == nih.index("pleural_effusion") == 2
    assert nih.label_of("pleural_thickening") == "Pleural_Thickening"
    with pytest.raises(UnknownNameError, match='"Effusion"'):
        nih.index("Efusion")


def test_no_finding_excludes_all_but_devices() -> None:
    excluded = LabelSpace.load("chexpert14").excludes["No Finding"]
    assert len(excluded) == 12
    assert "Support Devices" not in excluded


def test_what_a_recipe_may_give() -> None:
    assert LabelSpace.resolve("nih14") is LabelSpace.load("nih14")
    own = LabelSpace.resolve(["nodule", "mass"])
    assert (own.labels, own.findings, own.index("mass")) == (("nodule", "mass"), ("nodule", "mass"), 1)
    with pytest.raises(UnknownNameError, match="nodule"):
        LabelSpace.of(["nodul"])
    with pytest.raises(KnowledgeError, match="twice: nodule"):
        LabelSpace.of(["nodule", "mass", "nodule"])


def test_unknown_space_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="chexpert14"):
        LabelSpace.load("chexpert")


OWN = """
labels:
  Water: pleural_effusion
  Fluid: {same_as: Water}
  unchanged: {finding: null, reason: speaks of an earlier examination}
  Air: pneumothorax
parents: {Air: [Water]}
"""


def test_aliases_and_labels_that_are_no_finding(tmp_path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    own = LabelSpace.load(path)
    assert own.name == "own"
    assert own.all_labels == ("Water", "Fluid", "unchanged", "Air")
    assert (own.labels, own.findings) == (("Water", "Air"), ("pleural_effusion", "pneumothorax"))
    assert own.index("fluid") == 0
    assert own.parents == {"Air": ("Water",)}
    with pytest.raises(UnknownNameError, match="earlier examination"):
        own.index("Unchanged")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("Air: pneumothorax", "Air: pneumotorax"), 'did you mean "pneumothorax"'),
        (("Air: pneumothorax", "Air: pleural_effusion"), "belongs to two labels"),
        (("same_as: Water", "same_as: Wine"), '"Wine"'),
        (("unchanged: {finding: null, reason: speaks of an earlier examination}", "unchanged: null"), "'unchanged'"),
        (("{Air: [Water]}", "{Air: [Wine]}"), '"Wine"'),
        (("labels:", "label:"), 'did you mean "labels"'),
    ],
)
def test_a_bad_space_says_what_is_wrong(tmp_path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(OWN.replace(*change))
    with pytest.raises((KnowledgeError, UnknownNameError), match=message):
        LabelSpace.load(path)
