"""Published systems, one a file: what each encodes, its losses, its way to score a finding.

Imports models, objectives and the rooms before them. Begin with `base.py`, then read `clip.py`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medvlp.methods.auxiliary.base import Augmentation, AugmentedBatch, AuxiliaryLoss, AuxiliaryOptions
    from medvlp.methods.auxiliary.registry import AUXILIARY, register_auxiliary
    from medvlp.methods.base import Encoded, EncodedKnowledge, EncodedSentences, Method, MethodParts
    from medvlp.methods.dual_encoder import DualEncoder, report_contrast, reported_pairs
    from medvlp.methods.options import Options
    from medvlp.methods.pretraining_objective import PretrainingObjective
    from medvlp.methods.query_network import QueryNetwork
    from medvlp.methods.registry import METHODS, build_method, register_method

_MODULES = {
    "auxiliary.base": "AugmentedBatch Augmentation AuxiliaryLoss AuxiliaryOptions",
    "auxiliary.registry": "AUXILIARY register_auxiliary",
    "base": "Encoded EncodedKnowledge EncodedSentences Method MethodParts",
    "dual_encoder": "DualEncoder report_contrast reported_pairs",
    "options": "Options",
    "pretraining_objective": "PretrainingObjective",
    "query_network": "QueryNetwork",
    "registry": "METHODS build_method register_method",
}
_LAZY = {name: f"medvlp.methods.{module}" for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "AUXILIARY",
    "METHODS",
    "Augmentation",
    "AugmentedBatch",
    "AuxiliaryLoss",
    "AuxiliaryOptions",
    "DualEncoder",
    "Encoded",
    "EncodedKnowledge",
    "EncodedSentences",
    "Method",
    "MethodParts",
    "Options",
    "PretrainingObjective",
    "QueryNetwork",
    "build_method",
    "register_auxiliary",
    "register_method",
    "report_contrast",
    "reported_pairs",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'medvlp.methods' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
