"""The knowledge of the package hangs together, and the check sees each kind of fault."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medvlp.knowledge import ConceptGraph, LabelSpace, get_finding, load_findings, validate_knowledge
from medvlp.knowledge.validation import cross_mentions, needless_permissions


def graph_with(finding: str, **changes) -> ConceptGraph:
    findings = dict(load_findings())
    findings[finding] = replace(findings[finding], **changes)
    return ConceptGraph(findings)


def test_nothing_is_wrong_with_the_package() -> None:
    assert validate_knowledge() == []


def test_there_are_at_least_120_findings_with_texts_and_aspects() -> None:
    assert len(load_findings()) >= 120
    for finding in load_findings().values():
        assert len(finding.definition.split()) >= 4, finding.id
        assert len(finding.radiographic.split()) >= 6, finding.id
        assert finding.places, finding.id


@pytest.mark.parametrize(
    ("space", "size"),
    [
        ("chexpert14", 14),
        ("nih14", 14),
        ("padchest", 193),
        ("ctrate18", 18),
        ("radchestct16", 16),
        ("medklip75", 75),
        ("phantom15", 15),
        ("dlilp85", 85),
        ("abnblip32", 32),
        ("kad41", 41),
        ("vindr28", 28),
        ("nih_lt20", 20),
    ],
)
def test_every_label_of_every_space_is_known(space: str, size: int) -> None:
    labels = LabelSpace.load(space)
    assert len(labels.all_labels) == size
    assert set(labels.findings) <= set(load_findings())
    assert set(labels.labels) | set(labels.aliases) | set(labels.others) == set(labels.all_labels)
    assert len(set(labels.findings)) == len(labels)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"parents": ("nodul",)}, "nodul"),
        ({"parents": ("multiple_nodules",)}, "kind of itself"),
        ({"places": ("left_lung",)}, "unknown name under `places`"),
        ({"sources": ("wikipedia",)}, "unknown name under `sources`"),
        ({"synonyms": ("pneumonia",)}, "is a name of"),
        ({"excludes": ("mass",)}, "which does not exclude it"),
        ({"suggests": ("lung_opacity",)}, "of which it is a kind"),
        ({"definition": "a spot."}, "capital letter"),
        ({"definition": "A spot, as in pneumonia."}, "names pneumonia"),
        ({"mentions": {"mass": "why not"}}, "is not needed"),
        ({"aspects": {"shape": "Round."}}, "has 1 aspects"),
    ],
)
def test_each_fault_is_seen(changes: dict, problem: str) -> None:
    problems = validate_knowledge(graph_with("nodule", **changes))
    assert any(problem in line for line in problems), problems


def test_mentions_are_whole_names_in_any_form() -> None:
    text = "Like pleural effusions, Rib-fractures or a massive thing; effusion-like is not meant."
    found = cross_mentions(graph_with("nodule", definition=text))
    assert [(m.other, m.words) for m in found] == [
        ("pleural_effusion", "pleural effusions"),
        ("rib_fracture", "Rib-fractures"),
    ]


def test_ancestors_and_permitted_names_may_be_named() -> None:
    assert cross_mentions(graph_with("nodule", definition="A lung lesion.")) == []
    permitted = graph_with("nodule", definition="Not a lung mass.", mentions={"mass": "the contrast defines it"})
    assert cross_mentions(permitted) == []
    assert needless_permissions(permitted) == []
    assert get_finding("edema").mentions
