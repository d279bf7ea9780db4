"""medvlp: vision-language pre-training for radiology.

    import medvlp

    image = medvlp.read_image("study.dcm")          # medvlp.io.Image, float32 [H, W], 0 = black, 1 = white
    report = medvlp.parse_report(text)              # medvlp.reports.Report: sections, sentences, mentions
    model = medvlp.load("runs/devide")              # label, embed, segment, ground, retrieve

Names are loaded when they are first used, so that ``import medvlp`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medvlp import torchvision_compat
from medvlp.lazy import lazy_names

torchvision_compat.install()

__version__ = "0.1.0"

_LAZY = {
    "MedVLPError": "errors",
    "compare": "experiments",
    "load": "tasks",
    "parse_report": "reports",
    "pretrain": "training.pretraining",
    "read_image": "io",
    "read_volume": "io",
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

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
