"""Losses of a segmentation head: soft Dice and pixel cross-entropy, over the masks that are annotated."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32

NOT_ANNOTATED = 255  # the value of every pixel of a mask that is not annotated, as in `Store.masks`


def soft_dice(logits: Tensor, masks: Tensor, smooth: float = 1.0) -> Tensor:
    r"""One minus the Dice of probabilities, averaged over annotated masks.

    .. math:: 1 - \frac{2 \sum_x p_x t_x + s}{\sum_x p_x + \sum_x t_x + s}

    After Milletari et al., V-Net (3DV 2016); departures: no squares in the denominator, and `s`, which makes an empty
    mask with an empty prediction cost nothing.

    Args:
        logits: `[B, K, H, W]`.
        masks: uint8 `[B, K, H, W]`, 0 or 1, or `NOT_ANNOTATED` throughout a mask that is not.
        smooth: `s`, in pixels.

    Returns:
        Scalar between 0 and 1; 0, with zero gradients, where no mask is annotated.

    Examples:
        >>> import torch
        >>> masks = torch.tensor([[[[1, 1], [0, 0]]]], dtype=torch.uint8)
        >>> soft_dice(20.0 * masks - 10, masks)
        tensor(3.6359e-05)
    """
    logits = at_least_float32(logits).masked_fill(masks == NOT_ANNOTATED, 0.0)
    annotated = (masks[:, :, 0, 0] != NOT_ANNOTATED).to(logits.dtype)
    truth = (masks == 1).to(logits.dtype)
    probability = logits.sigmoid()
    overlap = (probability * truth).sum((-2, -1))
    total = probability.sum((-2, -1)) + truth.sum((-2, -1))
    loss = 1 - (2 * overlap + smooth) / (total + smooth)
    return (loss * annotated).sum() / annotated.sum().clamp(min=1)


def pixel_bce(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross entropy, averaged over the pixels of annotated masks; arguments as in `soft_dice`.

    Returns:
        Scalar; 0, with zero gradients, where no mask is annotated.

    Examples:
        >>> import torch
        >>> pixel_bce(torch.zeros(1, 2, 4, 4), torch.full((1, 2, 4, 4), NOT_ANNOTATED))
        tensor(0.)
    """
    annotated = masks != NOT_ANNOTATED
    logits = at_least_float32(logits).masked_fill(~annotated, 0.0)
    loss = F.binary_cross_entropy_with_logits(logits, (masks == 1).to(logits.dtype), reduction="none")
    return (loss * annotated).sum() / annotated.sum().clamp(min=1)
