"""medvlp: vision-language pre-training for radiology.

    import medvlp

    image = medvlp.read_image("study.dcm")          # medvlp.io.Image, float32 [H, W], 0 = black, 1 = white
    report = medvlp.parse_report(text)              # medvlp.reports.Report: sections, sentences, mentions
    model = medvlp.load("runs/devide")              # label, embed, segment, ground, retrieve

Names are loaded when they are first used, so that ``import medvlp`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medvlp import torchvision_compat
from medvlp.errors import install_advice

torchvision_compat.install()

__version__ = "0.1.0"

_LAZY = {
    "MedVLPError": "medvlp.errors",
    "compare": "medvlp.experiments",
    "load": "medvlp.tasks",
    "parse_report": "medvlp.reports",
    "pretrain": "medvlp.training.pretraining",
    "read_image": "medvlp.io",
    "read_volume": "medvlp.io",
}

if TYPE_CHECKING:
    from medvlp.errors import MedVLPError
    from medvlp.experiments import compare
    from medvlp.io import read_image, read_volume
    from medvlp.reports import parse_report
    from medvlp.tasks import load
    from medvlp.training.pretraining import pretrain

__all__ = [
    "MedVLPError",
    "__version__",
    "compare",
    "load",
    "parse_report",
    "pretrain",
    "read_image",
    "read_volume",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        try:
            return getattr(import_module(_LAZY[name]), name)
        except ModuleNotFoundError as error:
            if advice := install_advice(error.name or ""):
                raise ImportError(advice) from error
            raise
    raise AttributeError(f"module 'medvlp' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
