"""Several runs as one: the demo, comparisons of methods, and the plans that both follow.

May import every room but `cli`.
Begin with `experiment.py` (one plan, one page) and `compare.py` (many methods, one table).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medvlp.lazy import lazy_names

_LAZY = {
    "ComparisonPlan": "plan",
    "ExperimentPlan": "plan",
    "compare": "compare",
    "run_experiment": "experiment",
}

if TYPE_CHECKING:
    from medvlp.experiments.compare import compare
    from medvlp.experiments.experiment import run_experiment
    from medvlp.experiments.plan import ComparisonPlan, ExperimentPlan

__all__ = ["ComparisonPlan", "ExperimentPlan", "compare", "run_experiment"]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
