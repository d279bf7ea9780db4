"""`find_spans`: the findings that a clause speaks of, by their names and by predicates that meet a subject."""

from __future__ import annotations

from dataclasses import dataclass

from medvlp.reports.lexicon import Cue, Lexicon, Match
from medvlp.reports.report import Assertion

LISTED = 4  # from the last word of a finding to the first of the next, in one list: "atelectasis or left effusion"


@dataclass(slots=True)
class FindingSpan:
    """A finding that a clause speaks of, words `first` to `last`, and what has been made out about it so far."""

    finding: str
    first: int
    last: int
    match: Match
    present: bool = True  # False for readings such as "heart size is normal"
    own_clause: bool = False
    cue: Cue | None = None
    cue_words: tuple[int, int] | None = None

    @property
    def from_predicate(self) -> bool:
        """Whether it was implied by a subject and a predicate rather than by its name."""
        return self.match.term.finding is None

    @property
    def assertion(self) -> Assertion:
        """The cue applied to the reading: "not normal" is uncertain rather than present."""
        if self.cue is None or self.cue.means == "present":
            return "present" if self.present else "absent"
        if self.cue.means == "uncertain":
            return "uncertain"
        return "absent" if self.present else "uncertain"


def find_spans(matches: list[Match], lexicon: Lexicon) -> list[FindingSpan]:
    """The findings of a clause in the order of their words.

    A predicate speaks of the subjects before it ("heart and mediastinum are normal"), of the subject that follows it
    ("tortuous and calcified aorta"), and as a noun of the subject beside it ("cardiac enlargement").
    """
    spans: list[FindingSpan] = []
    subjects: list[Match] = []  # waiting for their predicate
    held: list[Match] = []  # predicates waiting for their subject
    consumed = False
    for k, match in enumerate(matches):
        term = match.term
        if term.finding:
            spans.append(FindingSpan(term.finding, match.first, match.last, match, present=not term.gone))
            held = []
            continue
        if term.subject:
            if consumed:
                subjects, consumed = [], False
            if held and match.first - held[-1].last <= 5:
                spans += [s for predicate in held for s in _implied(lexicon, match, predicate, False)]
            subjects.append(match)
            held = []
        if term.adjective or term.noun:
            following = matches[k + 1] if k + 1 < len(matches) else None
            leads = following and following.term.subject and following.first == match.last + 1
            if subjects and not (leads and term.adjective) and not (term.noun and match.first - subjects[-1].last > 2):
                implied = [s for subject in subjects for s in _implied(lexicon, subject, match, not term.noun)]
                if implied:
                    spans += implied
                    consumed = True
                    continue
            held = [*held, match] if held and match.first - held[-1].last == 2 else [match]
    spans.sort(key=lambda s: (s.first, s.last))
    return spans


def _implied(lexicon: Lexicon, subject: Match, predicate: Match, own_clause: bool) -> list[FindingSpan]:
    first, last = min(subject.first, predicate.first), max(subject.last, predicate.last)
    for name in predicate.term.adjective + predicate.term.noun:
        implied = lexicon.implied.get((subject.term.subject or "", name))
        if implied:
            return [FindingSpan(finding, first, last, subject, present, own_clause) for finding, present in implied]
    return []


def owner(first: int, last: int, spans: list[FindingSpan], forward: bool) -> int | None:
    """Index of the finding that a modifier at words `first..last` belongs to: the next one, or the one before it."""
    following = preceding = None
    for k, span in enumerate(spans):
        if span.first <= last and first <= span.last:
            return k
        if span.last < first:
            preceding = k
        elif following is None:
            following = k
    order = (following, preceding) if forward else (preceding, following)
    return next((k for k in order if k is not None), None)
