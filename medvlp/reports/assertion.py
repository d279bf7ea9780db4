"""Whether a clause states, denies or doubts its findings: the reach of cues, in the manner of NegEx and ConText.

References: Chapman et al., J Biomed Inform 34:301 (2001); Harkema et al., J Biomed Inform 42:839 (2009). The rules
differ: a denial outlives a hedge inside its list ("no opacity to suggest pneumonia"), a clause of its own ("heart size
is normal") is not reached by a cue before its subject, and a cue after a list covers the whole list.
"""

from __future__ import annotations

from medvlp.reports.finding_spans import LISTED, FindingSpan
from medvlp.reports.lexicon import Cue, Match


def assert_findings(spans: list[FindingSpan], matches: list[Match]) -> None:
    """Give each finding of a clause the cue that reaches it."""
    _reach_forward(spans, matches)
    _reach_back(spans, matches)


def _reach_forward(spans: list[FindingSpan], matches: list[Match]) -> None:
    governing: Match | None = None
    waiting = 0
    for n, match in enumerate(matches):
        term = match.term
        while waiting < len(spans) and spans[waiting].first <= match.first:
            _govern(spans[waiting], governing, matches)
            waiting += 1
        if term.stop or _opens_statement(n, matches):
            governing = None
        yields = governing is None or _joined(n, matches) or not (term.cue and _outlives(governing, term.cue))
        if yields and term.cue and (term.cue.where in ("before", "around") or _leads(match, matches)):
            governing = match
        if term.closes and not _modifies_next(n, matches):
            governing = None
    for rest in spans[waiting:]:
        _govern(rest, governing, matches)


def _joined(n: int, matches: list[Match]) -> bool:
    """Whether a comma or a conjunction stands right before a match."""
    return n > 0 and matches[n - 1].term.join is not None and matches[n - 1].last == matches[n].first - 1


def _outlives(governing: Match, cue: Cue) -> bool:
    """Whether a denial or a doubt goes on over a later cue: "no opacity to suggest", "likely representing"."""
    before = governing.term.cue.means if governing.term.cue else None
    if before == "uncertain":  # "question atelectasis versus infiltrate" is a question
        return cue.means == "present" or cue.where == "around"
    return before == "absent" != cue.means


def _opens_statement(k: int, matches: list[Match]) -> bool:
    """Whether a comma and a word of change or degree end a list: "no effusion, stable cardiomegaly"."""
    term = matches[k].term
    if not _joined(k, matches) or matches[k - 1].term.join != ",":
        return False
    if term.time in ("unchanged", "improved", "worsened"):
        return True
    return term.severity is not None and not any(m.term.join == "or" for m in matches[k:])


def _modifies_next(k: int, matches: list[Match]) -> bool:
    """Whether a verb form stands before the noun it belongs to ("no visible effusion") rather than after it."""
    if k + 1 == len(matches) or matches[k + 1].first != matches[k].last + 1:
        return False
    term = matches[k + 1].term
    return bool(term.finding or term.subject or term.severity or term.side or term.region or term.time)


def _leads(cue: Match, matches: list[Match]) -> bool:
    """Whether a cue that may stand on either side has a finding after it, before the next comma or conjunction."""
    if cue.term.cue is None or cue.term.cue.where != "either":
        return False
    for match in matches:
        if match.first > cue.last:
            if match.term.join:
                return False
            if match.term.finding or match.term.subject:
                return True
    return False


def _govern(span: FindingSpan, governing: Match | None, matches: list[Match]) -> None:
    if span.own_clause:  # only a cue between subject and predicate counts
        inside = [m for m in matches if span.first < m.first < span.last and m.term.cue]
        governing = inside[-1] if inside else None
    if governing and governing.term.cue:
        span.cue, span.cue_words = governing.term.cue, (governing.first, governing.last)


def _reach_back(spans: list[FindingSpan], matches: list[Match]) -> None:
    for match in matches:
        cue = match.term.cue
        if cue is None or cue.where == "before" or _leads(match, matches):
            continue
        before = [s for s in spans if s.last < match.first and not s.own_clause]
        nearest = before[-1] if before else None
        if nearest is None or (cue.where == "around" and nearest.cue and nearest.cue.means != "present"):
            continue
        # A list that another cue governs gives up its last finding only: "no effusion, pneumothorax not excluded".
        governed = nearest.cue_words
        following = nearest
        for span in reversed(before):
            alone = governed and cue.where != "around" and span is not nearest
            if span.cue_words != governed or alone or following.first - span.last > LISTED:
                break
            span.cue, span.cue_words = cue, (match.first, match.last)
            following = span
