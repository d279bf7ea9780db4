"""FILIP: patches and words in pairs, written out."""

import pytest
import torch
from torch.nn import functional as F

from medvlp.objectives import late_interaction


@pytest.mark.parametrize("kind", ["identity", "same_text"])
def test_the_loss_is_that_of_a_loop_over_pairs(build, build_auxiliary, make_batch, kind):
    batch, auxiliary = make_batch(4), build_auxiliary("filip", false_negatives=kind)
    batch.text_group = torch.tensor([0, 1, 0, 2])  # said to be equal, and read unlike each other
    encoded = build("clip").eval().encode(batch)
    patches, words = auxiliary.patch_head(encoded.image.patches), auxiliary.word_head(encoded.report.tokens)
    found, asked = torch.zeros(4, 4), torch.zeros(4, 4)
    for i in range(4):
        for j in range(4):
            best = patches[i] @ words[j][batch.report_mask[j]].t()
            found[i, j], asked[i, j] = best.max(1).values.mean(), best.max(0).values.mean()
    right = torch.eye(4) if kind == "identity" else (batch.text_group[:, None] == batch.text_group).float()
    right = right / right.sum(1, keepdim=True)
    expected = (F.cross_entropy(found / 0.07, right) + F.cross_entropy(asked.t() / 0.07, right)) / 2
    torch.testing.assert_close(auxiliary.losses(batch, encoded)["contrast"], expected, rtol=1e-4, atol=1e-5)


def test_a_small_word_finds_its_patch_where_the_mean_does_not():
    """The mechanism: one patch among many matches one word among many; means of both do not tell the pairs apart."""
    torch.manual_seed(0)
    common = F.normalize(torch.randn(64), dim=0)
    marks = F.normalize(torch.randn(2, 64), dim=1)
    patches, words = common.repeat(2, 50, 1), common.repeat(2, 20, 1)
    for i in range(2):
        patches[i, 3], words[i, 7] = marks[i], marks[i]
    _, asked = late_interaction(patches, words, torch.ones(2, 20, dtype=torch.bool))
    by_mean = F.normalize(patches.mean(1), dim=1) @ F.normalize(words.mean(1), dim=1).t()
    assert (asked.diagonal() - asked.flip(1).diagonal()).min() > 0.03
    assert (by_mean.diagonal() - by_mean.flip(1).diagonal()).abs().max() < 0.005
