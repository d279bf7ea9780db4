"""Reports with their sentences in another order, as tokens, without a loop."""

from __future__ import annotations

import torch
from torch import Tensor

from medvlp.models.tokenizer import ReportTokenizer
from medvlp.objectives.masked_tokens import word_places


def join_sentences(
    tokens: Tensor, mask: Tensor, order: Tensor, width: int, tokenizer: ReportTokenizer
) -> tuple[Tensor, Tensor]:
    """Sentences -> texts, in any order; a text of the sentences in their own order is the report itself.

    Each sentence's [CLS] and [SEP] are left out, and each text gets its own.

    Args:
        tokens: int64 `[B, S, U]`. mask: bool `[B, S, U]`; a sentence without any token is padding.
        order: int64 `[B, S]`, a permutation for each text; BioViL draws it, `torch.rand(B, S).argsort(1)`.
        width: of the texts; what is beyond loses its end, and the closing [SEP] stays.
        tokenizer: whose special tokens are used.

    Returns:
        ids int64 `[B, width]` and mask bool `[B, width]`; a row of padding where no sentence has a word.
    """
    pick = order[..., None].expand(tokens.shape)
    tokens, mask = tokens.gather(1, pick).flatten(1), mask.gather(1, pick).flatten(1)
    words = word_places(tokens, mask, tokenizer)
    room = max(width - 2, 0)
    place = words.cumsum(1)  # behind [CLS]
    length = words.sum(1, keepdim=True).clamp_max(room)
    place = torch.where(
        words & (place <= room), place, width
    )  # what has no place is written behind the end, and cut off
    ids = tokens.new_full((len(tokens), width + 1), tokenizer.pad_id).scatter(1, place, tokens)[:, :width]
    column = torch.arange(width, device=tokens.device)
    filled = (column <= length + 1) & (length > 0)
    ids = torch.where(column == 0, tokenizer.cls_id, torch.where(column == length + 1, tokenizer.sep_id, ids))
    return torch.where(filled, ids, tokenizer.pad_id), filled
