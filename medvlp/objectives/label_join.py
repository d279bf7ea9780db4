"""Targets that labels join: a text that names a finding is right for every image that shows it (UniCL)."""

from __future__ import annotations

from torch import Tensor

from medvlp.objectives.masked_bce import Unmentioned, silence_counts
from medvlp.reports.states import FindingState


def label_targets(
    image_states: Tensor,
    text_states: Tensor,
    unmentioned: Unmentioned = "negative",
    reported: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """For which images a text is right by its labels: target and validity `[B, N]`, bool.

        T_ij = [ sum_e Y_ie C_je > 0 ]

    with Y and C the present findings of images and texts (UniCL, Yang et al., CVPR 2022; for radiology Silva-Rodriguez
    et al., IPMI 2025, who then add the identity). One shared finding is enough. Where nothing is shared, the pair is a
    negative if all findings that the text names are known to be absent from the image; of the others nobody knows
    whether the text is right, and they are not valid. A text that names no finding is a negative for images that have a
    report, and says nothing of the others.

    Args:
        image_states: int8 `[B, F]`, four states. text_states: int8 `[N, F]`: what each text states.
        unmentioned: what the silence of an image's report says; see `labels_and_mask`.
        reported: bool `[B]`, images that have a report. None: all have.
    """
    named = (text_states == FindingState.PRESENT).float().t()  # [F, N]
    absent = image_states == FindingState.ABSENT
    if unmentioned == "negative":
        absent = absent | silence_counts(image_states, reported)
    shown = image_states == FindingState.PRESENT
    target = shown.float() @ named > 0
    unknown = (~shown & ~absent).float() @ named > 0
    known = ~unknown if reported is None else ~unknown & (named.any(0)[None] | reported[:, None])
    return target, target | known
