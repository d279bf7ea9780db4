"""Whether a clause states, denies or doubts its findings: the reach of cues, in the manner of NegEx and ConText.

References: Chapman et al., J Biomed Inform 34:301 (2001); Harkema et al., J Biomed Inform 42:839 (2009). The rules
differ: a denial outlives a hedge inside its list ("no opacity to suggest pneumonia"), a clause of its own ("heart size
is normal") is not reached by a cue before its subject, and a cue after a list covers the whole list.
"""

from __future__ import annotations

from collections.abc import Sequence

from medvlp.reports.finding_spans import LISTED, FindingSpan
from medvlp.reports.lexicon import Cue, Lexicon, Match

_FIELDS = ("ticked", "unticked")  # each begins a field of its own
_CHANGES = ("improved", "worsened", "resolved")


def assert_findings(spans: list[FindingSpan], matches: list[Match], words: Sequence[str], lexicon: Lexicon) -> None:
    """Give each finding of a clause the cue that reaches it."""
    _reach_forward(spans, matches, lexicon)
    _reach_back(spans, matches, words, lexicon)
    _reach_neighbor(spans, matches, words, lexicon)
    _doubt_alternatives(spans, matches)


def _reach_forward(spans: list[FindingSpan], matches: list[Match], lexicon: Lexicon) -> None:
    governing: Match | None = None
    waiting = 0
    for n, match in enumerate(matches):
        term = match.term
        if _opens_statement(n, matches, governing):
            governing = None
        while waiting < len(spans) and spans[waiting].first <= match.first:
            _govern(spans[waiting], governing, matches)
            waiting += 1
        if term.stop and not _is(governing, "denied_that"):
            governing = None
        cue = term.cue
        held = governing and cue and not _joined(n, matches) and cue.name not in _FIELDS and _outlives(governing, cue)
        if cue and not held and (cue.where in ("before", "around") or _leads(match, matches)):
            governing = match
        if term.closes and not _modifies_next(n, matches) and not _is(governing, "denied_that"):
            governing = None
    for rest in spans[waiting:]:
        _govern(rest, governing, matches)


def _is(match: Match | None, name: str) -> bool:
    return bool(match and match.term.cue and match.term.cue.name == name)


def _joined(n: int, matches: list[Match]) -> bool:
    """Whether a comma or a conjunction stands right before a match."""
    return n > 0 and matches[n - 1].term.join is not None and matches[n - 1].last == matches[n].first - 1


def _outlives(governing: Match, cue: Cue) -> bool:
    """Whether a denial or a doubt goes on over a later cue: "no opacity to suggest", "likely representing"."""
    before = governing.term.cue.means if governing.term.cue else None
    if before == "uncertain":  # "question atelectasis versus infiltrate" is a question
        return cue.means == "present" or cue.where == "around"
    return before == "absent" != cue.means


def _opens_statement(k: int, matches: list[Match], governing: Match | None) -> bool:
    """Whether a list that is denied ends here: "no effusion, stable cardiomegaly", "no effusion and mild edema".

    It ends at a word of change or degree after a comma or "and", or right after a finding where nobody wrote commas,
    and at a finding after a comma with a verb of its own ("no effusion, cardiomegaly is noted"). An "or" that follows
    says that the list goes on.
    """
    if governing is None or not governing.term.cue or governing.term.cue.means != "absent" or k == 0:
        return False
    term, before = matches[k].term, matches[k - 1]
    if any(m.term.join in ("or", "nor", "/") for m in matches[k:]) or before.last != matches[k].first - 1:
        return False
    if before.term.join in (",", "and") and any(m.term.finding for m in matches[: k - 1]):
        if term.severity is not None or term.article or term.time or _is(matches[k], "past"):
            return _leads_finding(k, matches)
        return before.term.join == "," and term.finding is not None and _has_own_verb(k, matches)
    degree = term.severity not in (None, "large") or term.time in ("unchanged", "new", "worsened")
    return before.term.finding is not None and degree and _leads_finding(k, matches)


def _leads_finding(k: int, matches: list[Match]) -> bool:
    """Whether a modifier has a finding or its subject after it, before the next comma or conjunction."""
    for match in matches[k:]:
        if match.term.finding or match.term.subject:
            return True
        if match.term.join:
            return False
    return False


def _has_own_verb(k: int, matches: list[Match]) -> bool:
    """Whether the finding at `k`, last of a list of two, is followed by "is noted" and the like."""
    findings = [m for m in matches[:k] if m.term.finding]
    rest = matches[k + 1 :]
    verb = next((m for m in rest if m.term.closes or m.term.join or m.term.cue or m.term.severity or m.term.time), None)
    if verb is None or len(findings) != 1:
        return False
    predicate = bool(verb.term.severity or verb.term.time) and verb.first == matches[k].last + 2
    return predicate or (verb.term.closes and verb.last > verb.first)


