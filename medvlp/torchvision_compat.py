"""Let torchvision's Python code import beside a torch its compiled ops cannot load with.

The torchvision wheel on PyPI is built against CUDA torch. Beside a CPU-only torch its ``_C`` library cannot be
loaded, and then ``import torchvision`` (and with it timm, segmentation-models-pytorch, transformers, torchmetrics)
stops at ``register_fake("torchvision::nms")``. Declaring the two operator schemas first is enough: compiled ops then
raise torchvision's own clear error when called, everything else works. Nothing is done where the ops load.
"""

from __future__ import annotations

import importlib.abc
import importlib.metadata as metadata
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class _DeclareOpsBeforeTorchvision(importlib.abc.MetaPathFinder):
    library: Any = None  # kept alive: torch forgets the schemas when the library object dies

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            import torch

            type(self).library = torch.library.Library("torchvision", "FRAGMENT")
            for op in ("nms", "qnms"):
                self.library.define(op + _SCHEMA)
        return None


def install() -> bool:
    """Install the import hook where it is needed; True when it was installed."""
    try:
        torchvision, torch = metadata.version("torchvision"), metadata.version("torch")
    except metadata.PackageNotFoundError:
        return False
    mismatched = torch.endswith("+cpu") and not torchvision.endswith("+cpu")
    if not mismatched or "torchvision" in sys.modules or not sys.platform.startswith("linux"):
        return False
    sys.meta_path.insert(0, _DeclareOpsBeforeTorchvision())
    return True
