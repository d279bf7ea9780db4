"""`WithExtras`: a method and what it is trained with beside its own losses, as one method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from medvlp.data.batch import Batch
from medvlp.methods.base import Method, MethodParts
from medvlp.methods.extras.base import AddedLoss, Augmentation, Change, Extra, ExtraOptions
from medvlp.methods.extras.registry import extras_by_name
from medvlp.methods.extras.step import Step
from medvlp.models import ImageFeatures, Ranks, TextFeatures


class WithExtras(Method):
    """The method's verbs are the method's own; `losses` are its losses and those of the extras.

    Weights of both are in one state dict, as `method.*` and `extras.<name>.*`. Every other attribute (`image_encoder`,
    `bank`, `options`, ...) is the method's.

    Args:
        method: any.
        extras: by name, in the order in which augmentations are applied.

    Raises:
        ValueError: an extra reads text, and the method has no text tower.
    """

    def __init__(self, method: Method, extras: Mapping[str, Extra]) -> None:
        nn.Module.__init__(self)
        for name, extra in extras.items():
            if extra.reads_text and not method.reads_text:
                raise ValueError(
                    f"extras.{name}: it reads reports with the method's text tower, and {type(method).__name__} has "
                    "none; leave it out, or take a vision-language method such as clip"
                )
        self.method, self.extras = method, nn.ModuleDict(extras)
        # What stands on the class of another method is for this one known only when it is built.
        self.needs = method.needs.union(*(extra.needs for extra in extras.values()))  # type: ignore[misc]
        self.reads_text = method.reads_text  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("method"), name)

    @property
    def ranks(self) -> Ranks:  # type: ignore[override]
        """Of a distributed run; setting it reaches the method and every extra."""
        return self.method.ranks

    @ranks.setter
    def ranks(self, ranks: Ranks) -> None:
        self.method.ranks = ranks
        for extra in self._by_name().values():
            extra.ranks = ranks

    def _by_name(self) -> dict[str, Extra]:
        return cast(dict[str, Extra], dict(self.extras.items()))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The method's losses by their names, and those of each extra as `<extra>/<name>`."""
        changes: dict[str, Change] = {}
        for name, extra in self._by_name().items():
            if isinstance(extra, Augmentation):
                changes[name] = extra.begin(batch, self.method.text_encoder)
                batch = changes[name].batch
        with Step(self.method, batch, [change.features for change in changes.values()]) as step:
            terms = dict(self.method.losses(batch))
        for name, extra in self._by_name().items():
            added = extra.losses(step) if isinstance(extra, AddedLoss) else changes[name].losses()
            terms |= {f"{name}/{term}": extra.options.weight * loss for term, loss in added.items()}
        return terms

    def encode_images(self, images: Tensor) -> ImageFeatures:
        return self.method.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        return self.method.encode_texts(texts)

    def score(self, images: Tensor, findings: Sequence[str]) -> Tensor:
        return self.method.score(images, findings)

    def heat_map(self, images: Tensor, phrase: str) -> Tensor:
        return self.method.heat_map(images, phrase)


def add_extras(method: Method, parts: MethodParts, chosen: Mapping[str, ExtraOptions]) -> Method:
    """The method with extras; itself where none is chosen.

    Args:
        method: built from `parts`. chosen: the options of each extra, by registered name.

    Raises:
        ValueError: see `WithExtras`.
    """
    if not chosen:
        return method
    known = extras_by_name()
    return WithExtras(method, {name: known[name](parts, options) for name, options in chosen.items()})
