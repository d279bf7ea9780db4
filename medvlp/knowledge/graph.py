"""`ConceptGraph`: how findings and places hang together, in the forms that KAD, KEEP and ARL need.

Relations, always read from left to right:

- `is_a`: a finding is a kind of another (lung nodule is_a lung lesion);
- `located_in`: a finding is usually found at a place;
- `suggests`: a finding is a sign of another, without proving it (air bronchogram suggests consolidation);
- `excludes`: two findings cannot both be true of one examination; symmetric.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from medvlp.knowledge.finding import Finding, load_findings
from medvlp.knowledge.places import PLACES, get_place
from medvlp.knowledge.yaml_files import KnowledgeError, unknown_name

RelationName = Literal["is_a", "located_in", "suggests", "excludes"]
RELATIONS: tuple[str, ...] = get_args(RelationName)

_PHRASES = {"is_a": "is a kind of", "located_in": "is located in", "suggests": "suggests", "excludes": "excludes"}


class Relation(NamedTuple):
    """`head relation tail`, by finding id or place name."""

    head: str
    relation: str
    tail: str


@dataclass(frozen=True)
class ConceptGraph:
    """The relations among the given findings and the 51 places.

    Build it with `ConceptGraph.load()` for all findings, or with a mapping of your own.
    """

    findings: Mapping[str, Finding]

    @classmethod
    def load(cls) -> ConceptGraph:
        """The graph of all findings of the package."""
        return _default_graph()

    def relations(self, *names: RelationName) -> list[Relation]:
        """All relations of the named kinds (every kind by default), in the order of the findings.

        Raises:
            UnknownNameError: no such kind of relation.
        """
        for name in names:
            if name not in RELATIONS:
                raise unknown_name("relation", name, RELATIONS)
        return [r for r in self._all if not names or r.relation in names]

    def sentences(self, *names: RelationName) -> list[tuple[str, str, str]]:
        """The relations in words, as (head, phrase, tail): what KAD trains its text encoder with.

        A pair of texts is then `head [SEP] phrase` and `tail`; names and definitions make its second kind of pair.
        """
        return [(self._words(r.head), _PHRASES[r.relation], self._words(r.tail)) for r in self.relations(*names)]

    def ancestors(self, finding_id: str) -> tuple[str, ...]:
        """What the finding is a kind of, near ones first, without itself.

        Raises:
            UnknownNameError: nobody knows the finding.
        """
        return self._closure(finding_id, {f.id: f.parents for f in self.findings.values()})

    def descendants(self, finding_id: str) -> tuple[str, ...]:
        """All kinds of the finding, near ones first, without itself."""
        return self._closure(finding_id, self._children)

    def kinds_by_name(self, finding_id: str) -> tuple[str, ...]:
        """The descendants whose id ends in the finding's: what its absence denies, too.

        "No fracture" denies a rib fracture. "No opacity" does not deny an edema, nor a normal mediastinum a large
        heart, though they are kinds of the former.
        """
        return self._kinds_by_name[self._known(finding_id)]

    def excludes(self, finding_id: str) -> frozenset[str]:
        """The findings that cannot be true beside this one, by its own exclusions or those of what it is a kind of.

        `no_finding` excludes every abnormality and disease, but no device, as in CheXpert.
        """
        return self._exclusions[self._known(finding_id)]

    def ancestor_matrix(self, findings: Sequence[str]) -> NDArray[np.bool_]:
        """`[F, F]`, True where column j is an ancestor of row i; the diagonal is False.

        KEEP takes a pair of groups out of the negatives where `m[i, j] | m[j, i]`; upward closure of labels `[B, F]` is
        `labels | (labels @ m)`.
        """
        column = {finding: j for j, finding in enumerate(findings)}
        matrix = np.zeros((len(findings), len(findings)), dtype=bool)
        for i, finding in enumerate(findings):
            matrix[i, [column[a] for a in self.ancestors(finding) if a in column]] = True
        return matrix

    def edge_index(self, nodes: Sequence[str], *names: RelationName) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Edges among `nodes` (finding ids and place names) for a graph network, as in ARL.

        Returns:
            edges `[2, E]` of node positions (head, tail) and the kind of each edge `[E]`, an index into `RELATIONS`.
        """
        position = {node: i for i, node in enumerate(nodes)}
        for node in nodes:
            self._words(node)
        kept = [r for r in self.relations(*names) if r.head in position and r.tail in position]
        edges = np.array([[position[r.head], position[r.tail]] for r in kept], dtype=np.int64).reshape(-1, 2).T
        return edges, np.array([RELATIONS.index(r.relation) for r in kept], dtype=np.int64)

    @cached_property
    def _all(self) -> tuple[Relation, ...]:
        relations = []
        for finding in self.findings.values():
            relations += [Relation(finding.id, "is_a", parent) for parent in finding.parents]
            relations += [Relation(finding.id, "located_in", place) for place in finding.places]
            relations += [Relation(finding.id, "suggests", other) for other in finding.suggests]
            relations += [Relation(finding.id, "excludes", other) for other in finding.excludes]
        return tuple(relations)

    @cached_property
    def _children(self) -> dict[str, tuple[str, ...]]:
        children: dict[str, list[str]] = {finding: [] for finding in self.findings}
        for finding in self.findings.values():
            for parent in finding.parents:
                children[parent].append(finding.id)
        return {finding: tuple(below) for finding, below in children.items()}

    @cached_property
    def _kinds_by_name(self) -> dict[str, tuple[str, ...]]:
        return {f: tuple(d for d in self.descendants(f) if d.endswith(f"_{f}")) for f in self.findings}

    @cached_property
    def _exclusions(self) -> dict[str, frozenset[str]]:
        excluded: dict[str, set[str]] = {finding: set() for finding in self.findings}
        for finding in self.findings.values():
            for other in (*finding.excludes, *self._abnormal(finding)):
                for one in (finding.id, *self.descendants(finding.id)):
                    for two in (other, *self.descendants(other)):
                        excluded[one].add(two)
                        excluded[two].add(one)
        return {finding: frozenset(others) for finding, others in excluded.items()}

    def _abnormal(self, finding: Finding) -> Iterable[str]:
        if finding.kind != "normal":
            return ()
        return (other.id for other in self.findings.values() if other.kind in ("abnormality", "disease"))

    def _closure(self, start: str, step: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        """What can be reached from `start`, breadth first."""
        reached: dict[str, None] = {}
        front = [self._known(start)]
        while front:
            front = list(dict.fromkeys(n for node in front for n in step[node] if n not in reached))
            reached |= dict.fromkeys(front)
        if start in reached:
            raise KnowledgeError(f"{start} is a kind of itself: {' -> '.join(reached)}")
        return tuple(reached)

    def _known(self, finding_id: str) -> str:
        if finding_id not in self.findings:
            raise unknown_name("finding", finding_id, self.findings)
        return finding_id

    def _words(self, node: str) -> str:
        if node in self.findings:
            return self.findings[node].name
        if node in PLACES:
            return get_place(node).words
        raise unknown_name("finding or place", node, [*self.findings, *PLACES])


@lru_cache(maxsize=1)
def _default_graph() -> ConceptGraph:
    return ConceptGraph(load_findings())
