"""`LabelMap`: the labels of one data set read as those of another, by findings and by the hierarchy."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvlp.knowledge.graph import ConceptGraph
from medvlp.knowledge.label_space import LabelSpace
from medvlp.reports.states import FindingState


@dataclass(frozen=True)
class LabelMap:
    """What the labels of `source` say about those of `target`.

    Attributes:
        source, target: the two label spaces, of S and T labels.
        implies: bool `[S, T]`: presence of the source label means presence of the target label, since it is the same
            finding or a kind of it (PadChest's "laminar atelectasis" -> CheXpert's "Atelectasis").
        denies: bool `[S, T]`: absence of the source label means absence of the target label, since the target is the
            same finding or a kind that bears its name (CheXpert's "Fracture" -> PadChest's "rib fracture"; "Lung
            Opacity" does not deny "Edema", see `ConceptGraph.kinds_by_name`).
        excludes: bool `[S, T]`: presence of the source label means absence of the target label ("No Finding").
    """

    source: LabelSpace
    target: LabelSpace
    implies: NDArray[np.bool_]
    denies: NDArray[np.bool_]
    excludes: NDArray[np.bool_]

    @classmethod
    def between(cls, source: LabelSpace, target: LabelSpace, graph: ConceptGraph | None = None) -> LabelMap:
        """The map between two label spaces by the relations of `graph`, the package's by default."""
        graph = graph or ConceptGraph.load()
        implies = {s: {s, *graph.ancestors(s)} for s in source.findings}
        denies = {s: {s, *graph.kinds_by_name(s)} for s in source.findings}
        excludes = {s: graph.excludes(s) for s in source.findings}

        def matrix(relation: Mapping[str, Container[str]]) -> NDArray[np.bool_]:
            return np.array([[t in relation[s] for t in target.findings] for s in source.findings], dtype=bool)

        return cls(source, target, matrix(implies), matrix(denies), matrix(excludes))

    @property
    def covered(self) -> NDArray[np.bool_]:
        """bool `[T]`: target labels that the source can affirm and deny; only they make a fair test set."""
        covered: NDArray[np.bool_] = np.logical_and(self.implies.any(0), self.denies.any(0))
        return covered

    def states(self, states: NDArray[np.int8], exclusions: bool = False) -> NDArray[np.int8]:
        """Four-state labels `[N, S]` of the source as labels `[N, T]` of the target.

        Present where an implying label is present; else uncertain where one is uncertain; else absent where a denying
        label is absent; else unmentioned.

        Args:
            states: int8 in the codes of `FindingState`.
            exclusions: also read the presence of a label as the absence of what it excludes, such as everything
                abnormal beside "No Finding". Off by default, since many tables set "No Finding" where nothing was
                mentioned, which is no denial.

        Raises:
            ValueError: the columns are not those of the source.
        """
        if states.ndim != 2 or states.shape[1] != len(self.source):
            raise ValueError(f"labels of {self.source.name} are [N, {len(self.source)}], not {list(states.shape)}")
        mapped = np.full((len(states), len(self.target)), FindingState.UNMENTIONED, dtype=np.int8)
        if exclusions:
            mapped[(states == FindingState.PRESENT) @ self.excludes] = FindingState.ABSENT
        mapped[(states == FindingState.ABSENT) @ self.denies] = FindingState.ABSENT
        mapped[(states == FindingState.UNCERTAIN) @ self.implies] = FindingState.UNCERTAIN
        mapped[(states == FindingState.PRESENT) @ self.implies] = FindingState.PRESENT
        return mapped
