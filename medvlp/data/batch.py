"""`Batch`: what one training step gets. The same for radiographs and volumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor


class BatchField(StrEnum):
    """What a batch may hold for a task to learn from; a method, an auxiliary loss or a head names what it requires.

    Examples:
        >>> BatchField("reports") is BatchField.REPORTS
        True
    """

    REPORTS = "reports"
    SENTENCES = "sentences"
    FINDINGS = "findings"
    PLACES = "places"
    CONCEPTS = "concepts"
    MASKS = "masks"


@dataclass
class Batch:
    """One batch, all tensors on one device.

    Shapes: B images, T tokens of a report, S sentences (padded), U tokens of a sentence, F findings, K concepts of a
    report (padded), M masks (structures).

    Attributes:
        images: float32 `[B, 1, H, W]` or `[B, 1, D, H, W]`, normalized by the preprocessing of the store.
        report_tokens: int64 `[B, T]`, padded with the tokenizer's pad id.
        report_mask: bool `[B, T]`, True at tokens; a row without any True is an image without report.
        sentence_tokens: int64 `[B, S, U]`; sentence_mask: bool `[B, S, U]`; a sentence without any True is padding.
        findings: int8 `[B, F]` in the four states of `FindingState`, columns in the order of the recipe's label space.
        sentence_findings: int8 `[B, S, F]`: what each sentence says of each finding.
        text_group: int64 `[B]`: equal for images whose report text is equal (for `same_text` targets).
        places: int8 `[B, F, P]` states of finding x place (P = 51), or None where the source has no places.
        concepts: int64 `[B, K, 4]`, where each report names a finding: first token, token after the last, which finding
            (its position among `load_findings()`), and the state that is said of it; `(0, 0, -1, -1)` fills up. None
            where the method does not ask for them.
        masks: uint8 `[B, M, H, W]`: 1 inside, 0 outside, 255 where none was drawn; augmented together with the image.
            None where no task requires them.
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
    concepts: Tensor | None = None
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str, non_blocking: bool = True) -> Batch:
        """The same batch with its tensors on `device`."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory, from which a copy to the accelerator does not block."""
        return self._map(Tensor.pin_memory)

    def _map(self, move: Callable[[Tensor], Tensor]) -> Batch:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {name: move(value) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **moved)
