"""The best patches of a text, against loops over pairs and planted patches."""

import pytest
import torch
from torch.nn import functional as F

from medvlp.objectives import sigmoid_contrast, top_patch_mean, top_patch_similarity


@pytest.fixture
def unit():
    torch.manual_seed(0)
    patches = F.normalize(torch.randn(3, 6, 5, dtype=torch.float64), dim=2)
    return patches, F.normalize(torch.randn(4, 5, dtype=torch.float64), dim=1)


@pytest.mark.parametrize("k", [1, 2, 6])
def test_equals_the_definition(unit, k):
    patches, texts = unit
    expected = [[sum(sorted(float(p @ t) for p in image)[-k:]) / k for t in texts] for image in patches]
    torch.testing.assert_close(
        top_patch_similarity(patches, texts, k), torch.tensor(expected).double(), atol=1e-7, rtol=0
    )


def test_all_patches_are_the_mean_patch(unit):
    patches, texts = unit
    torch.testing.assert_close(top_patch_similarity(patches, texts, 99), patches.mean(1) @ texts.t())
    own = texts[None].expand(3, -1, -1)
    torch.testing.assert_close(top_patch_mean(patches, own, 99), patches.mean(1, keepdim=True).expand(-1, 4, -1))


def test_one_patch_finds_the_planted_one(unit):
    patches, texts = unit
    patches = patches.clone()
    patches[1, 4] = texts[2]
    assert top_patch_similarity(patches, texts)[1, 2].item() == pytest.approx(1)
    own = texts[None].expand(3, -1, -1)
    torch.testing.assert_close(top_patch_mean(patches, own, 1)[1, 2], texts[2])


def test_a_concept_that_is_a_patch_of_its_owner_is_nearly_free(unit):
    patches, _ = unit
    image_index = torch.tensor([0, 0, 1, 2])
    concepts = patches[image_index, torch.tensor([1, 2, 0, 4])]
    positive = torch.arange(3)[:, None] == image_index
    similarity, count = top_patch_similarity(patches, concepts), torch.tensor(4)
    assert sigmoid_contrast(1000 * similarity - 995, positive, count=count) < 0.05
    strange = top_patch_similarity(patches.roll(1, 0), concepts)
    assert sigmoid_contrast(1000 * strange - 995, positive, count=count) > 1


def test_the_mean_is_over_the_images_own_patches(unit):
    patches, _ = unit
    texts = torch.randn(3, 2, 5, dtype=torch.float64)
    got = top_patch_mean(patches, texts, 2)
    for b in range(3):
        for s in range(2):
            best = sorted(patches[b], key=lambda p: float(p @ texts[b, s]))[-2:]
            torch.testing.assert_close(got[b, s], sum(best) / 2)


def test_gradients_reach_the_chosen_patches_alone(unit):
    patches, texts = (x.clone().requires_grad_() for x in unit)
    assert torch.autograd.gradcheck(lambda p, t: top_patch_similarity(p, t, 2), (patches, texts))
    top_patch_similarity(patches, texts[:1], 2).sum().backward()
    assert (patches.grad.abs().sum(2) > 0).sum(1).tolist() == [2, 2, 2]
    patches.grad = None
    own = texts[None].expand(3, -1, -1)
    assert torch.autograd.gradcheck(lambda p: top_patch_mean(p, own.detach(), 2), patches)


def test_order_of_patches_and_texts(unit):
    patches, texts = unit
    cells, order = torch.tensor([4, 2, 0, 1, 3, 5]), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        top_patch_similarity(patches[:, cells], texts[order], 2), top_patch_similarity(patches, texts, 2)[:, order]
    )
