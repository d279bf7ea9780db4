"""`read_sentence`: one sentence -> its mentions. Tokenise once; find terms; find findings and cues; resolve; attach."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from medvlp.reports.assertion import assert_findings
from medvlp.reports.attributes import severities, sizes, temporalities
from medvlp.reports.lexicon import Lexicon, Match, load_lexicon
from medvlp.reports.location import locate, places_of
from medvlp.reports.report import Mention
from medvlp.reports.spoken import Spoken, find_spoken

_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?|[,;:?()/]")


@lru_cache(maxsize=20_000)
def read_sentence(text: str) -> tuple[Mention, ...]:
    """The mentions of one sentence, offsets from its beginning, `sentence` 0.

    Sentences recur from report to report, so the last 20,000 are remembered.
    """
    lexicon = load_lexicon()
    tokens = list(_TOKEN.finditer(text))
    words = [token[0].lower() for token in tokens]
    found: list[Mention] = []
    for spoken, clause, first, last in _clauses(lexicon.match(words), len(words), lexicon):
        assert_findings(spoken, clause)
        severity, time = severities(spoken, clause, words), temporalities(spoken, clause, words, lexicon)
        size, where = sizes(spoken, words, first, last), locate(spoken, clause, words, lexicon)
        for k, one in enumerate(spoken):
            start, end, cue = tokens[one.first].start(), tokens[one.last].end(), None
            if one.cue_words:
                cue = text[tokens[one.cue_words[0]].start() : tokens[one.cue_words[1]].end()].lower()
            for side, region in where[k]:
                finding = lexicon.located.get((one.finding, region.name), one.finding)
                if finding is None:
                    continue
                attributes = severity.get(k), size.get(k), time.get(k), cue
                for place, on in places_of(side, region, lexicon.homes[one.finding]):
                    found.append(Mention(finding, one.assertion, start, end, 0, place, on, *attributes))
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
