"""`parse_report`: a report's text -> its sections, sentences and mentions; `parse_sentence`: those of one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from medvlp.reports.assertion import assert_findings
from medvlp.reports.attributes import severities, sizes, temporalities
from medvlp.reports.finding_spans import FindingSpan, find_spans
from medvlp.reports.lexicon import Lexicon, Match, load_lexicon
from medvlp.reports.location import locate, places_of
from medvlp.reports.report import Mention, Report, Sentence
from medvlp.reports.sections import MENTION_SECTIONS, find_sections
from medvlp.reports.sentences import find_sentences

_SECTIONS_WITHOUT_FINDINGS = MENTION_SECTIONS | {"preamble", "wet_read", "recommendation", "other"}
_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?|[,;:?()/]")


def parse_report(text: str, study: str | None = None) -> Report:
    """Read a report.

    Mentions come from the sections findings, impression and addendum. A text with neither findings nor impression is
    read as a whole, apart from its indication, history, technique, comparison and examination.

    Args:
        text: the raw text; all offsets of the result point into it.
        study: the MIMIC-CXR study id (`s50913680`), where it is one; 54 of its reports need special care.
    """
    sections = find_sections(text, study)
    read = MENTION_SECTIONS
    if not any(s.name in ("findings", "impression") for s in sections):
        read = _SECTIONS_WITHOUT_FINDINGS
    sentences: list[Sentence] = []
    mentions: list[Mention] = []
    for section in sections:
        for sentence in find_sentences(text, section):
            if section.name in read:
                found = parse_sentence(text[sentence.start : sentence.end])
                mentions += [_placed(mention, sentence.start, len(sentences)) for mention in found]
            sentences.append(sentence)
    return Report(text, sections, tuple(sentences), tuple(mentions))


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
    tokens = list(_TOKEN.finditer(text))
    words = [token[0].lower() for token in tokens]
    found: list[Mention] = []
    for spans, clause, first, last in _clauses(lexicon.match(words), len(words), lexicon):
        assert_findings(spans, clause)
        severity, time = severities(spans, clause, words), temporalities(spans, clause, words, lexicon)
        size, where = sizes(spans, words, first, last), locate(spans, clause, words, lexicon)
        for k, span in enumerate(spans):
            start, end, cue = tokens[span.first].start(), tokens[span.last].end(), None
            if span.cue_words:
                cue = text[tokens[span.cue_words[0]].start() : tokens[span.cue_words[1]].end()].lower()
            for side, region in where[k]:
                finding = lexicon.located.get((span.finding, region.name), span.finding)
                if finding is None:
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
