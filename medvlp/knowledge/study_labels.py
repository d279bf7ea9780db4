"""`study_labels`: the mentions of a report -> one state for each finding, by the finding hierarchy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from medvlp.knowledge.finding import load_findings
from medvlp.knowledge.graph import ConceptGraph
from medvlp.knowledge.label_space import CountRule, LabelSpace
from medvlp.reports.remark import states_normal
from medvlp.reports.report import Report
from medvlp.reports.states import FindingState, HedgePolicy, resolve_hedge

NO_FINDING = "no_finding"
_DEVICES = "support_devices"

# A denial is weaker than a doubt, and a doubt weaker than a statement: one statement is enough for the study.
_STRENGTH = (1, 3, 2, 0)  # by the state's code: absent 0, present 1, uncertain 2, unmentioned -1

# Where label schemes depart from the knowledge's hierarchy: of 254 reports of the Open-i set that name a granuloma, the
# readers labelled 227 without a nodule; all that name a thickened fissure were labelled with pleural thickening.
_NOT_COUNTED = frozenset({("granuloma", "nodule")})
_COUNTED_TOO = {"fissure_thickening": "pleural_thickening"}


def study_labels(
    report: Report,
    findings: Sequence[str] | LabelSpace,
    hedged: HedgePolicy = "table",
    hedges: Mapping[str, str] | None = None,
) -> dict[str, FindingState]:
    """What a report says of each finding.

    - Over several mentions the strongest counts: present, then uncertain, then absent.
    - A finding that is present (or uncertain) makes every finding that it is a kind of present (or uncertain).
    - Absence goes down only where the name says so: without a `fracture` there is no `rib_fracture`. "No opacity" does
      not deny an edema, nor a normal mediastinum a large heart, so it does not go down to them.
    - `no_finding` speaks of the other findings asked for, devices apart, as the label schemes that have it do: present
      where the report denies a finding or calls something normal and none is stated or doubted, absent where one is
      stated, uncertain where one is only doubted, else unmentioned. Asked for alone, it speaks of all findings.
    - Whatever is not mentioned is UNMENTIONED.

    Args:
        report: a parsed report.
        findings: finding ids, or a label space, whose `counts` then apply.
        hedged: what an uncertain mention counts as: `keep | present | absent | table`.
        hedges: another hedge table, cue class -> `present | absent`.
    """
    mentioned: dict[str, FindingState] = {}
    for mention in report.mentions:
        _raise(mentioned, mention.finding, resolve_hedge(mention, hedged, hedges))
    states = _with_relatives(mentioned)
    if isinstance(findings, LabelSpace):
        states |= {finding: _counted(mentioned, finding, rule) for finding, rule in findings.counts.items()}
        findings = findings.findings
    if NO_FINDING in findings:
        others = [f for f in findings if f != NO_FINDING] or list(states)
        states[NO_FINDING] = _no_finding(report, {f: states[f] for f in others if f in states})
    return {finding: states.get(finding, FindingState.UNMENTIONED) for finding in findings}


def _counted(mentioned: Mapping[str, FindingState], label: str, rule: CountRule) -> FindingState:
    """The state of a label that has a rule of its own."""
    states = {label: FindingState.UNMENTIONED}
    for finding, state in mentioned.items():
        kinds = {finding, *counts_as(finding)}
        counted = finding in rule.only if rule.only else label in kinds and kinds.isdisjoint(rule.never)
        if finding == label or (state is not FindingState.ABSENT and (counted or kinds & rule.also)):
            _raise(states, label, state)
    return states[label]


def counts_as(finding: str) -> frozenset[str]:
    """All findings that a finding is a kind of, over any number of steps, as study labels count them."""
    return _above().get(finding, frozenset())


def _raise(states: dict[str, FindingState], finding: str, state: FindingState) -> None:
    if _STRENGTH[state] > _STRENGTH[states.get(finding, FindingState.UNMENTIONED)]:
        states[finding] = state


def _with_relatives(mentioned: Mapping[str, FindingState]) -> dict[str, FindingState]:
    """The mentioned findings, with what they imply for the findings above and below them."""
    graph, states = ConceptGraph.load(), dict(mentioned)
    for finding, state in mentioned.items():
        for relative in graph.kinds_by_name(finding) if state is FindingState.ABSENT else counts_as(finding):
            _raise(states, relative, state)
    return states


@lru_cache(maxsize=1)
def _above() -> dict[str, frozenset[str]]:
    """Finding -> all that it counts as."""
    parents = {f.id: [p for p in f.parents if (f.id, p) not in _NOT_COUNTED] for f in load_findings().values()}
    for finding, counted_as in _COUNTED_TOO.items():
        parents[finding].append(counted_as)

    def climb(finding: str) -> frozenset[str]:
        direct = parents.get(finding, ())
        return frozenset(direct).union(*map(climb, direct))

    return {finding: climb(finding) for finding in parents}


def _no_finding(report: Report, states: Mapping[str, FindingState]) -> FindingState:
    abnormal = {state for f, state in states.items() if f != _DEVICES and _DEVICES not in counts_as(f)}
    if FindingState.PRESENT in abnormal:
        return FindingState.ABSENT
    if FindingState.UNCERTAIN in abnormal:
        return FindingState.UNCERTAIN
    denied = any(mention.assertion == "absent" for mention in report.mentions)
    return FindingState.PRESENT if denied or states_normal(report) else FindingState.UNMENTIONED
