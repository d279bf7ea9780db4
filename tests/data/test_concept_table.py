"""Where reports name findings: the tokens of a span spell the mention, through white space, cuts and empty reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medvlp.data import BatchLoader, Store
from medvlp.data.concept_table import ConceptTable
from medvlp.data.report_table import ReportTable, report_row, select_sentences, write_reports
from medvlp.knowledge import load_findings
from medvlp.models import ReportTokenizer
from medvlp.reports.states import FindingState

TEXTS = [
    "INDICATION: Edema.\nFINDINGS: There  is a small left\n  pleural   effusion. No pneumothorax.\nIMPRESSION: Edema.",
    "FINDINGS: The lungs are clear.",
    "",
    "FINDINGS: Probable pneumonia.   Cardiomegaly.",
]
STATES = {"absent": FindingState.ABSENT, "uncertain": FindingState.UNCERTAIN, "present": FindingState.PRESENT}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> ReportTable:
    path: Path = tmp_path_factory.mktemp("reports") / "reports.parquet"
    write_reports([report_row((text, None)) for text in TEXTS], path)
    return ReportTable([path])


@pytest.fixture(scope="module")
def tokenizer() -> ReportTokenizer:
    return ReportTokenizer.train([text for text in TEXTS if text], vocab_size=120, min_frequency=1)


def expected(reports: ReportTable, number: int) -> list[tuple[str, str, int]]:
    """What is named in the sections that are read: the words, the finding and the state."""
    report = reports[number]
    return [
        (" ".join(report.words(m).split()).lower(), m.finding, int(STATES[m.assertion]))
        for m in report.mentions
        if report.sentences[m.sentence].section in ("findings", "impression")
    ]


def test_the_tokens_of_a_span_spell_the_mention(reports: ReportTable, tokenizer: ReportTokenizer) -> None:
    read = select_sentences(reports)
    table = ConceptTable.from_reports(reports, read, tokenizer, 64)
    spans = table.gather(np.arange(len(TEXTS)))
    ids, _ = tokenizer(read.texts(len(TEXTS)), 64)
    names = list(load_findings())
    for number in range(len(TEXTS)):
        spelled = [
            (tokenizer.decode(ids[number, begin:end].tolist()), names[concept], state)
            for begin, end, concept, state in spans[number].tolist()
            if concept >= 0
        ]
        assert spelled == expected(reports, number)
    assert [name for _, name, _ in expected(reports, 0)] == ["pleural_effusion", "pneumothorax", "edema"]
    assert expected(reports, 3)[0][2] == FindingState.UNCERTAIN


def test_what_fills_up_is_nothing(reports: ReportTable, tokenizer: ReportTokenizer) -> None:
    table = ConceptTable.from_reports(reports, select_sentences(reports), tokenizer, 64)
    spans = table.gather(np.array([2, -1, 0]))
    assert spans.shape == (3, 3, 4)
    assert (spans[:2] == [0, 0, -1, -1]).all()
    assert table.gather(np.array([-1])).shape == (1, 1, 4)


def test_mentions_beyond_the_last_token_are_left_out(reports: ReportTable, tokenizer: ReportTokenizer) -> None:
    read = select_sentences(reports)
    whole = ConceptTable.from_reports(reports, read, tokenizer, 64).gather(np.array([0]))[0]
    length = int(whole[1, 1]) + 1  # [SEP] takes the place after the second mention
    cut = ConceptTable.from_reports(reports, read, tokenizer, length).gather(np.array([0]))[0]
    assert cut.tolist() == whole[:2].tolist()
    shorter = ConceptTable.from_reports(reports, read, tokenizer, length - 1).gather(np.array([0]))[0]
    assert shorter.tolist() == whole[:1].tolist()  # a mention of which half is cut off


def test_batches_hold_them_when_asked(small_store: Store) -> None:
    words = select_sentences(small_store.reports).words
    tokenizer = ReportTokenizer.train(words, vocab_size=120, min_frequency=1)
    asked = BatchLoader(small_store, small_store.rows(), tokenizer, ["edema"], 7, train=False, concepts=True)
    batch = next(iter(asked.epoch(0)))
    assert batch.concepts is not None
    assert batch.to("cpu").concepts is not None
    names = list(load_findings())
    first, last = batch.concepts[0].tolist(), batch.concepts[5].tolist()
    assert [names[c[2]] for c in first if c[2] >= 0] == ["pleural_effusion", "pneumothorax", "pleural_effusion"]
    assert [c[3] for c in last if c[2] >= 0] == [FindingState.UNCERTAIN] * 2
    begin, end, *_ = first[2]
    assert tokenizer.decode(batch.report_tokens[0, begin:end].tolist()) == "pleural effusion"
    assert (batch.concepts[4] == batch.concepts.new_tensor([0, 0, -1, -1])).all()  # an image without report
    plain = next(iter(BatchLoader(small_store, small_store.rows(), tokenizer, ["edema"], 7, train=False).epoch(0)))
    assert plain.concepts is None
