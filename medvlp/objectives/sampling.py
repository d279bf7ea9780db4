"""Draws from the texts of a batch, without a loop: sentences or concepts of each report, reordered sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.objectives.masked_tokens import word_token_mask
from medvlp.reports.states import FindingState

_PADDING = (0, 0, -1, int(FindingState.UNMENTIONED))

if TYPE_CHECKING:
    from medvlp.models.tokenizer import ReportTokenizer


@dataclass
class SampledSentences:
    """N = B k sentences of a batch, k of each report; a report with fewer fills up with sentences without tokens.

    Attributes:
        tokens: int64 `[N, U]`. mask: bool `[N, U]`. states: int8 `[N, F]`, what each states of each finding.
        image_index: int64 `[N]`, the image of each. group: int64 `[N]`, equal for equal sentences.

    Examples:
        >>> tokens = torch.tensor([[[5, 6], [7, 0]]])
        >>> sampled = sample_sentences(tokens, tokens > 0, torch.tensor([[[1], [-1]]]), k=3, shuffle=False)
        >>> sampled.exists, sampled.has_present, sampled.image_index
        (tensor([ True,  True, False]), tensor([ True, False, False]), tensor([0, 0, 0]))
    """

    tokens: Tensor
    mask: Tensor
    states: Tensor
    image_index: Tensor
    group: Tensor

    @property
    def exists(self) -> Tensor:
        """bool `[N]`: False for sentences that only fill up."""
        return self.mask.any(1)

    @property
    def has_present(self) -> Tensor:
        """bool `[N]`: whether the sentence has a finding that is present."""
        return (self.states == FindingState.PRESENT).any(1)


def sample_sentences(
    tokens: Tensor,
    mask: Tensor,
    states: Tensor,
    k: int,
    shuffle: bool = True,
    first: Literal["any", "mentioned", "present"] = "mentioned",
) -> SampledSentences:
    """Draw k sentences of each report, without a loop and without waiting for the device.

    Args:
        tokens: int64 `[B, S, U]`. mask: bool `[B, S, U]`. states: int8 `[B, S, F]`.
        k: sentences of each report, also where S is less: so that ranks of a distributed run have equally many.
        shuffle: draw at random; False takes them in the order of the report.
        first: `mentioned` prefers sentences with a finding, and takes others only where those are fewer than k;
            `present` prefers among these the ones with a present finding; `any` treats all alike.

    Examples:
        >>> tokens, states = torch.tensor([[[5, 6], [7, 0]]]), torch.tensor([[[-1], [1]]])
        >>> sample_sentences(tokens, tokens > 0, states, k=1).tokens  # the one that states a finding
        tensor([[7, 0]])
    """
    short = max(0, k - tokens.shape[1])
    tokens, mask = F.pad(tokens, (0, 0, 0, short)), F.pad(mask, (0, 0, 0, short))
    states = F.pad(states, (0, 0, 0, short), value=FindingState.UNMENTIONED)
    images, sentences = tokens.shape[:2]
    order = torch.rand(images, sentences, device=tokens.device) if shuffle else _falling(sentences, tokens.device)
    rank = order + 4.0 * mask.any(2)
    if first != "any":
        rank = rank + (states != FindingState.UNMENTIONED).any(2)
    if first == "present":
        rank = rank + 2.0 * (states == FindingState.PRESENT).any(2)
    chosen = rank.topk(k, dim=1).indices
    image_index = torch.arange(images, device=tokens.device)[:, None].expand(-1, k)
    tokens, mask, states = (x[image_index, chosen].flatten(0, 1) for x in (tokens, mask, states))
    return SampledSentences(tokens, mask, states, image_index.flatten(), row_hash(tokens, mask))


def row_hash(tokens: Tensor, mask: Tensor) -> Tensor:
    """int64 `[N]`: equal for rows with equal tokens, whatever their padding; by chance once in 2^64 for others.

    A polynomial in an odd base with the wrap-around of 64-bit integers.

    Examples:
        >>> tokens = torch.tensor([[5, 6, 0], [5, 6, 9]])
        >>> a, b = row_hash(tokens, torch.tensor([[True, True, False], [True, True, False]]))
        >>> bool(a == b)
        True
    """
    base = torch.full(tokens.shape[1:], 6364136223846793005, dtype=torch.int64, device=tokens.device).cumprod(0)
    return ((tokens + 1) * mask * base).sum(1)


def _falling(n: int, device: torch.device) -> Tensor:
    return torch.linspace(0.9, 0.0, n, device=device)


def join_sentences(
    tokens: Tensor, mask: Tensor, order: Tensor, width: int, tokenizer: ReportTokenizer
) -> tuple[Tensor, Tensor]:
    """Sentences -> texts, in any order; a text of the sentences in their own order is the report itself.

    The [CLS] and [SEP] of sentences are left out, and each text gets its own.

    Args:
        tokens: int64 `[B, S, U]`. mask: bool `[B, S, U]`; a sentence without any token is padding.
        order: int64 `[B, S]`, a permutation for each text; BioViL draws it, `torch.rand(B, S).argsort(1)`.
        width: of the texts; longer ones are truncated, and the closing [SEP] stays.
        tokenizer: whose special tokens are used.

    Returns:
        ids int64 `[B, width]` and mask bool `[B, width]`; a row of padding where no sentence has a word.

    Examples:
        >>> from medvlp.models import ReportTokenizer
        >>> tokenizer = ReportTokenizer.train(["no edema", "clear"], vocab_size=64, min_frequency=1)
        >>> ids, mask = tokenizer(["no edema", "clear"], max_length=8)
        >>> ids, mask = join_sentences(ids[None], mask[None], torch.tensor([[1, 0]]), 8, tokenizer)
        >>> tokenizer.decode(ids[0].tolist())
        'clear no edema'
    """
    pick = order[..., None].expand(tokens.shape)
    tokens, mask = tokens.gather(1, pick).flatten(1), mask.gather(1, pick).flatten(1)
    words = word_token_mask(tokens, mask, tokenizer)
    room = max(width - 2, 0)
    position = words.cumsum(1)  # after [CLS]
    length = words.sum(1, keepdim=True).clamp_max(room)
    position = torch.where(words & (position <= room), position, width)  # the rest goes past the end, and is dropped
    ids = tokens.new_full((len(tokens), width + 1), tokenizer.pad_id).scatter(1, position, tokens)[:, :width]
    column = torch.arange(width, device=tokens.device)
    filled = (column <= length + 1) & (length > 0)
    ids = torch.where(column == 0, tokenizer.cls_id, torch.where(column == length + 1, tokenizer.sep_id, ids))
    return torch.where(filled, ids, tokenizer.pad_id), filled


def sample_concepts(concepts: Tensor, k: int, shuffle: bool = True) -> Tensor:
    """k present concepts of each report, `[B, k, 4]`, padded with rows of `(0, 0, -1, -1)`.

    Absent and uncertain concepts are left out, since no patch shows them. All ranks of a distributed run have equally
    many.

    Args:
        concepts: int64 `[B, K, 4]`, of `Batch.concepts`.
        k: concepts of each report, also where K is less.
        shuffle: draw at random; False takes the first ones.

    Examples:
        >>> concepts = torch.tensor([[[0, 1, 7, 1], [1, 2, 8, 0]]])  # one present, one absent
        >>> sample_concepts(concepts, k=2, shuffle=False)
        tensor([[[ 0,  1,  7,  1],
                 [ 0,  0, -1, -1]]])
    """
    images, count = concepts.shape[:2]
    present = concepts[..., 3] == FindingState.PRESENT
    padding = concepts.new_tensor(_PADDING)
    concepts = torch.where(present[..., None], concepts, padding)
    concepts = torch.cat([concepts, padding.expand(images, max(0, k - count), 4)], dim=1)
    present = F.pad(present, (0, max(0, k - count)))
    shape, device = present.shape, concepts.device
    order = torch.rand(shape, device=device) if shuffle else torch.linspace(0.9, 0, shape[1], device=device)
    chosen = (order + present).topk(k, dim=1).indices
    return concepts[torch.arange(images, device=device)[:, None], chosen]
