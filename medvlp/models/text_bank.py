"""`TextBank`: a cache of the features of fixed texts (prompts, definitions), valid for one state of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from medvlp.models.encoders import TextFeatures
from medvlp.models.text_encoder import TextEncoder
from medvlp.models.tokenizer import ReportTokenizer

_CACHED = 64  # sets of texts whose tokens and features are cached


class TextBank:
    """Texts -> `TextFeatures` on the encoder's device.

    Texts are tokenized once. Features are cached as long as the encoder's weights stay the same, so that scoring a
    thousand batches encodes the prompts once, and a frozen encoder encodes its texts once in a training; while the
    encoder is trained they are computed at each call, with gradient. It is no `nn.Module`: the encoder belongs to the
    method, and would otherwise be saved twice.

    Examples:
        >>> tokenizer = ReportTokenizer.train(["no edema"], vocab_size=64, min_frequency=1)
        >>> bank = TextBank(TextEncoder(vocab_size=tokenizer.vocab_size, width=16, heads=2), tokenizer)
        >>> bank(["edema", "no edema"]).global_.shape
        torch.Size([2, 16])
    """

    def __init__(self, encoder: TextEncoder, tokenizer: ReportTokenizer) -> None:
        self.encoder, self.tokenizer = encoder, tokenizer
        self._no_gradient = False
        self._tokens: dict[tuple[str, ...], tuple[Tensor, Tensor]] = {}
        self._features: dict[tuple[str, ...], tuple[tuple[object, ...], TextFeatures]] = {}

    def __call__(self, texts: Sequence[str]) -> TextFeatures:
        """Features of N texts, `global_ [N, D]` and `tokens [N, T, D]`; not projected."""
        key = tuple(texts)
        ids, mask = self._tokenized(key)
        if torch.is_grad_enabled() and not (self.encoder.frozen or self._no_gradient):
            return self.encoder(ids, mask)
        weights = self._weights()
        cached = self._features.get(key)
        if cached is None or cached[0] != weights:
            with torch.no_grad():
                cached = (weights, self.encoder(ids, mask))
            self._features[key] = cached
            _drop_oldest(self._features)
        return cached[1]

    @contextmanager
    def without_gradient(self) -> Iterator[None]:
        """Inside, texts have no gradient though images may have: they are then encoded once, not for each batch."""
        before, self._no_gradient = self._no_gradient, True
        try:
            yield
        finally:
            self._no_gradient = before

    def truncated_texts(self) -> dict[str, int]:
        """Texts encoded so far that are longer than the encoder's `max_tokens` -> how many tokens each loses."""
        return self.tokenizer.truncated_texts(
            (text for texts in self._tokens for text in texts), self.encoder.max_tokens
        )

    def _tokenized(self, key: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        device = next(self.encoder.parameters()).device
        cached = self._tokens.get(key)
        if cached is None or cached[0].device != device:
            ids, mask = self.tokenizer(key, max_length=self.encoder.max_tokens)
            cached = (ids.to(device), mask.to(device))
            self._tokens[key] = cached
            _drop_oldest(self._tokens)
        return cached

    def _weights(self) -> tuple[object, ...]:
        """Changes whenever the encoder's weights do: torch counts in-place writes, and a replaced tensor has moved."""
        device = next(self.encoder.parameters()).device.type
        settings = (
            self.encoder.training,
            torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device),
        )
        return (*settings, *((p.data_ptr(), p._version) for p in self.encoder.parameters()))


def _drop_oldest(cache: dict) -> None:
    while len(cache) > _CACHED:
        cache.pop(next(iter(cache)))
