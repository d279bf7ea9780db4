"""The anatomy book: the sentences of the 51 places as features."""

from __future__ import annotations

from torch import Tensor

from medvlp.knowledge import NOT_PRESENT_SENTENCE, PLACES, place_sentence
from medvlp.models.text_bank import TextBank


def place_features(bank: TextBank, absent: bool = False) -> Tensor:
    """ "It is located at ..." of each place, `[51, D]`, less their mean (MedKLIP, Wu et al., ICCV 2023).

    A softmax over places does not change when all of them move alike; but texts that differ in one word are nearly
    parallel, and what they have in common would take the digits of bfloat16.

    Args:
        bank: what reads them.
        absent: one more row, of "It is not present." (MAVL, Phan et al., CVPR 2024).
    """
    sentences = [place_sentence(place) for place in PLACES] + [NOT_PRESENT_SENTENCE] * absent
    features = bank(sentences).global_
    return features - features.mean(0)
