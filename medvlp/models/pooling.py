"""From many tokens to fewer: attention pooling, words from word pieces, means over spans."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn import functional as F

from medvlp.models.tokenizer import ReportTokenizer


class AttentionPool(nn.Module):
    """Multi-head attention pooling with the mean of the tokens as query, as in CLIP's ResNets.

    There is no position code: add one to the tokens where order matters.

    Args:
        dim: width of the tokens. heads: attention heads. out_dim: width of the result, `dim` when None.

    Examples:
        >>> AttentionPool(8)(torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)).shape
        torch.Size([2, 8])
    """

    def __init__(self, dim: int, heads: int = 4, out_dim: int | None = None) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"{heads} heads do not divide the width {dim}")
        self.heads = heads
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.out = nn.Linear(dim, out_dim or dim)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Tokens `[N, T, D]` and mask bool `[N, T]` -> `[N, out_dim]`; zero for a row without any token."""
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device) if mask is None else mask
        exists = mask.any(1)
        mean = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp_min(1)
        query, key, value = self._split(self.query(mean)[:, None]), self._split(self.key(tokens)), self.value(tokens)
        attended = (mask | ~exists[:, None])[:, None, None]  # an empty row attends to its padding, and is zeroed below
        pooled = F.scaled_dot_product_attention(query, key, self._split(value), attn_mask=attended)
        return self.out(pooled.flatten(1)) * exists[:, None]

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [N, heads, T, D / heads]


def pool_words(tokens: Tensor, ids: Tensor, mask: Tensor, continues: Tensor) -> tuple[Tensor, Tensor]:
    """Word pieces -> words, as means over their pieces.

    Which word a piece belongs to is counted on the device (`cumsum` over the pieces that open a word), and the pieces
    of a word are summed in their order, the same one each time; GLoRIA, MGCA and PRIOR loop over tokens and wait for
    the device at each.

    Args:
        tokens: `[N, T, D]`. ids: int64 `[N, T]`. mask: bool `[N, T]`, True at pieces that belong to words: leave
            [CLS] and [SEP] out where they should not be words.
        continues: bool `[V]`, of `ReportTokenizer.continues_word`.

    Returns:
        words `[N, T, D]`, those of each text first and then zeros, and mask bool `[N, T]`.

    Examples:
        >>> tokens = torch.tensor([[[1.0], [3.0], [5.0]]])
        >>> continues = torch.tensor([False, True])  # of a vocabulary of two: piece 1 is `##...`
        >>> pool_words(tokens, torch.tensor([[0, 1, 0]]), torch.ones(1, 3, dtype=torch.bool), continues)
        (tensor([[[2.],
                 [5.],
                 [0.]]]), tensor([[ True,  True, False]]))
    """
    opens = mask & ~continues[ids]
    opens = opens | (mask & (mask.cumsum(1) == 1))  # a text that begins in the middle of a word
    word = (opens.cumsum(1) - 1).clamp_min(0)
    count = torch.zeros_like(word).scatter_add_(1, word, mask.long())
    share = mask.to(tokens.dtype) / count.gather(1, word).clamp_min(1)
    return _RunSums.apply(tokens, word, share), count > 0


class _RunSums(torch.autograd.Function):
    """Weighted sums of runs: `out[n, w] = sum of share[n, t] tokens[n, t]` over the t with `word[n, t] = w`.

    Runs are contiguous, so that forward visits each token once, and backward is one gather (the library's own sorts).
    """

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, word: Tensor, share: Tensor) -> Tensor:
        texts, pieces, width = tokens.shape
        ctx.save_for_backward(word, share)
        size = torch.zeros_like(word).scatter_add_(1, word, torch.ones_like(word))
        first = size.cumsum(1) - size + _rows(word)
        every = torch.arange(texts * pieces, device=tokens.device)
        sums = functional.embedding_bag(
            every, tokens.reshape(-1, width), first.flatten(), mode="sum", per_sample_weights=share.flatten()
        )
        return sums.view_as(tokens)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        word, share = ctx.saved_tensors
        own = grad.reshape(-1, grad.shape[2]).index_select(0, (word + _rows(word)).flatten())
        return own.view_as(grad) * share[..., None], None, None


def _rows(word: Tensor) -> Tensor:
    """`[N, 1]`: where each text begins among all N T places."""
    return torch.arange(len(word), device=word.device)[:, None] * word.shape[1]


class WordPooling(nn.Module):
    """`pool_words` for one tokenizer; [CLS] and [SEP] are no words.

    (GLoRIA counts [CLS] as a word in training and leaves it out in inference.)

    Examples:
        >>> tokenizer = ReportTokenizer.train(["no edema"], vocab_size=64, min_frequency=1)
        >>> ids, mask = tokenizer(["no edema"], max_length=8)
        >>> words, word_mask = WordPooling(tokenizer)(torch.randn(1, ids.shape[1], 4), ids, mask)
        >>> word_mask.sum()  # [CLS] and [SEP] are no words
        tensor(2)
    """

    continues: Tensor

    def __init__(self, tokenizer: ReportTokenizer) -> None:
        super().__init__()
        self.opening, self.closing = tokenizer.cls_id, tokenizer.sep_id
        self.register_buffer("continues", tokenizer.continues_word(), persistent=False)

    def forward(self, tokens: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens `[N, T, D]`, ids and mask `[N, T]` as they went into the encoder -> words `[N, T, D]` and mask."""
        return pool_words(tokens, ids, mask & (ids != self.opening) & (ids != self.closing), self.continues)


def span_mean(tokens: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Mean of `tokens[n, start:end]` for K spans of each text, `[N, K, D]`; zero for an empty one.

    With concepts as spans these are ConceptCLIP's concept vectors (Nie et al. 2025).

    Args:
        tokens: `[N, T, D]`. start, end: int64 `[N, K]`.

    Examples:
        >>> tokens = torch.tensor([[[1.0], [3.0], [5.0]]])
        >>> span_mean(tokens, torch.tensor([[0, 2]]), torch.tensor([[2, 3]]))
        tensor([[[2.],
                 [5.]]])
    """
    place = torch.arange(tokens.shape[1], device=tokens.device)
    inside = ((place >= start[..., None]) & (place < end[..., None])).to(tokens.dtype)  # [N, K, T]
    return inside @ tokens / inside.sum(2, keepdim=True).clamp_min(1)
