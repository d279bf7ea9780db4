"""Where a sentence points, and what is mixed there."""

import pytest
import torch
from torch.nn import functional as F

from medvlp.metrics import pointing_game
from medvlp.objectives import attention_region, manifold_mix


@pytest.fixture
def pointing():
    """24 images of 6 x 6 patches, in each of which 2 x 2 patches are like the image's sentence."""
    torch.manual_seed(0)
    sentences = F.normalize(torch.randn(24, 32), dim=1)
    patches = F.normalize(torch.randn(24, 6, 6, 32), dim=-1)
    truth = torch.zeros(24, 6, 6, dtype=torch.bool)
    for i in range(24):
        row, column = int(torch.randint(0, 5, ())), int(torch.randint(0, 5, ()))
        truth[i, row : row + 2, column : column + 2] = True
        patches[i][truth[i]] += 1.5 * sentences[i]
    return sentences, F.normalize(patches, dim=-1).flatten(1, 2), truth


def hits(region, truth):
    return sum(pointing_game(r, t) for r, t in zip(region.unflatten(1, (6, 6)), truth, strict=True)) / len(truth)


def test_the_mask_points_where_the_sentence_does_and_by_chance_without_guidance(pointing):
    sentences, patches, truth = pointing
    assert hits(attention_region(sentences, patches), truth) == 1.0
    assert hits(attention_region(sentences.roll(1, 0), patches), truth) < 0.4  # another sentence's
    assert hits(attention_region(torch.zeros_like(sentences), patches), truth) < 0.2  # none: chance is 1 in 9


def test_features_are_mixed_where_the_sentence_points(pointing):
    sentences, patches, truth = pointing
    mine = torch.zeros_like(patches)
    change = manifold_mix(mine, patches, attention_region(sentences, patches)).norm(dim=2)
    inside = torch.stack([c[t].mean() for c, t in zip(change, truth.flatten(1), strict=True)])
    outside = torch.stack([c[~t].mean() for c, t in zip(change, truth.flatten(1), strict=True)])
    assert (inside > 5 * outside).all()


def test_the_region_is_that_of_a_loop():
    torch.manual_seed(0)
    sentences, patches = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 5, 4, dtype=torch.float64)
    region = attention_region(sentences, patches, sharpness=2.0)
    for b in range(3):
        weights = torch.stack([(2 * sentences[b] @ patches[b, p]).exp() for p in range(5)])
        weights = weights / weights.sum()
        expected = (weights - weights.min()) / (weights.max() - weights.min())
        torch.testing.assert_close(region[b], expected)


def test_edges():
    assert not attention_region(torch.ones(2, 3), torch.ones(2, 4, 3)).any()  # nothing stands out
    assert not attention_region(torch.ones(2, 3), torch.rand(2, 1, 3)).any()  # one patch
    assert not attention_region(torch.ones(1, 3, requires_grad=True), torch.rand(1, 4, 3)).requires_grad


def test_shares_of_none_of_all_and_of_oneself():
    torch.manual_seed(0)
    mine, theirs, region = torch.randn(2, 6, 3).double(), torch.randn(2, 6, 3).double(), torch.rand(2, 6).double()
    keep = torch.rand(2, 1).double()
    torch.testing.assert_close(manifold_mix(mine, theirs, 0 * region), mine)
    torch.testing.assert_close(manifold_mix(mine, theirs, torch.ones_like(region)), theirs)
    torch.testing.assert_close(manifold_mix(mine, mine, (1 - keep) * region), mine)
    share = ((1 - keep) * region)[..., None]
    torch.testing.assert_close(manifold_mix(mine, theirs, share[..., 0]), mine * (1 - share) + theirs * share)
    assert torch.autograd.gradcheck(
        lambda a, b: manifold_mix(a, b, region), (mine.requires_grad_(), theirs.requires_grad_())
    )
