"""`parse_report`: a report's text -> its sections, sentences and mentions."""

from __future__ import annotations

from medvlp.reports.reading import read_sentence
from medvlp.reports.report import Mention, Report, Sentence
from medvlp.reports.sections import READING_SECTIONS, find_sections
from medvlp.reports.sentences import find_sentences

_READ_WITHOUT_FINDINGS = READING_SECTIONS | {"preamble", "wet_read", "recommendation", "other"}


def parse_report(text: str, study: str | None = None) -> Report:
    """Read a report.

    Mentions come from the sections findings, impression and addendum. A text with neither findings nor impression is
    read as a whole, apart from its indication, history, technique, comparison and examination.

    Args:
        text: the raw text; all offsets of the result point into it.
        study: the MIMIC-CXR study id (`s50913680`), where it is one; 54 of its reports need special care.
    """
    sections = find_sections(text, study)
    reading = READING_SECTIONS
    if not any(s.name in ("findings", "impression") for s in sections):
        reading = _READ_WITHOUT_FINDINGS
    sentences: list[Sentence] = []
    mentions: list[Mention] = []
    for section in sections:
        for sentence in find_sentences(text, section):
            if section.name in reading:
                found = read_sentence(text[sentence.start : sentence.end])
                mentions += [_placed(mention, sentence.start, len(sentences)) for mention in found]
            sentences.append(sentence)
    return Report(text, sections, tuple(sentences), tuple(mentions))


def _placed(m: Mention, at: int, sentence: int) -> Mention:
    """The mention of a sentence that begins at `at` in the report."""
    where = (m.start + at, m.end + at, sentence)
    return Mention(m.finding, m.assertion, *where, m.place, m.side, m.severity, m.size_mm, m.temporality, m.cue)
