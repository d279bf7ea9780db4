"""Masked language modeling (BERT): some tokens of a text are masked and predicted from the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks

if TYPE_CHECKING:
    from medvlp.models.tokenizer import ReportTokenizer

_GOLDEN = 0.6180339887498949


@dataclass
class MaskedTokens:
    """N texts with some tokens masked, up to K of each.

    Attributes:
        ids: int64 `[N, T]`, the input of the text encoder.
        position: int64 `[N, K]`, of the masked tokens. labels: int64 `[N, K]`, their ids before.
        valid: bool `[N, K]`; False where a text has fewer than K masked.

    Examples:
        >>> ids, words = torch.tensor([[2, 7, 8, 3]]), torch.tensor([[False, True, True, False]])
        >>> masked = mask_tokens(ids, words, mask_id=4, vocab_size=9, rate=0.5, sample=False)
        >>> masked.ids, masked.position[masked.valid], masked.labels[masked.valid]
        (tensor([[2, 7, 4, 3]]), tensor([2]), tensor([8]))
    """

    ids: Tensor
    position: Tensor
    labels: Tensor
    valid: Tensor


def word_token_mask(ids: Tensor, mask: Tensor, tokenizer: ReportTokenizer) -> Tensor:
    """bool, of the shape of ids and mask: tokens that are neither padding nor [CLS] or [SEP].

    Examples:
        >>> from medvlp.models import ReportTokenizer
        >>> tokenizer = ReportTokenizer.train(["no edema"], vocab_size=64, min_frequency=1)
        >>> word_token_mask(*tokenizer(["no edema"], max_length=8), tokenizer)
        tensor([[False,  True,  True, False]])
    """
    return mask & (ids != tokenizer.cls_id) & (ids != tokenizer.sep_id)


def mask_tokens(
    ids: Tensor, words: Tensor, mask_id: int, vocab_size: int, rate: float = 0.15, sample: bool = True
) -> MaskedTokens:
    """Mask a fraction of each text's tokens: 80 % become [MASK], 10 % any token, 10 % stay (BERT, Devlin et al. 2019).

    Of n words `round(rate n)` are masked, at least one, so that K is known without waiting for the device, and logits
    are computed at masked positions only.

    Args:
        ids: int64 `[N, T]`. words: bool `[N, T]`, tokens that may be masked; see `word_token_mask`.
        mask_id: of [MASK]. vocab_size: number of tokens.
        rate: fraction of the words.
        sample: False masks the same positions each time, spread over the text, and always by [MASK]: for validation.

    Examples:
        >>> words = torch.tensor([[False, True, True, False]])
        >>> mask_tokens(torch.tensor([[2, 7, 8, 3]]), words, mask_id=4, vocab_size=9, sample=False).ids
        tensor([[2, 7, 4, 3]])
    """
    most = max(1, -int(-rate * ids.shape[1] // 1))
    spread = (torch.arange(1, ids.shape[1] + 1, device=ids.device) * _GOLDEN) % 1
    order = torch.rand(ids.shape, device=ids.device) if sample else spread.expand(ids.shape)
    position = order.masked_fill(~words, -1.0).topk(most, dim=1).indices
    count = words.sum(1, keepdim=True)
    valid = torch.arange(most, device=ids.device) < (rate * count).round().clamp_min(1).minimum(count)
    labels = ids.gather(1, position)
    replacement = torch.full_like(labels, mask_id)
    if sample:
        kind = torch.rand(labels.shape, device=ids.device)
        any_token = torch.randint(vocab_size, labels.shape, device=ids.device)
        replacement = torch.where(kind < 0.8, replacement, torch.where(kind < 0.9, any_token, labels))
    masked = ids.scatter(1, position, torch.where(valid, replacement, labels))
    return MaskedTokens(masked, position, labels, valid)


def masked_token_loss(logits: Tensor, labels: Tensor, valid: Tensor, ranks: Ranks = ONE_RANK) -> Tensor:
    """Cross-entropy of the masked tokens, averaged over all of them; 0 where none is masked.

    Args:
        logits: `[N, K, V]`. labels: int64 `[N, K]`. valid: bool `[N, K]`; see `MaskedTokens`.
        ranks: of a distributed run; the mean is then over the tokens of all ranks.

    Examples:
        >>> masked_token_loss(torch.zeros(1, 2, 8), torch.tensor([[3, 0]]), torch.tensor([[True, False]]))  # log 8
        tensor(2.0794)
    """
    loss = F.cross_entropy(at_least_float32(logits).flatten(0, 1), labels.flatten(), reduction="none")
    counted = valid.flatten().to(loss.dtype)
    return (loss * counted).sum() / mean_over_ranks(counted.sum(), ranks).clamp_min(1e-6)
