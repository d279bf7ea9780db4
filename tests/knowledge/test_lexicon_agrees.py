"""The phrases that the report parser knows and the names of the knowledge speak of the same findings."""

from __future__ import annotations

import pytest

from medvlp.knowledge import LabelSpace, get_finding, load_findings
from medvlp.reports import parse_report
from medvlp.reports.lexicon import load_lexicon


# The parser reads these as a scar of the lung. They are scars of the pleura, CheXpert's "Pleural Other".
def core_names() -> list[tuple[str, str]]:
    """Every name of the findings of CheXpert, NIH and the phantom; `no_finding` is concluded, not mentioned."""
    core = dict.fromkeys(f for space in ("chexpert14", "nih14", "phantom15") for f in LabelSpace.load(space).findings)
    return [(name, finding) for finding in core if finding != "no_finding" for name in get_finding(finding).names]


def test_the_parser_speaks_of_known_findings_only() -> None:
    assert load_lexicon().findings <= set(load_findings())


@pytest.mark.parametrize(("name", "finding"), core_names())
def test_the_parser_reads_every_name_of_a_core_finding(name: str, finding: str) -> None:
    mentions = parse_report(f"FINDINGS: There is {name}.").mentions
    assert (finding, "present") in {(mention.finding, mention.assertion) for mention in mentions}


def test_most_names_of_the_other_findings_are_read_too() -> None:
    names = [(name, finding.id) for finding in load_findings().values() for name in finding.names]
    read = [f in {m.finding for m in parse_report(f"FINDINGS: There is {name}.").mentions} for name, f in names]
    assert sum(read) / len(read) > 0.95
