"""M-FLAG: a frozen text tower, an image trunk drawn to it without negatives, and a latent space kept from collapse.

The idea (Liu, Cheng, Chen, Qiao, Zhang, Shah, Bai, Arcucci: M-FLAG: Medical Vision-Language Pre-training with Frozen
Language Models and Latent Space Geometry Optimization, MICCAI 2023): training both towers is costly and lets the
latent space collapse. So the text tower is a fixed target, and the geometry of the trunk's own latent is part of the
loss. With z_b the pooled image, t_b its report, and two projectors p, q (linear, batch norm, ReLU, linear, batch norm):

    L = L_align + w L_orth
    L_align = mean_b [ (2 - 2 cos(p(z_b), q(t_b))) + (2 - 2 cos(q(t_b), p(z_b))) ]           in [0, 8]
    L_orth  = 1/2 [ sum_i (C_ii - 1)^2 + l sum_{i != j} C_ij^2 ],   C = Z^T Z / B,   l = 0.0051 at width 2048

No report is a negative, so none is a false one: the baseline to hold against contrasts where reports repeat. What
keeps two learned projectors from a constant is their last batch norm.

Faithful: both terms and their constants at its width, raw Z (not centered), the projectors, the frozen tower. It
is frozen whatever the recipe says, and stays in evaluation mode under `.train()` (the authors' dropout comes back
there).
Departs: C is divided by the number of images in it (the authors divide by the configured batch size, which is wrong
for a last batch and for several ranks), and is that of all ranks, as are the statistics of the batch norms. There are
D - 1 times as many C_ij as C_ii, so for another width D than 2048 l is 0.0051 * 2048 / D: with the paper's number a
narrow latent would learn the diagonal alone. Z is this library's pooled image, which may be negative; the authors' is
behind a ReLU. An image without report takes no part. Of the authors' augmentation, turns by up to 90 degrees are left
out.
Reconstructed: zero-shot. The paper transfers by fine-tuning alone; here a finding is asked by pairs of prompts, as in
`clip`, and since no scale is learned `sharpness` is an option. `small` is a tower of random weights: frozen, it is a
fixed reading of words, and a model on it a check of the machinery. Use a trained one, as recipes/mimic_mflag.yaml does.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor

from medvlp.data.batch import Batch
from medvlp.methods.base import Encoded, MethodParts, Options, register_method
from medvlp.methods.dual_encoder import DualEncoder, PromptOptions
from medvlp.models import BatchNormProjector, Temperature
from medvlp.objectives import gram_orthogonality, pair_alignment

_PAPERS_L, _PAPERS_WIDTH = 0.0051, 2048


class MFLAGOptions(PromptOptions):
    """Settings of `mflag`, beside those of `PromptOptions`. Recipes of the paper's size take hidden 2048 and dim 1024.

    Attributes:
        hidden: width of the projectors' hidden layer.
        orthogonality_weight: w; 0 leaves the term out.
        off_diagonal: l; None keeps the paper's balance of diagonal and rest at any width.
        sharpness: scale of the cosines when a finding is asked; it does not change the order of images for one pair
            of prompts.
    """

    hidden: PositiveInt = 512
    orthogonality_weight: NonNegativeFloat = 1.0
    off_diagonal: NonNegativeFloat | None = None
    sharpness: float = Field(default=10.0, ge=1, le=100)


@register_method("mflag")
class MFLAG(DualEncoder):
    """Frozen text, orthogonal latent; see the top of the file."""

    Options: ClassVar[type[Options]] = MFLAGOptions
    options: MFLAGOptions

    def __init__(self, parts: MethodParts, options: MFLAGOptions) -> None:
        super().__init__(parts, options, scale=Temperature(1 / options.sharpness, learnable=False))
        for name, encoder in (("image_head", parts.image_encoder), ("text_head", parts.text_encoder)):
            self.add_module(
                name, BatchNormProjector(encoder.dim, options.hidden, options.dim)
            )  # in place of the linear ones
        self.text_encoder.freeze()
        given = options.off_diagonal
        self.off_diagonal = _PAPERS_L * _PAPERS_WIDTH / parts.image_encoder.dim if given is None else given

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        o, ranks, has_report = self.options, self.ranks, batch.report_mask.any(1)
        assert encoded.report is not None
        latent = encoded.image.global_
        image = self.image_head(latent, has_report, ranks)
        report = self.text_head(encoded.report.global_, has_report, ranks)
        terms = {"alignment": pair_alignment(image, report, has_report, ranks)}
        if o.orthogonality_weight > 0:
            orthogonality = gram_orthogonality(ranks.gather(latent), self.off_diagonal, valid=ranks.gather(has_report))
            terms["orthogonality"] = o.orthogonality_weight * orthogonality
        return terms
