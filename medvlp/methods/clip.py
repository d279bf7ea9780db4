"""CLIP for radiographs: each image with its own report, against the other reports of the batch.

The idea (ConVIRT, Zhang et al., MLHC 2022; CLIP, Radford et al., ICML 2021; on impressions CheXzero, Tiu et al.,
Nat. BME 2022): with unit vectors v_b of images and t_b of reports,

    L = 1/2 mean_b H(T_b., softmax_c(s v_b t_c)) + 1/2 mean_c H(T_.c, softmax_b(s v_b t_c)),     s = exp(.) in [1, 100]

where T is the identity in the paper, and may join images whose reports are equal or agree (`false_negatives`).

Zero-shot: for each pair of templates ("{}", "no {}") the probability is softmax over the two scaled cosines, that is
sigmoid(s (v t+ - v t-)); the mean over pairs is returned. CheXzero leaves the scale out, which squeezes probabilities
into (0.12, 0.88) and, for more than one pair of templates, also changes the order of images.

Faithful: the loss, the learned scale and its bound, linear heads, the prompt pair.
Departs: `false_negatives` (the default `same_text` takes equal reports as equal); an image without report is neither
right nor wrong for any text.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from medvlp.data.batch import Batch
from medvlp.methods.base import Encoded, Fraction, Options, register_method
from medvlp.methods.dual_encoder import DualEncoder, DualEncoderOptions, report_contrast


class CLIPOptions(DualEncoderOptions):
    """Settings of `clip`, beside those of `DualEncoderOptions`. `image_weight`: of the direction image to text."""

    image_weight: Fraction = 0.5


@register_method("clip")
class CLIP(DualEncoder):
    """Symmetric contrast of images and reports; see the top of the file."""

    Options: ClassVar[type[Options]] = CLIPOptions
    options: CLIPOptions

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        o = self.options
        image, report = self.project_pairs(encoded)
        logits = self.report_logits(image, report)
        loss = report_contrast(batch, logits, o.false_negatives, self.ancestors, o.image_weight, self.ranks)
        return {"contrast": loss}
