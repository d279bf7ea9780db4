"""The UMLS reader on generated files of the exact layout (no row of UMLS is used)."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from medvlp.knowledge import KnowledgeBook, KnowledgeError
from medvlp.knowledge.umls import UMLS_LICENSE, Umls, UmlsRelation

EFFUSION, PLEURA, OTHER = "C0032227", "C9000001", "C9000002"

MRREL = f"""\
{PLEURA}|A1|AUI|RO|{EFFUSION}|A2|AUI|has_finding_site|R1||SNOMEDCT_US|SNOMEDCT_US|1|Y|N||
{EFFUSION}|A2|AUI|RO|{PLEURA}|A1|AUI|finding_site_of|R2||SNOMEDCT_US|SNOMEDCT_US|1|N|N||
{OTHER}|A3|SCUI|RB|{EFFUSION}|A2|SCUI||R3||MSH|MSH|||N||
{EFFUSION}|A2|AUI|SY|{EFFUSION}|A4|AUI|translation_of|R4||MSH|MSH|||N||
{OTHER}|A3|AUI|RO|{EFFUSION}|A2|AUI|gone|R5||MSH|MSH|||O||
{OTHER}|A3|AUI|RO|{PLEURA}|A1|AUI|near|R6||MSH|MSH|||N||
"""
MRDEF = f"""\
{EFFUSION}|A2|AT1||MSH|Water  beside the lung,\tmade up.|N||
{EFFUSION}|A2|AT2||NCI|Another made up one.|N||
{OTHER}|A3|AT3||MSH|Nothing.|N||
{EFFUSION}|A2|AT0||CSP|Obsolete.|O||
"""
MRCONSO = f"""\
{EFFUSION}|ENG|S|L1|VO|S1|N|A2|||D1|MSH|ET|D1|Water on the lung|0|N||
{EFFUSION}|ENG|P|L2|PF|S2|N|A4|||D1|MSH|MH|D1|Pleural water (other atom)|0|N||
{EFFUSION}|ENG|P|L2|PF|S2|Y|A5|||D1|MSH|MH|D1|Pleural water|0|N|256|
{EFFUSION}|SPA|P|L3|PF|S3|Y|A6|||D1|MSHSPA|MH|D1|Agua|3|N||
{PLEURA}|ENG|S|L4|VO|S4|N|A1|||D2|MSH|ET|D2|Lung skin|0|N||
"""


@pytest.fixture
def umls(tmp_path: Path) -> Umls:
    (tmp_path / "MRREL.RRF").write_text(MRREL, encoding="utf-8")
    (tmp_path / "MRDEF.RRF").write_text(MRDEF, encoding="utf-8")
    with gzip.open(tmp_path / "MRCONSO.RRF.gz", "wt", encoding="utf-8") as file:
        file.write(MRCONSO)
    return Umls(tmp_path)


def test_a_row_says_what_the_second_concept_is_to_the_first(umls: Umls) -> None:
    assert list(umls.relations(relations={"has_finding_site"})) == [
        UmlsRelation(EFFUSION, "has_finding_site", PLEURA, "SNOMEDCT_US")
    ]


def test_self_relations_and_suppressed_rows_are_left_out(umls: Umls) -> None:
    relations = [r.relation for r in umls.relations()]
    assert relations == ["has_finding_site", "finding_site_of", "RB", "near"]


def test_filters_by_concept_and_vocabulary(umls: Umls) -> None:
    assert [r.relation for r in umls.relations(concepts={EFFUSION}, vocabularies={"MSH"})] == ["RB"]
    assert [r.relation for r in umls.relations(concepts=[OTHER])] == ["RB", "near"]
    assert list(umls.relations(concepts=[])) == []


def test_definitions_and_preferred_names(umls: Umls) -> None:
    assert [d.text for d in umls.definitions({EFFUSION})] == ["Water beside the lung, made up.", "Another made up one."]
    assert umls.names() == {EFFUSION: "Pleural water", PLEURA: "Lung skin"}
    assert umls.names({EFFUSION}, language="SPA") == {EFFUSION: "Agua"}


def test_definitions_join_a_book_with_their_licence(umls: Umls) -> None:
    book = umls.add_definitions(KnowledgeBook.load("default"), vocabularies={"NCI"})
    entry = book.entry("pleural_effusion", "umls")
    assert entry is not None
    assert (entry.text, entry.license, entry.sources) == (
        "Another made up one.",
        UMLS_LICENSE,
        (f"UMLS NCI {EFFUSION}",),
    )
    assert book.text("nodule", "umls") is None
    assert book.text("pleural_effusion", "definition")
    assert book.name == "default+umls"


def test_a_bad_row_and_a_missing_file_say_where(umls: Umls, tmp_path: Path) -> None:
    (tmp_path / "MRDEF.RRF").write_text(MRDEF + "C1|A1|x\n")
    with pytest.raises(KnowledgeError, match=r"MRDEF.RRF, line 5: 2 columns; MRDEF has 8"):
        list(umls.definitions())
    with pytest.raises(FileNotFoundError, match=r"MRREL\.RRF"):
        list(Umls(tmp_path / "nowhere").relations())
