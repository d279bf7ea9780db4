"""Prompt sets: the protocols' exact words, grids, seeds, and what their files may not do."""

from __future__ import annotations

import pytest

from medvlp.knowledge import (
    BookText,
    KnowledgeBook,
    KnowledgeError,
    PromptSet,
    UnknownNameError,
    get_finding,
    load_findings,
)


@pytest.mark.parametrize(
    ("name", "present", "absent"),
    [
        ("names", ("lung nodule",), ()),
        ("chexzero", ("lung nodule",), ("no lung nodule",)),
        ("ct_clip", ("Lung nodule is present.",), ("Lung nodule is not present.",)),
        ("colipri", ("Lung nodule present",), ("No lung nodule present",)),
        ("carzero", ("There is lung nodule.",), ("There is no lung nodule.",)),
        ("definitions", (get_finding("nodule").definition,), ()),
    ],
)
def test_protocols_word_for_word(name: str, present: tuple[str, ...], absent: tuple[str, ...]) -> None:
    prompts = PromptSet.load(name).prompts("nodule")
    assert (prompts.present, prompts.absent) == (present, absent)


@pytest.mark.parametrize("name", PromptSet.names())
def test_every_finding_has_prompts(name: str) -> None:
    prompts = PromptSet.load(name)
    for finding in load_findings():
        texts = prompts.prompts(finding)
        assert all(text and "{" not in text for text in (*texts.present, *texts.absent))
        assert len(set(texts.present)) == len(texts.present)
    assert prompts.source


@pytest.mark.parametrize("name", PromptSet.names())
def test_no_finding_is_never_asked_by_a_double_negation(name: str) -> None:
    assert "no no finding" not in str(PromptSet.load(name).prompts("no_finding")).lower()


def test_lineage_names_what_the_finding_is_a_kind_of() -> None:
    assert PromptSet.load("hierarchy").prompts("nodule").present[0] == "lung nodule, lung lesion, lung opacity"


def test_the_grid_is_severity_by_subtype_by_place(tmp_path) -> None:
    path = tmp_path / "own.yaml"
    grid = '{severity: ["", small], subtype: [nodule], place: ["", left]}'
    path.write_text(f'present: ["{{name}}"]\nfindings: {{nodule: {{grid: {grid}}}}}\n')
    own = PromptSet.load(path)
    assert own.prompts("nodule").present == ("nodule", "nodule left", "small nodule", "small nodule left")
    assert own.prompts("mass").present == ("lung mass",)


def test_samples_depend_on_the_seed_alone() -> None:
    grid = PromptSet.load("severity_subtype_place")
    first = grid.sample("pleural_effusion", 5, seed=1)
    assert first == grid.sample("pleural_effusion", 5, seed=1)
    assert first != grid.sample("pleural_effusion", 5, seed=2)
    assert len(set(first)) == 5
    assert set(first) <= set(grid.prompts("pleural_effusion").present)
    assert grid.sample("asbestosis", 5, seed=1) == ("asbestosis",)


def test_a_template_without_its_facet_is_left_out(tmp_path) -> None:
    finding = get_finding("lung_lesion")
    assert finding.ct is None
    assert PromptSet.load("ct_descriptions").prompts("lung_lesion").present == (f"Lung lesion. {finding.definition}",)
    path = tmp_path / "own.yaml"
    path.write_text('present: ["{ct}"]\n')
    with pytest.raises(KnowledgeError, match="lung_lesion"):
        PromptSet.load(path).prompts("lung_lesion")


def test_prompts_come_from_the_book_that_is_given() -> None:
    book = KnowledgeBook(
        "own", ("definition",), {"zebra": "zebra lung"}, {"zebra": {"definition": BookText("Stripes.")}}
    )
    assert PromptSet.load("definitions").prompts("zebra", book).present == ("Stripes.",)
    assert PromptSet.load("hierarchy").prompts("zebra", book).present[0] == "zebra lung"
    with pytest.raises(UnknownNameError):
        PromptSet.load("definitions").prompts("nodule", book)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("present: []\n", "at least one template"),
        ("present: [x]\nabsnt: [y]\n", 'did you mean "absent"'),
        ("present: [x]\nfindings: {nodul: {}}\n", 'did you mean "nodule"'),
        ("present: [x]\nfindings: {nodule: {grid: {where: [left]}}}\n", 'unknown key "where"'),
        ('present: ["{shap}"]\n', 'did you mean "shape"'),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path, text: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises((KnowledgeError, UnknownNameError), match=message):
        PromptSet.load(path).prompts("nodule")
    with pytest.raises(UnknownNameError, match="chexzero"):
        PromptSet.load("chexzer")
