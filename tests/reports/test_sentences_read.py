"""Every hand-written sentence of `sentences_*.yaml` yields exactly the mentions that stand beside it."""

import shlex
from collections import Counter
from pathlib import Path

import pytest
import yaml

from medvlp.knowledge import load_findings
from medvlp.reports import Mention, parse_report

_COMPARED = {"side": "side", "place": "place", "severity": "severity", "size": "size_mm", "time": "temporality"}


def _cases():
    for path in sorted(Path(__file__).parent.glob("sentences_*.yaml")):
        for phenomenon, sentences in yaml.safe_load(path.read_text()).items():
            for text, mentions in sentences.items():
                yield pytest.param(text, mentions, id=f"{path.stem}-{phenomenon}-{text[:60]}")


def _expected(line):
    finding, assertion, *attributes = shlex.split(line)
    return finding, assertion, dict(attribute.split("=") for attribute in attributes)


def _agrees(mention: Mention, expected) -> bool:
    finding, assertion, attributes = expected
    return (mention.finding, mention.assertion) == (finding, assertion) and all(
        getattr(mention, _COMPARED[key]) == (float(value) if key == "size" else value)
        for key, value in attributes.items()
    )


def test_there_are_at_least_400_sentences_and_they_name_known_findings():
    cases = list(_cases())
    named = {_expected(line)[0] for case in cases for line in case.values[1]}
    assert len(cases) >= 400
    assert named <= set(load_findings())


@pytest.mark.parametrize(("text", "mentions"), list(_cases()))
def test_sentence_yields_its_mentions(text, mentions):
    found = list(parse_report(text).mentions)
    expected = [_expected(line) for line in mentions]
    assert Counter((m.finding, m.assertion) for m in found) == Counter(e[:2] for e in expected), found
    for one in expected:
        assert any(_agrees(m, one) for m in found), f"nothing agrees with {one} in {found}"
