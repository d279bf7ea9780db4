"""Sentence CutMix: a sentence of another report joins a report, and what contradicts it goes, in tokens and labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.data.batch import Batch
from medvlp.reports.states import FindingState

PRESENT, ABSENT, UNMENTIONED = FindingState.PRESENT, FindingState.ABSENT, FindingState.UNMENTIONED


@dataclass(frozen=True)
class Contradictions:
    """What the presence of a finding rules out.

    Attributes:
        is_a: bool `[F, F]`, True where finding j is i or one of its ancestors: with consolidation there is an opacity.
        normal: bool `[F]`, True for findings such as `no_finding`, which no other finding goes with.
        cls_id, sep_id: of the tokenizer.
    """

    is_a: Tensor
    normal: Tensor
    cls_id: int
    sep_id: int

    def implied(self, states: Tensor) -> Tensor:
        """bool `[..., F]`: what is present where `states` say, ancestors included."""
        found = ((states == PRESENT) & ~self.normal).float()
        return found @ self.is_a.to(found) > 0

    def between(self, implied: Tensor, states: Tensor) -> Tensor:
        """bool: whether `states` `[..., F]` deny what is implied `[..., F]`, or call normal what is not."""
        denied = ((states == ABSENT) & implied).any(-1)
        return denied | (((states == PRESENT) & self.normal).any(-1) & implied.any(-1))


@dataclass(frozen=True)
class PastedSentences:
    """One sentence for each image of a batch.

    Attributes:
        tokens: int64 `[B, U]`. mask: bool `[B, U]`. states: int8 `[B, F]`.
        donor: int64 `[B]`, the image that it is of. mixed: bool `[B]`; other images keep their report.
    """

    tokens: Tensor
    mask: Tensor
    states: Tensor
    donor: Tensor
    mixed: Tensor


def compatible_sentences(batch: Batch, states: Tensor, owner: Tensor, rules: Contradictions) -> Tensor:
    """bool `[B, N]`: which sentences bring a finding that an image has not, and deny none that it has.

    Args:
        batch: the images. states: int8 `[N, F]`, of sentences. owner: int64 `[N]`, the image that each is of.
        rules: of the findings.
    """
    has = rules.implied(batch.findings)
    brings = ((states == PRESENT) & ~rules.normal).float()
    new = brings @ (batch.findings != PRESENT).float().t() > 0  # [N, B]
    denies = (states == ABSENT).float() @ has.float().t() > 0
    normal = ((states == PRESENT) & rules.normal).any(1, keepdim=True)
    stranger = owner[:, None] != torch.arange(len(batch), device=owner.device)
    return (new & ~denies & ~normal & stranger & batch.report_mask.any(1)).t()


def sentence_cutmix(batch: Batch, pasted: PastedSentences, rules: Contradictions, longest: int) -> Batch:
    """The batch after each mixed report has taken in a sentence of another one.

    Sentences that deny what is pasted (or an ancestor of it), or that call the chest normal, go. A mixed report is put
    together from its sentences, the new one first, so that what is cut off at `longest` tokens is not it. Labels: what
    is pasted is present; a denied ancestor becomes unmentioned, since nobody denies it any more; what was normal is
    not. Places of what is pasted are those of either image. `text_group` is left as it is.

    Args:
        batch: B images with S sentences. pasted: a sentence for each. rules: of the findings.
        longest: tokens that the text tower reads.

    Returns:
        a batch with S + 1 sentences; rows that are not mixed are the same but for padding.
    """
    mixed = pasted.mixed
    implied = rules.implied(pasted.states) & mixed[:, None]
    gone = rules.between(implied[:, None], batch.sentence_findings) & mixed[:, None]
    added = torch.where(mixed[:, None], pasted.states, UNMENTIONED)
    kept = batch.sentence_findings.masked_fill(gone[..., None], UNMENTIONED)
    tokens = torch.cat([batch.sentence_tokens, pasted.tokens[:, None]], dim=1)
    mask = torch.cat([batch.sentence_mask & ~gone[..., None], (pasted.mask & mixed[:, None])[:, None]], dim=1)
    findings = torch.where((batch.findings == UNMENTIONED) | (added == PRESENT), added, batch.findings)
    now_unmentioned = (findings == ABSENT) & implied & (added != ABSENT)
    findings = findings.masked_fill(now_unmentioned, UNMENTIONED)
    findings = torch.where((findings == PRESENT) & rules.normal & implied.any(1, keepdim=True), ABSENT, findings)
    reports, report_mask = _reports(batch, tokens.roll(1, 1), mask.roll(1, 1), mixed, rules, longest)
    return replace(
        batch,
        report_tokens=reports,
        report_mask=report_mask,
        sentence_tokens=tokens,
        sentence_mask=mask,
        sentence_findings=torch.cat([kept, added[:, None]], dim=1).to(torch.int8),
        findings=findings.to(torch.int8),
        places=None if batch.places is None else _places(batch.places, added, now_unmentioned, pasted.donor),
        concepts=None if batch.concepts is None else _no_concepts(batch.concepts, mixed),
    )


def _reports(
    batch: Batch, tokens: Tensor, mask: Tensor, mixed: Tensor, rules: Contradictions, longest: int
) -> tuple[Tensor, Tensor]:
    """Mixed reports as [CLS], the words of their sentences, [SEP]; the others padded to the same length."""
    width = min(longest, batch.report_tokens.shape[1] + tokens.shape[2])
    words = (mask & (tokens != rules.cls_id) & (tokens != rules.sep_id)).flatten(1)
    in_order = (~words).to(torch.int8).argsort(dim=1, stable=True)  # words first, as they stand
    joined = tokens.flatten(1).gather(1, in_order)
    joined = F.pad(joined, (1, max(0, width - joined.shape[1])), value=rules.cls_id)[:, :width]
    last = (words.sum(1, keepdim=True) + 1).clamp_max(width - 1)
    position = torch.arange(width, device=tokens.device)
    joined = torch.where(position == last, rules.sep_id, joined)
    spare = width - batch.report_tokens.shape[1]
    own, own_mask = F.pad(batch.report_tokens, (0, spare)), F.pad(batch.report_mask, (0, spare))
    row = mixed[:, None]
    return torch.where(row, joined, own), torch.where(row, position <= last, own_mask)


def _places(places: Tensor, added: Tensor, now_unmentioned: Tensor, donor: Tensor) -> Tensor:
    """States `[B, F, P]`: of what is pasted those of either image, of what nobody denies any more none."""
    brought = torch.where(places == PRESENT, places, places[donor])
    mixed = torch.where((added == PRESENT)[..., None], brought, places)
    return mixed.masked_fill(now_unmentioned[..., None], UNMENTIONED)


def _no_concepts(concepts: Tensor, mixed: Tensor) -> Tensor:
    """Where a mixed report names its findings is not known any more."""
    empty = torch.tensor([0, 0, -1, -1], device=concepts.device, dtype=concepts.dtype)
    return torch.where(mixed[:, None, None], empty, concepts)
