"""Masked language modelling: some tokens of a text are hidden, and are told from the rest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks
from medvlp.models.tokenizer import ReportTokenizer

_GOLDEN = 0.6180339887498949


@dataclass
class MaskedTokens:
    """N texts with some tokens hidden, up to K of each.

    Attributes:
        ids: int64 `[N, T]`, what the model reads.
        place: int64 `[N, K]`, where tokens were hidden. truth: int64 `[N, K]`, what stood there.
        counts: bool `[N, K]`; False where a text has fewer than K hidden.
    """

    ids: Tensor
    position: Tensor
    labels: Tensor
    valid: Tensor


def word_token_mask(ids: Tensor, mask: Tensor, tokenizer: ReportTokenizer) -> Tensor:
    """bool, of the shape of ids and mask: tokens that are neither padding nor [CLS] or [SEP]."""
    return mask & (ids != tokenizer.cls_id) & (ids != tokenizer.sep_id)


def mask_tokens(
    ids: Tensor, words: Tensor, mask_id: int, vocab_size: int, rate: float = 0.15, sample: bool = True
) -> MaskedTokens:
    """Hide a share of each text's tokens: 80 % become [MASK], 10 % any token, 10 % stay (BERT, Devlin et al. 2019).

    Of n words `round(rate n)` are hidden, at least one, so that K is known without asking the device, and logits are
    made for hidden places alone.

    Args:
        ids: int64 `[N, T]`. words: bool `[N, T]`, what may be hidden; see `word_token_mask`.
        mask_id: of [MASK]. vocab_size: number of tokens.
        rate: share of the words.
        draw: False hides the same places each time, spread over the text, and always by [MASK]: for validation.
    """
    most = max(1, -int(-rate * ids.shape[1] // 1))
    spread = (torch.arange(1, ids.shape[1] + 1, device=ids.device) * _GOLDEN) % 1
    order = torch.rand(ids.shape, device=ids.device) if sample else spread.expand(ids.shape)
    position = order.masked_fill(~words, -1.0).topk(most, dim=1).indices
    there = words.sum(1, keepdim=True)
    wanted = (rate * there).round().clamp_min(1).minimum(there)
    valid = torch.arange(most, device=ids.device) < wanted
    labels = ids.gather(1, position)
    seen = torch.full_like(labels, mask_id)
    if sample:
        fate = torch.rand(labels.shape, device=ids.device)
        any_token = torch.randint(vocab_size, labels.shape, device=ids.device)
        seen = torch.where(fate < 0.8, seen, torch.where(fate < 0.9, any_token, labels))
    return MaskedTokens(ids.scatter(1, position, torch.where(valid, seen, labels)), position, labels, valid)


def masked_token_loss(logits: Tensor, labels: Tensor, valid: Tensor, ranks: Ranks = ONE_RANK) -> Tensor:
    """Cross-entropy of the hidden tokens, averaged over all of them; 0 where none is hidden.

    Args:
        logits: `[N, K, V]`. truth: int64 `[N, K]`. counts: bool `[N, K]`; see `MaskedTokens`.
        ranks: of a distributed run; the mean is then over the tokens of all ranks.
    """
    loss = F.cross_entropy(at_least_float32(logits).flatten(0, 1), labels.flatten(), reduction="none")
    counted = valid.flatten().to(loss.dtype)
    return (loss * counted).sum() / mean_over_ranks(counted.sum(), ranks).clamp_min(1e-6)
