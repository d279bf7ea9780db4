"""The book: every text with its license and sources, and the same book again from what a saved model carries."""

from __future__ import annotations

import pytest

from medvlp.knowledge import (
    FACETS,
    BookText,
    KnowledgeBook,
    KnowledgeError,
    UnknownNameError,
    get_finding,
    load_findings,
)


@pytest.fixture(scope="module")
def book() -> KnowledgeBook:
    return KnowledgeBook.load("default")


def test_it_holds_every_finding_and_the_files_texts(book: KnowledgeBook) -> None:
    assert book.findings == tuple(load_findings())
    assert book.text("nodule", "definition") == get_finding("nodule").definition
    assert book.text("nodule", "border") == get_finding("nodule").aspects["border"]
    assert book.text("lung_lesion", "ct") is None
    assert book.texts(["mass", "lung_lesion"], ["ct", "radiographic"]) == [
        [get_finding("mass").ct, get_finding("mass").radiographic],
        [None, get_finding("lung_lesion").radiographic],
    ]


def test_each_text_carries_licence_and_source(book: KnowledgeBook) -> None:
    for texts in book.content.values():
        for entry in texts.values():
            assert entry.license == "Apache-2.0"
            assert entry.sources


def test_a_saved_book_is_read_back_equal(book: KnowledgeBook, tmp_path) -> None:
    path = tmp_path / "knowledge.yaml"
    book.to_yaml(path)
    assert KnowledgeBook.load(path) == book


def test_a_saved_book_holds_only_the_findings_asked_for(book: KnowledgeBook, tmp_path) -> None:
    path = tmp_path / "knowledge.yaml"
    book.to_yaml(path, ["pneumothorax", "nodule"])
    saved = KnowledgeBook.load(path)
    assert saved.findings == ("pneumothorax", "nodule")
    assert saved.facets == FACETS
    assert saved.entry("nodule", "ct") == book.entry("nodule", "ct")
    with pytest.raises(UnknownNameError):
        saved.text("mass", "definition")


def test_a_book_of_ones_own_may_have_new_findings_and_facets(tmp_path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "format: 1\nfindings:\n  covid:\n    name: Covid lung\n    texts:\n"
        "      story: {text: It came in winter., license: CC0-1.0}\n"
    )
    own = KnowledgeBook.load(path)
    assert (own.name, own.facets, own.name_of("covid")) == ("own", ("story",), "Covid lung")
    assert own.entry("covid", "story") == BookText("It came in winter.", "CC0-1.0", ())


def test_texts_can_be_replaced_without_touching_the_default(book: KnowledgeBook) -> None:
    new = book.with_texts("mine", {"nodule": {"definition": BookText("A spot.", "CC0-1.0")}})
    assert new.text("nodule", "definition") == "A spot."
    assert new.text("nodule", "border") == book.text("nodule", "border")
    assert book.text("nodule", "definition") != "A spot."


def test_errors_name_the_nearest_and_the_place(book: KnowledgeBook, tmp_path) -> None:
    with pytest.raises(UnknownNameError, match="radiographic"):
        book.text("nodule", "radiografic")
    with pytest.raises(UnknownNameError, match='"nodule"'):
        book.text("nodul", "definition")
    with pytest.raises(UnknownNameError, match="default"):
        KnowledgeBook.load("defualt")
    path = tmp_path / "bad.yaml"
    path.write_text("format: 1\nfindings: {x: {texts: {story: plain words}}}\n")
    with pytest.raises(KnowledgeError, match="x: story"):
        KnowledgeBook.load(path)
    path.write_text("findings: {}\n")
    with pytest.raises(KnowledgeError, match="format: 1"):
        KnowledgeBook.load(path)
