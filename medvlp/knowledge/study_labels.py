"""`study_labels`: the mentions of a report -> one state for each finding, by the finding hierarchy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from medvlp.knowledge.finding import load_findings
from medvlp.reports.hedges import Hedged, resolve_hedge
from medvlp.reports.report import Report
from medvlp.reports.states import FindingState

NO_FINDING = "no_finding"
_DEVICES = "support_devices"
# A denial is weaker than a doubt, and a doubt weaker than a statement: one statement is enough for the study.
_STRENGTH = {
    FindingState.UNMENTIONED: 0,
    FindingState.ABSENT: 1,
    FindingState.UNCERTAIN: 2,
    FindingState.PRESENT: 3,
}


def study_labels(
    report: Report,
    findings: Sequence[str],
    hedged: Hedged = "table",
    hedges: Mapping[str, str] | None = None,
) -> dict[str, FindingState]:
    """What a report says of each finding.

    - Over several mentions the strongest counts: present, then uncertain, then absent.
    - A finding that is present (or uncertain) makes every finding that it is a kind of present (or uncertain).
    - Absence goes down only where the name says so: without a `fracture` there is no `rib_fracture`. "No opacity" does
      not deny an edema, nor a normal mediastinum a large heart, so it does not go down to them.
    - `no_finding` is present where the report was read and states or doubts nothing but devices, absent where it
      states something, uncertain where it only doubts, unmentioned where there was nothing to read.
    - Whatever is not mentioned is UNMENTIONED.

    Args:
        report: a parsed report.
        findings: finding ids, such as `LabelSpace.findings`.
        hedged: what an uncertain mention counts as: `keep | present | absent | table`.
        hedges: another hedge table, cue class -> `present | absent`.
    """
    states = strongest((m.finding, resolve_hedge(m, hedged, hedges)) for m in report.mentions)
    return {
        finding: _no_finding(report, states) if finding == NO_FINDING else _with_relatives(finding, states)
        for finding in findings
    }


def strongest(states: Iterable[tuple[str, FindingState]]) -> dict[str, FindingState]:
    """The strongest state of each finding."""
    found: dict[str, FindingState] = {}
    for finding, state in states:
        if _STRENGTH[state] > _STRENGTH[found.get(finding, FindingState.UNMENTIONED)]:
            found[finding] = state
    return found


@lru_cache(maxsize=1)
def ancestors() -> Mapping[str, frozenset[str]]:
    """Finding id -> the ids of all that it is a kind of, over any number of steps."""
    parents = {finding.id: finding.parents for finding in load_findings().values()}

    def above(finding: str) -> frozenset[str]:
        direct = parents.get(finding, ())
        return frozenset(direct).union(*(above(parent) for parent in direct))

    return {finding: above(finding) for finding in parents}


def _with_relatives(finding: str, states: Mapping[str, FindingState]) -> FindingState:
    above = ancestors()
    best = states.get(finding, FindingState.UNMENTIONED)
    for other, state in states.items():
        raises = state in (FindingState.PRESENT, FindingState.UNCERTAIN) and finding in above.get(other, ())
        denies = state is FindingState.ABSENT and other in above.get(finding, ()) and finding.endswith(f"_{other}")
        if (raises or denies) and _STRENGTH[state] > _STRENGTH[best]:
            best = state
    return best


def _no_finding(report: Report, states: Mapping[str, FindingState]) -> FindingState:
    if not report.sentences:
        return FindingState.UNMENTIONED
    above = ancestors()
    said = {
        state for f, state in states.items() if f not in (NO_FINDING, _DEVICES) and _DEVICES not in above.get(f, ())
    }
    if FindingState.PRESENT in said:
        return FindingState.ABSENT
    return FindingState.UNCERTAIN if FindingState.UNCERTAIN in said else FindingState.PRESENT
