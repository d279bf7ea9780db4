"""The graph: hierarchy, exclusions and its array forms, against hand-drawn examples and slow loops."""

from __future__ import annotations

import numpy as np
import pytest

from medvlp.knowledge import ConceptGraph, Finding, KnowledgeError, Relation, UnknownNameError, load_findings
from medvlp.knowledge.graph import RELATIONS


def finding(name: str, **values) -> Finding:
    texts = {"definition": "A thing.", "radiographic": "A shadow."}
    return Finding(
        id=name, name=name, region="own", kind=values.pop("kind", "abnormality"), side="none", **texts, **values
    )


@pytest.fixture(scope="module")
def graph() -> ConceptGraph:
    return ConceptGraph.load()


@pytest.fixture
def small() -> ConceptGraph:
    """a > b > d, a > c > d; b excludes x; x > y; n is normal; t is a device."""
    findings = [
        finding("a"),
        finding("b", parents=("a",), excludes=("x",), suggests=("c",)),
        finding("c", parents=("a",), places=("aorta",)),
        finding("d", parents=("b", "c")),
        finding("x", excludes=("b",)),
        finding("y", parents=("x",)),
        finding("n", kind="normal"),
        finding("t", kind="device"),
    ]
    return ConceptGraph({f.id: f for f in findings})


def test_ancestors_and_descendants_by_hand(small: ConceptGraph) -> None:
    assert small.ancestors("d") == ("b", "c", "a")
    assert small.ancestors("a") == ()
    assert small.descendants("a") == ("b", "c", "d")
    assert small.descendants("d") == ()


def test_exclusions_are_inherited_and_mutual(small: ConceptGraph) -> None:
    assert small.excludes("b") == {"x", "y", "n"}
    assert small.excludes("d") == {"x", "y", "n"}
    assert small.excludes("y") == {"b", "d", "n"}
    assert small.excludes("n") == {"a", "b", "c", "d", "x", "y"}
    assert small.excludes("t") == frozenset()


def test_relations_and_sentences(small: ConceptGraph) -> None:
    assert small.relations("suggests") == [Relation("b", "suggests", "c")]
    assert small.relations("is_a", "located_in") == [
        ("b", "is_a", "a"),
        ("c", "is_a", "a"),
        ("c", "located_in", "aorta"),
        ("d", "is_a", "b"),
        ("d", "is_a", "c"),
        ("y", "is_a", "x"),
    ]
    assert small.sentences("located_in") == [("c", "is located in", "the aorta")]
    with pytest.raises(UnknownNameError, match="suggests"):
        small.relations("sugests")  # type: ignore[arg-type]


def test_ancestor_matrix_by_hand(small: ConceptGraph) -> None:
    expected = [[0, 0, 0], [1, 0, 0], [1, 0, 0]]
    np.testing.assert_array_equal(small.ancestor_matrix(["a", "b", "d"])[:, [0]], np.array(expected)[:, [0]])
    np.testing.assert_array_equal(small.ancestor_matrix(["a", "c", "x"]), np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0]]))


def test_ancestor_matrix_closes_labels_upwards(graph: ConceptGraph) -> None:
    findings = list(load_findings())
    labels = np.random.default_rng(0).random((20, len(findings))) < 0.02
    closed = labels | (labels @ graph.ancestor_matrix(findings))
    for row, closed_row in zip(labels, closed, strict=True):
        present = {f for f, p in zip(findings, row, strict=True) if p}
        expected = present | {a for f in present for a in graph.ancestors(f)}
        assert {f for f, p in zip(findings, closed_row, strict=True) if p} == expected


def test_edge_index_holds_the_relations_among_the_nodes(small: ConceptGraph) -> None:
    edges, kinds = small.edge_index(["a", "b", "c", "aorta"])
    nodes = ["a", "b", "c", "aorta"]
    triples = {(nodes[h], RELATIONS[k], nodes[t]) for (h, t), k in zip(edges.T, kinds, strict=True)}
    assert triples == {("b", "is_a", "a"), ("b", "suggests", "c"), ("c", "is_a", "a"), ("c", "located_in", "aorta")}
    edges, kinds = small.edge_index(["t"])
    assert (edges.shape, kinds.shape) == ((2, 0), (0,))
    with pytest.raises(UnknownNameError, match="aorta"):
        small.edge_index(["aort"])


def test_a_circle_is_refused() -> None:
    circle = ConceptGraph({"a": finding("a", parents=("b",)), "b": finding("b", parents=("a",))})
    with pytest.raises(KnowledgeError, match="kind of itself"):
        circle.ancestors("a")


def test_the_hierarchy_of_chexpert_holds(graph: ConceptGraph) -> None:
    for narrow in ("edema", "consolidation", "pneumonia", "lung_lesion", "atelectasis"):
        assert "lung_opacity" in graph.ancestors(narrow)
    assert "enlarged_cardiomediastinum" in graph.ancestors("cardiomegaly")
    assert "fracture" in graph.ancestors("rib_fracture")
    assert {"endotracheal_tube", "picc", "pacemaker"} <= set(graph.descendants("support_devices"))


def test_absence_goes_down_by_name(graph: ConceptGraph) -> None:
    assert set(graph.kinds_by_name("atelectasis")) == {
        f"{kind}_atelectasis" for kind in ("lobar", "segmental", "linear", "basal", "total", "round")
    }
    assert graph.kinds_by_name("lung_opacity") == ()
    assert graph.kinds_by_name("enlarged_cardiomediastinum") == ()


def test_no_finding_excludes_abnormalities_but_no_device(graph: ConceptGraph) -> None:
    excluded = graph.excludes("no_finding")
    assert {"edema", "rib_fracture", "pneumonia"} <= excluded
    assert not excluded & {"pacemaker", "endotracheal_tube", "nipple_shadow", "no_finding"}
    assert "no_finding" in graph.excludes("nodule")