def _doubt_alternatives(spans: list[FindingSpan], matches: list[Match]) -> None:
    """Doubt two findings with a slash between them that no other cue governs: "atelectasis/infiltrate"."""
    for match in matches:
        if match.term.cue is None or match.term.cue.where != "between":
            continue
        before = [s for s in spans if s.last == match.first - 1 and not s.from_predicate]
        after = [s for s in spans if match.last < s.first <= match.last + LISTED and not s.from_predicate][:1]
        if before and after and all(s.cue is None or s.cue.where == "between" for s in (*before, *after)):
            for span in (*before, *after):
                span.cue, span.cue_words = match.term.cue, (match.first, match.last)


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


def _reach_back(spans: list[FindingSpan], matches: list[Match], words: Sequence[str], lexicon: Lexicon) -> None:
    for match in matches:
        cue = match.term.cue
        if cue is None or cue.where in ("before", "adjacent", "imitator", "between") or _leads(match, matches):
            continue
        before = [s for s in spans if s.last < match.first and not s.own_clause]
        nearest = before[-1] if before else None
        if nearest is not None and words[match.first] == "?" and _asks_in_brackets(nearest, match, words):
            continue
        if nearest is None or (cue.where == "around" and nearest.cue and nearest.cue.means != "present"):
            continue
        if cue.where == "after" and cue.means == "absent":
            if _speaks_of_past(match, matches, words, lexicon):
                cue = lexicon.cues["not_seen_before"]
            elif nearest.cue and nearest.cue.name == "denied_that" and cue.time:
                cue = lexicon.cues["change_denied"]
        # A list that another cue governs gives up its last finding only: "no effusion, pneumothorax not excluded".
        governed = nearest.cue_words
        following = nearest
        for span in reversed(before):
            alone = governed and cue.where != "around" and span is not nearest
            if span.cue_words != governed or alone or following.first - span.last > LISTED:
                break
            span.cue, span.cue_words = cue, (match.first, match.last)
            following = span
    for span in spans:  # "no evidence that the effusion has increased"
        if span.cue and span.cue.name == "denied_that":
            after = [m for m in matches if m.first > span.last and m.term.time in _CHANGES]
            if after and not lexicon.copulas.isdisjoint(words[after[0].first - 1 : after[0].first + 1]):
                span.cue = lexicon.cues["change_denied"]


def _asks_in_brackets(span: FindingSpan, mark: Match, words: Sequence[str]) -> bool:
    """Whether a question mark asks what the brackets say: "mosaic attenuation (small airway disease?)"."""
    return "(" in words[span.last + 1 : mark.first - 1]


def _speaks_of_past(match: Match, matches: list[Match], words: Sequence[str], lexicon: Lexicon) -> bool:
    """Whether a denial is of an earlier film: "which was not visible in May", "not observed on the prior one"."""
    ends = [m.first for m in matches if m.first > match.last and (m.term.join == "," or m.term.stop)]
    tail = words[match.last + 1 : min([match.last + 9, *ends])]
    return not lexicon.past.isdisjoint(tail) and lexicon.now.isdisjoint(tail)


def _reach_neighbor(spans: list[FindingSpan], matches: list[Match], words: Sequence[str], lexicon: Lexicon) -> None:
    """Cues of one finding alone: what was treated or had before ("prior pneumonia") and left nothing behind."""
    for match in matches:
        if not (match.term.cue and match.term.cue.where == "adjacent"):
            continue
        span = next((s for s in spans if s.first > match.last), None)
        if span is None or span.first - match.last > 3 or span.cue is not None or span.from_predicate:
            continue
        lasting = {span.finding, lexicon.homes[span.finding].name} & lexicon.lasting
        told = any(m.first > span.last and (m.term.closes or m.term.time or m.term.cue) for m in matches)
        definite = match.first > 0 and words[match.first - 1] in ("the", "this", "these", "those")
        if not (lasting or told or definite):
            span.cue, span.cue_words = match.term.cue, (match.first, match.last)


def find_imitations(spans: list[FindingSpan], matches: list[Match], words: Sequence[str], lexicon: Lexicon) -> None:
    """Deny or doubt what a fold, a nipple, clothes or overlap explain: "nodular density, likely nipple shadow"."""
    for match in matches:
        cue = match.term.cue
        if cue is None or cue.where != "imitator":
            continue
        before = [s for s in spans if s.last < match.first and s.match is not match]
        if not before or match.first - before[-1].last > 12:
            continue
        between = words[before[-1].last + 1 : match.first]
        doubted = not lexicon.imitation_links["doubted"].isdisjoint(between)
        if not doubted and lexicon.imitation_links["sure"].isdisjoint(between):
            continue
        doubted = doubted or words[match.last + 1 : match.last + 2] == ["?"]
        for span in before[-1:]:
            if span.cue is None or span.cue.means != "absent":
                span.cue = lexicon.cues["imitated_perhaps"] if doubted else cue
                span.cue_words = (match.first, match.last)
