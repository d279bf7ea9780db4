"""`parse_report`: a report's text -> its sections, sentences and mentions; `parse_sentence`: those of one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from medvlp.reports.assertion import assert_findings, find_imitations
from medvlp.reports.attributes import severities, sizes, temporalities
from medvlp.reports.elisions import with_elisions
from medvlp.reports.finding_spans import FindingSpan, find_spans
from medvlp.reports.lexicon import Lexicon, Match, load_lexicon
from medvlp.reports.location import locate, places_of
from medvlp.reports.remark import foreign_language
from medvlp.reports.report import Mention, Report, Sentence
from medvlp.reports.sections import find_sections
from medvlp.reports.sentences import find_sentences
from medvlp.reports.tokens import tokenize

_ANSWER = re.compile(
    r"(?:no|none|negative|neg|nil|absent|yes|positive|present|not (?:seen|present|identified))\W*", re.I
)


def parse_report(text: str, study: str | None = None) -> Report:
    """Read a report.

    Mentions come from the sections findings, impression and addendum. A text with neither findings nor impression is
    read as a whole, apart from its indication, history, technique, comparison and examination. A text in another
    language than English yields none; `report_remark` says so.

    Args:
        text: the raw text; all offsets of the result point into it.
        study: the MIMIC-CXR study id (`s50913680`), where it is one; 54 of its reports need special care.
    """
    report = Report(text, find_sections(text, study))
    if foreign_language(text):
        unread = (sentence for section in report.sections for sentence in find_sentences(text, section))
        return Report(text, report.sections, tuple(unread))
    read = report.sections_read
    sentences: list[Sentence] = []
    mentions: list[Mention] = []
    for section in report.sections:
        for sentence in find_sentences(text, section):
            if section.name in read:
                if (
                    sentences
                    and _ANSWER.fullmatch(text, sentence.start, sentence.end)
                    and text[sentences[-1].end - 1] == "?"
                ):
                    mentions = [m for m in mentions if m.sentence < len(sentences) - 1]
                    asked = sentences[-1]
                    found = _answered(text[asked.start : sentence.end], asked.end - asked.start)
                    mentions += [_placed(mention, asked.start, len(sentences) - 1) for mention in found]
                else:
                    found = list(parse_sentence(text[sentence.start : sentence.end]))
                    mentions += [_placed(mention, sentence.start, len(sentences)) for mention in found]
            sentences.append(sentence)
    return Report(text, report.sections, tuple(sentences), tuple(mentions))


def _answered(text: str, asked: int) -> list[Mention]:
    """The mentions of a question, as the answer after it decides them; a cue beyond its end is left out."""
    found = [m for m in parse_sentence(text) if m.end <= asked]
    return [replace(m, cue=m.cue if m.cue and m.cue in text[:asked].lower() else None) for m in found]


def _placed(m: Mention, at: int, sentence: int) -> Mention:
    """The mention of a sentence that begins at `at` in the report."""
    where = (m.start + at, m.end + at, sentence)
    return Mention(m.finding, m.assertion, *where, m.place, m.side, m.severity, m.size_mm, m.temporality, m.cue)


@lru_cache(maxsize=20_000)
def parse_sentence(text: str) -> tuple[Mention, ...]:
    """The mentions of one sentence, offsets from its beginning, `sentence` 0.

    Sentences recur from report to report, so the last 20,000 are remembered.
    """
    lexicon = load_lexicon()
    tokens = tokenize(text, lexicon.vocabulary)
    words = [token.word for token in tokens]
    found: list[Mention] = []
    matches = with_elisions(lexicon.match(words), words, lexicon)
    clauses = list(_clauses(matches, len(words), lexicon))
    for spans, clause, _, _ in clauses:
        assert_findings(spans, clause, words, lexicon)
    find_imitations([span for spans, *_ in clauses for span in spans], matches, words, lexicon)
    for spans, clause, first, last in clauses:
        severity, time = severities(spans, clause, words), temporalities(spans, clause, words, lexicon)
        size, where = sizes(spans, words, first, last), locate(spans, clause, words, lexicon)
        for k, span in enumerate(spans):
            start, end, cue = tokens[span.first].start, tokens[span.last].end, None
            if span.cue_words:
                cue = text[tokens[span.cue_words[0]].start : tokens[span.cue_words[1]].end].lower()
            for side, region in where[k]:
                home = lexicon.homes[span.finding]
                unplaced = None if region.outside and home.in_lung else span.finding
                finding = lexicon.located.get((span.finding, region.name), unplaced)
                if finding is None or finding.startswith("_"):
                    continue
                attributes = severity.get(k), size.get(k), time.get(k), cue
                for place, on in places_of(side, region, lexicon.homes[span.finding]):
                    found.append(Mention(finding, span.assertion, start, end, 0, place, on, *attributes))
    return tuple(found)


def _clauses(
    matches: list[Match], n_words: int, lexicon: Lexicon
) -> Iterator[tuple[list[FindingSpan], list[Match], int, int]]:
    """`(findings, matches, first word, last word)` of each stretch between stops ("but", "however", ";").

    A stretch without a finding belongs to the one before it: "effusion, which is unchanged".
    """
    starts = [0, *(k for k, m in enumerate(matches) if k and m.term.stop), len(matches)]
    stretches: list[tuple[list[FindingSpan], int, int]] = []
    for a, b in pairwise(starts):
        spans = find_spans(matches[a:b], lexicon)
        if stretches and not (spans and stretches[-1][0]):
            before, start, _ = stretches[-1]
            stretches[-1] = (before or spans, start, b)
        else:
            stretches.append((spans, a, b))
    for spans, a, b in stretches:
        first = matches[a].first if a else 0
        last = matches[b].first - 1 if b < len(matches) else n_words - 1
        if spans:
            yield spans, matches[a:b], first, last
