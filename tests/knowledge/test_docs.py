"""The numbers that docs/knowledge.md states are those of the knowledge."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medvlp.knowledge import ConceptGraph, KnowledgeBook, LabelSpace, load_findings

PAGE = (Path(__file__).parents[2] / "docs" / "knowledge.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", LabelSpace.names())
def test_label_spaces(name: str) -> None:
    space = LabelSpace.load(name)
    row = re.search(rf"\| `{name}` \|(.*)\|", PAGE)
    assert row
    stated = [int(number) for number in row[1].split("|")]
    assert stated == [len(space.all_labels), len(space), len(space.aliases), len(space.others)]


def test_findings_texts_and_relations() -> None:
    findings, book, graph = load_findings(), KnowledgeBook.load("default"), ConceptGraph.load()
    names = sum(len(f.names) for f in findings.values())
    with_ct = sum(book.text(f, "ct") is not None for f in findings)
    assert f"| findings | {len(findings)} (" in PAGE
    assert f"| {names:,}, none of which" in PAGE
    assert f"where it looks different: {with_ct};" in PAGE
    for relation in ("is_a", "located_in", "suggests"):
        assert f"{len(graph.relations(relation))} `{relation}`" in PAGE  # type: ignore[arg-type]
    for code, words in (("umls", "UMLS"), ("radlex", "RadLex")):
        assert f"{words} {sum(code in f.codes for f in findings.values())}" in PAGE
