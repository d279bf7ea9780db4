"""Several runs as one: the demo, comparisons of methods, and the plans that both follow.

May import every room but `cli`.
Begin with `experiment.py` (one plan, one page) and `compare.py` (many methods, one table).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_LAZY = {
    "ComparisonPlan": "medvlp.experiments.plan",
    "ExperimentPlan": "medvlp.experiments.plan",
    "compare": "medvlp.experiments.compare",
    "run_experiment": "medvlp.experiments.experiment",
}

if TYPE_CHECKING:
    from medvlp.experiments.compare import compare
    from medvlp.experiments.experiment import run_experiment
    from medvlp.experiments.plan import ComparisonPlan, ExperimentPlan

__all__ = ["ComparisonPlan", "ExperimentPlan", "compare", "run_experiment"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
