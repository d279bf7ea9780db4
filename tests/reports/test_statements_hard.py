"""Hard statements of `statements_hard.yaml`: each of nine kinds of fault, the state of each named finding."""

from pathlib import Path

import pytest
import yaml

from medvlp.knowledge import load_findings, study_labels
from medvlp.reports import parse_report

KINDS = yaml.safe_load(Path(__file__).with_name("statements_hard.yaml").read_text(encoding="utf-8"))
CASES = [(kind, text, states) for kind, statements in KINDS.items() for text, states in statements.items()]


def test_each_kind_has_at_least_20_statements():
    assert len(KINDS) == 9
    assert all(len(statements) >= 20 for statements in KINDS.values())


@pytest.mark.parametrize(("kind", "text", "states"), CASES)
def test_statement_gives_its_states(kind, text, states):
    report = parse_report(text)
    for expected in states.split(", "):
        finding, state = expected.split()
        assert finding in load_findings()
        found = study_labels(report, [finding], hedged="keep")[finding].name.lower()
        assert (found != "present") if state == "not" else (found == state), (kind, finding, found, report.mentions)
