"""The lexicon's files and their compilation."""

from pathlib import Path

import pytest
import yaml

import medvlp.reports
from medvlp.knowledge import LabelSpace, load_findings
from medvlp.knowledge.study_labels import study_labels
from medvlp.reports import FindingState, load_lexicon, parse_report
from medvlp.reports.lexicon import Lexicon, LexiconError, expand_pattern

_FOLDER = Path(medvlp.reports.__file__).parent
# Names that are no word of a report, or that mean something else in most sentences.
_UNREAD = {"normal", "no_finding", "device_tip", "obscured_border", "interstitial_pattern", "bronchovascular_markings"}


def test_patterns_expand():
    assert expand_pattern("opaci(ty|ties)") == ["opacity", "opacities"]
    assert expand_pattern("(pleural |)effusion(s|)") == [
        "pleural effusions",
        "pleural effusion",
        "effusions",
        "effusion",
    ]
    assert sorted(expand_pattern("a(b|c(d|e))")) == ["ab", "ab", "acd", "ace"] or set(
        expand_pattern("a(b|c(d|e))")
    ) == {
        "ab",
        "acd",
        "ace",
    }
    assert expand_pattern("air-space") == ["air space"]


def test_every_finding_of_the_lexicon_is_known():
    assert load_lexicon().findings <= set(load_findings())


def test_no_key_stands_twice():
    names = [p for p in _FOLDER.glob("lexicon_*.yaml") if p.stem not in ("lexicon_anatomy", "lexicon_cues")]
    keys = []
    for path in names:
        keys += [event.value for event, _ in yaml.compose(path.read_text()).value]
    assert len(keys) == len(set(keys))
    assert {key for key in keys if not key.startswith("_")} == load_lexicon().findings


@pytest.mark.parametrize(
    "space", ["chexpert14", "nih14", "phantom15", "ctrate18", "radchestct16", "vindr28", "nih_lt20"]
)
def test_the_names_of_each_label_are_read_as_that_label(space):
    labels = LabelSpace.load(space)
    for finding in labels.findings:
        if finding in _UNREAD:
            continue
        report = parse_report(f"There is {load_findings()[finding].name} today.")
        assert study_labels(report, [finding])[finding] == FindingState.PRESENT, finding


def test_nearly_all_names_and_synonyms_of_the_knowledge_are_read():
    unread = []
    for finding in load_findings().values():
        for name in finding.names:
            report = parse_report(f"There is {name} today.")
            if study_labels(report, [finding.id])[finding.id] != FindingState.PRESENT:
                unread.append((finding.id, name))
    total = sum(len(finding.names) for finding in load_findings().values())
    assert len(unread) < 0.09 * total, unread


def _lexicon(**changes):
    findings = {"edema": {"home": "lung", "words": ["edema"]}}
    anatomy = {
        "regions": {"lung": {"places": ["left_lung_unspec", "right_lung_unspec", None], "words": ["lung"]}},
        "sides": {},
        "subjects": {},
        "predicates": {},
        "located": {},
    }
    lists = ("stops", "joins", "closers", "pseudo", "prepositions", "qualifiers", "copulas")
    cues = {"cues": {}, "severity": {}, "temporality": {}, **{name: [] for name in lists}}
    return Lexicon(findings | changes.pop("findings", {}), anatomy | changes, cues, {})


def test_a_phrase_belongs_to_one_finding():
    with pytest.raises(LexiconError, match="'edema' names both"):
        _lexicon(findings={"swelling": {"home": "lung", "words": ["edema"]}})


def test_a_reading_names_a_finding_that_has_words():
    subjects = {"lungs": {"words": ["lungs"], "implies": {"wet": "water"}}}
    with pytest.raises(LexiconError, match="water"):
        _lexicon(subjects=subjects, predicates={"wet": {"adjectives": ["wet"]}})


def test_the_longest_phrase_wins():
    lexicon = load_lexicon()
    (match,) = lexicon.match(["loculated", "pleural", "effusion"])
    assert (match.first, match.last, match.term.finding) == (0, 2, "loculated_pleural_effusion")
