"""The hierarchy of findings as a matrix, for graded targets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medvlp.knowledge import get_finding


def ancestor_matrix(findings: Sequence[str]) -> Tensor:
    """bool `[F, A]`: True where concept `a` is the finding itself or one of its ancestors.

    The A concepts are all findings and ancestors that occur, in order of appearance; they need not be in `findings`.

    Raises:
        UnknownNameError: a finding that the knowledge base lacks.
    """
    lineages = [_lineage(finding) for finding in findings]
    concepts = list(dict.fromkeys(concept for lineage in lineages for concept in lineage))
    return torch.tensor([[concept in lineage for concept in concepts] for lineage in lineages])


def _lineage(finding: str) -> list[str]:
    found = [finding]
    for concept in found:  # grows while it is read
        found += [parent for parent in get_finding(concept).parents if parent not in found]
    return found
