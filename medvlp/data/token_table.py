"""`TokenTable`: a whole corpus tokenised once; a batch is then one gather, without a loop over words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokenizer = Callable[..., tuple[Any, Any]]  # tokenizer(texts, max_length=n) -> ids int64 [N, T], mask bool [N, T]
_TEXTS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class TokenTable:
    """Tokens of N texts, back to back.

    Attributes:
        tokens: int32, all texts' tokens one after the other.
        offsets: where each text begins, `[N + 1]`.
        pad: the id that fills up a batch.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    pad: int

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: Tokenizer, max_length: int) -> TokenTable:
        """Tokenise `texts`, each distinct one once. An empty text has no tokens, not even the special ones."""
        distinct = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        pieces: list[NDArray[np.int32]] = []
        pad = 0
        keys = list(distinct)
        for start in range(0, len(keys), _TEXTS_AT_ONCE):
            some = keys[start : start + _TEXTS_AT_ONCE]
            ids, mask = (np.asarray(a) for a in tokenizer(some, max_length=max_length))
            mask = mask.astype(bool)
            if not mask.all():
                pad = int(ids[~mask][0])
            pieces += [
                ids[i][mask[i]].astype(np.int32) if text else np.empty(0, np.int32) for i, text in enumerate(some)
            ]
        order = [distinct[text] for text in texts]
        lengths = np.array([len(pieces[i]) for i in order], np.int64)
        tokens = np.concatenate([pieces[i] for i in order]) if order else np.empty(0, np.int32)
        return cls(tokens, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), pad)

    def gather(self, texts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Tokens of some texts `[...]`, -1 for no text: ids `[..., T]` and mask, T the longest among them."""
        starts = self.offsets[texts]
        lengths = np.where(texts < 0, 0, self.offsets[texts + 1] - starts)
        places = np.arange(max(1, lengths.max(initial=0)))
        mask = places < lengths[..., None]
        ids = np.full(mask.shape, self.pad, np.int64)
        ids[mask] = self.tokens[(starts[..., None] + places)[mask]]
        return ids, mask
