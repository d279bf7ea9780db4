"""`Batch`: what one training step gets. The same for radiographs and volumes."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass
class Batch:
    """One batch, all tensors on one device.

    Shapes: B images, T tokens of a report, S sentences (padded), U tokens of a sentence, F findings.

    Attributes:
        images: float32 `[B, 1, H, W]` or `[B, 1, D, H, W]`, normalised by the preprocessing of the store.
        report_tokens: int64 `[B, T]`, padded with the tokenizer's pad id.
        report_mask: bool `[B, T]`, True at tokens; a row without any True is an image without report.
        sentence_tokens: int64 `[B, S, U]`; sentence_mask: bool `[B, S, U]`; a sentence without any True is padding.
        findings: int8 `[B, F]` in the four states of `FindingState`, columns in the order of the recipe's label space.
        sentence_findings: int8 `[B, S, F]`: what each sentence says of each finding.
        text_group: int64 `[B]`: equal for images whose report text is equal (for `same_text` targets).
        places: int8 `[B, F, P]` states of finding x place (P = 51), or None where the source has no places.
        image_ids, study_ids, patient_ids: the manifest's ids, for logs and replay.
    """

    images: Tensor
    report_tokens: Tensor
    report_mask: Tensor
    sentence_tokens: Tensor
    sentence_mask: Tensor
    findings: Tensor
    sentence_findings: Tensor
    text_group: Tensor
    image_ids: list[str]
    study_ids: list[str]
    patient_ids: list[str]
    places: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str, non_blocking: bool = True) -> Batch:
        """The same batch with its tensors on `device`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(
            **{k: v.to(device, non_blocking=non_blocking) if isinstance(v, Tensor) else v for k, v in values.items()}
        )

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory; torch's DataLoader calls this when `pin_memory=True`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{k: v.pin_memory() if isinstance(v, Tensor) else v for k, v in values.items()})
