"""`parse_report`: a report's text -> its sections, sentences and mentions.

Tokenise once; find terms; find findings and cues; resolve their reach; attach modifiers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

from medvlp.reports.assertion import Spoken, assert_findings, find_spoken
from medvlp.reports.attributes import locations_by_finding, severities, sizes, temporalities
from medvlp.reports.lexicon import Lexicon, Match, load_lexicon
from medvlp.reports.place import find_locations, places_of
from medvlp.reports.report import Mention, Report, Sentence
from medvlp.reports.sections import READING_SECTIONS, find_sections
from medvlp.reports.sentences import find_sentences

_READ_WITHOUT_FINDINGS = READING_SECTIONS | {"preamble", "wet_read", "recommendation", "other"}
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
    reading = READING_SECTIONS
    if not any(s.name in ("findings", "impression") for s in sections):
        reading = _READ_WITHOUT_FINDINGS
    sentences: list[Sentence] = []
    mentions: list[Mention] = []
    for section in sections:
        for sentence in find_sentences(text, section):
            if section.name in reading:
                at, index = sentence.start, len(sentences)
                for start, end, rest in _read_sentence(text[at : sentence.end]):
                    finding, assertion, *more = rest
                    mentions.append(Mention(finding, assertion, at + start, at + end, index, *more))
            sentences.append(sentence)
    return Report(text, sections, tuple(sentences), tuple(mentions))


@lru_cache(maxsize=50_000)
def _read_sentence(text: str) -> tuple[tuple[int, int, tuple[Any, ...]], ...]:
    """`(start, end, (finding, assertion, place, ...))` of each mention; sentences recur, so they are remembered."""
    lexicon = load_lexicon()
    tokens = list(_TOKEN.finditer(text))
    words = [t[0].lower() for t in tokens]
    matches = lexicon.match(words)
    found = []
    for spoken, clause, first, last in _clauses(matches, len(words), lexicon):
        assert_findings(spoken, clause)
        severity, time = severities(spoken, clause), temporalities(spoken, clause)
        size = sizes(spoken, words, first, last)
        where = locations_by_finding(spoken, find_locations(clause, words))
        for k, one in enumerate(spoken):
            start, end = tokens[one.first].start(), tokens[one.last].end()
            location = where.get(k)
            inner = one.match.term
            side = (location.side if location else None) or inner.side
            region = (location.region if location else None) or inner.region or lexicon.homes[one.finding]
            side = side or region.side
            finding = lexicon.located.get((one.finding, region.name), one.finding)
            cue = None
            if one.cue_words:
                cue = text[tokens[one.cue_words[0]].start() : tokens[one.cue_words[1]].end()].lower()
            for place, place_side in places_of(side, region):
                found.append(
                    (
                        start,
                        end,
                        (
                            finding,
                            one.assertion,
                            place,
                            place_side,
                            severity.get(k),
                            size.get(k),
                            time.get(k),
                            cue,
                        ),
                    )
                )
    return tuple(found)


def _clauses(
    matches: list[Match], n_words: int, lexicon: Lexicon
) -> Iterator[tuple[list[Spoken], list[Match], int, int]]:
    """`(findings, matches, first word, last word)` of each stretch between stops ("but", "however", ";").

    A stretch without a finding belongs to the one before it: "effusion, which is unchanged".
    """
    starts = [0, *(k for k, m in enumerate(matches) if k and m.term.stop), len(matches)]
    stretches: list[tuple[list[Spoken], int, int]] = []
    for a, b in pairwise(starts):
        spoken = find_spoken(matches[a:b], lexicon)
        if stretches and not (spoken and stretches[-1][0]):
            before, start, _ = stretches[-1]
            stretches[-1] = (before or spoken, start, b)
        else:
            stretches.append((spoken, a, b))
    for spoken, a, b in stretches:
        first = matches[a].first if a else 0
        last = matches[b].first - 1 if b < len(matches) else n_words - 1
        if spoken:
            yield spoken, matches[a:b], first, last
