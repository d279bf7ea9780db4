"""CheXzero: CLIP on impressions, asked with a finding and its negation.

The idea (Tiu, Talius, Patel, Langlotz, Ng, Rajpurkar: Expert-level detection of pathologies from unannotated chest
X-ray images via self-supervised learning, Nat. BME 2022): the loss is CLIP's, the text is the impression, which says
what matters in a few words, and zero-shot compares an image with "pneumonia" and "no pneumonia":

    L    = 1/2 mean_b H(T_b., softmax_c(s v_b t_c)) + 1/2 mean_c H(T_.c, softmax_b(s v_b t_c)),   s = exp(.) in [1, 100]
    p_be = exp(v_b t+_e) / (exp(v_b t+_e) + exp(v_b t-_e)) = sigmoid(v_b (t+_e - t-_e))          cosines *without* s

so that p lies within (0.12, 0.88). For one pair of prompts this orders images as any scale does; a mean of
probabilities over several (theirs: over ten checkpoints; here: over pairs of prompts) depends on the scale. Their mean
over checkpoints is the mean of the label files of several models.

Faithful: the loss, linear heads, the prompt pair, the softmax without scale and the mean of probabilities.
Departs: `false_negatives` (the identity in the paper); the optimizer and encoders are the recipe's (theirs: OpenAI's
CLIP ViT-B/32, SGD). That only impressions are read is said by the recipe, `data.sections: [impression]`; a report
without one is then read whole. "no no finding" is nonsense, and gave their "No Finding" an AUROC of 0.07 (their issue
19): it is asked as "normal chest" against "abnormal chest". An image without report is neither right nor wrong for any
text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from medvlp.methods.base import Options, PromptPairs, register_method
from medvlp.methods.clip import CLIP, CLIPOptions
from medvlp.models import ImageFeatures


class CheXzeroOptions(CLIPOptions):
    """Settings of `chexzero`: those of `clip`, with the one pair of prompts of the paper."""

    prompts: PromptPairs = (("{}", "no {}"),)


@register_method("chexzero")
class CheXzero(CLIP):
    """CLIP with the zero-shot path of CheXzero; see the top of the file."""

    Options: ClassVar[type[Options]] = CheXzeroOptions
    options: CheXzeroOptions

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        present, absent = self.pair_cosines(features, findings).unbind(1)
        return (present - absent).sigmoid().mean(0)
