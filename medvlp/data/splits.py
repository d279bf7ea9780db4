"""Splits by patient: a pure function of the patient's id, so that they survive re-indexing and added patients."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np


def splits_by_patient(
    patient_ids: Iterable[str], fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> np.ndarray:
    """`train | validate | test` for each row; all rows of a patient agree, whatever else the table holds.

    Args:
        patient_ids: one a row.
        fractions: of patients for train, validate and test; they sum to 1.
        seed: another seed, another split.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"fractions are three numbers that sum to 1 (train, validate, test); got {tuple(fractions)}")
    patients = [str(p) for p in patient_ids]
    bounds = np.cumsum(fractions[:2])
    names = ("train", "validate", "test")
    split = {p: names[int(np.searchsorted(bounds, _unit(f"{seed}:{p}"), side="right"))] for p in set(patients)}
    return np.array([split[p] for p in patients], dtype=object)


def _unit(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
