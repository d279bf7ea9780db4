"""`PretrainingObjective`: a method with its auxiliary losses, as one module that training calls."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from torch import Tensor, nn

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.auxiliary.base import Augmentation, AugmentedBatch, Auxiliary, AuxiliaryLoss
from medvlp.methods.base import Encoded, Method
from medvlp.models import Ranks

_OLD_PREFIX = "extras."


class PretrainingObjective(nn.Module):
    """One step: augment the batch, encode it once, then the losses of the method and the auxiliary ones.

    Args:
        method: any. auxiliary: by name, in the order in which augmentations are applied.

    Raises:
        ValueError: an auxiliary loss reads text, and the method has no text tower.

    Examples:
        >>> import torch
        >>> from medvlp.methods import AUXILIARY, MethodParts, build_method
        >>> parts, FILIP = MethodParts.tiny(["edema"]), AUXILIARY.get("filip")
        >>> clip, filip = build_method("clip", **vars(parts)), FILIP(parts, FILIP.Options())
        >>> objective = PretrainingObjective(clip, {"filip": filip})
        >>> objective.losses(parts.make_batch(torch.zeros(2, 1, 64, 64), ["Mild edema.", "Normal."])).keys()
        dict_keys(['contrast', 'filip/contrast'])
    """

    def __init__(self, method: Method, auxiliary: Mapping[str, Auxiliary] | None = None) -> None:
        super().__init__()
        for name, part in (auxiliary or {}).items():
            if part.reads_text and not method.reads_text:
                raise ValueError(
                    f"auxiliary.{name}: it reads reports with the method's text tower, and {type(method).__name__} has "
                    "none; leave it out, or take a vision-language method such as clip"
                )
        self.method, self.auxiliary = method, nn.ModuleDict(auxiliary or {})

    @property
    def model(self) -> nn.Module:
        """What is saved: the method alone, or with auxiliary losses both, as `method.*` and `auxiliary.<name>.*`."""
        return self if len(self.auxiliary) else self.method

    @property
    def required_fields(self) -> frozenset[BatchField]:
        """What a batch must hold for the method and every auxiliary loss."""
        return self.method.required_fields.union(*(part.required_fields for part in self._parts().values()))

    @property
    def ranks(self) -> Ranks:
        """Of a distributed run; setting it reaches the method and every auxiliary loss."""
        return self.method.ranks

    @ranks.setter
    def ranks(self, ranks: Ranks) -> None:
        self.method.ranks = ranks
        for part in self._parts().values():
            part.ranks = ranks

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The method's losses by their names, and the auxiliary ones as `<auxiliary>/<name>`, times their weight."""
        augmented: dict[str, AugmentedBatch] = {}
        for name, part in self._parts().items():
            if isinstance(part, Augmentation):
                augmented[name] = part.augment(batch, self.method.text_encoder)
                batch = augmented[name].batch
        encoded = self.method.encode(batch)
        for change in augmented.values():
            encoded = replace(encoded, image=change.augment_features(encoded.image))
        terms = dict(self.method.losses(batch, encoded))
        encoded = self._with_report(batch, encoded)
        for name, part in self._parts().items():
            if isinstance(part, AuxiliaryLoss):
                if self.training:
                    part.update(self.method)
                added = part.losses(batch, encoded)
            else:
                added = augmented[name].losses()
            terms |= {f"{name}/{term}": part.options.weight * loss for term, loss in added.items()}
        return terms

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """`losses`."""
        return self.losses(batch)

    def _parts(self) -> dict[str, Auxiliary]:
        return cast(dict[str, Auxiliary], dict(self.auxiliary.items()))

    def _with_report(self, batch: Batch, encoded: Encoded) -> Encoded:
        """With the features of the reports, where an auxiliary loss reads them and the method does not."""
        if encoded.report is None and any(
            isinstance(part, AuxiliaryLoss) and part.reads_text for part in self._parts().values()
        ):
            report = self.method.text_encoder(batch.report_tokens, batch.report_mask)
            return replace(encoded, report=report)
        return encoded


def current_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by their names of today: those of auxiliary losses began with `extras.` in models of version 0.1."""
    if any(name.startswith(_OLD_PREFIX) for name in weights):
        logging.getLogger(__name__).warning("weights named `extras.*` are read as `auxiliary.*`")
    return {
        f"auxiliary.{name.removeprefix(_OLD_PREFIX)}" if name.startswith(_OLD_PREFIX) else name: tensor
        for name, tensor in weights.items()
    }
