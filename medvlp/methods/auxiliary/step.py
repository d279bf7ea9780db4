"""`Step`: what a method's encoders give while its losses are computed, for those who read it too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from torch import nn

from medvlp.data.batch import Batch
from medvlp.methods.base import Method
from medvlp.models import ImageEncoder, ImageFeatures, TextEncoder, TextFeatures

Changed = Callable[[ImageFeatures], ImageFeatures]


class Step:
    """Context around `method.losses(batch)` in which the encoders are watched, so that nothing is encoded twice.

        with Step(method, batch) as step:
            losses = method.losses(batch)
        step.image.patches, step.report.tokens

    Forward hooks on `method.image_encoder` and `method.text_encoder` note what they give for `batch.images` and for
    `batch.report_tokens`, and are gone after the block: copies of an encoder (momentum twins, fine-tuning) carry none.
    A method that never reads whole reports, or reads them together with something else, leaves it to the first who
    asks for `report` to encode them, once.

    Args:
        method: with a text tower or without.
        batch: of this step.
        changes: applied in order to the features of `batch.images` before the method sees them.

    Attributes:
        batch, image_encoder: as given.
    """

    def __init__(self, method: Method, batch: Batch, changes: Sequence[Changed] = ()) -> None:
        self.batch, self._changes = batch, changes
        self.image_encoder: ImageEncoder = method.image_encoder
        self._text_encoder = method.text_encoder if method.reads_text else None
        self._image: ImageFeatures | None = None
        self._report: TextFeatures | None = None
        self._hooks: list[Any] = []

    @property
    def text_encoder(self) -> TextEncoder:
        """The method's text tower; those who ask for it are refused by methods without one."""
        assert self._text_encoder is not None
        return self._text_encoder

    @property
    def image(self) -> ImageFeatures:
        """Features of `batch.images`, not projected, as the method saw them."""
        if self._image is None:
            self._image = self._changed(self.image_encoder(self.batch.images))
        return self._image

    @property
    def report(self) -> TextFeatures:
        """Features of `batch.report_tokens`, not projected."""
        if self._report is None:
            self._report = self.text_encoder(self.batch.report_tokens, self.batch.report_mask)
        return self._report

    def __enter__(self) -> Step:
        self._hooks.append(self.image_encoder.register_forward_hook(self._saw_images))
        if self._text_encoder is not None:
            self._hooks.append(self._text_encoder.register_forward_hook(self._read_texts))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        if error is None and self._changes and self._image is None:
            raise RuntimeError(
                "an augmentation of image features had no effect: the losses of this method never give `batch.images` "
                "itself to the image encoder; leave that auxiliary out"
            )

    def _saw_images(self, encoder: nn.Module, given: tuple[Any, ...], features: ImageFeatures) -> ImageFeatures:
        if not given or given[0] is not self.batch.images:
            return features
        features = self._changed(features)
        self._image = self._image or features
        return features

    def _read_texts(self, encoder: nn.Module, given: tuple[Any, ...], features: TextFeatures) -> None:
        if given and given[0] is self.batch.report_tokens:
            self._report = self._report or features

    def _changed(self, features: ImageFeatures) -> ImageFeatures:
        for change in self._changes:
            features = change(features)
        return features
