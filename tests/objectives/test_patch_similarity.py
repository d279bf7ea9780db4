"""Patch-sentence alignment against the definition, pair by pair.
The best patches of a text, against loops over pairs and planted patches.
Where a sentence points, and what is mixed there.
"""

import pytest
import torch
from torch.nn import functional as F

from medvlp.metrics import pointing_game
from medvlp.objectives import (
    attention_region,
    manifold_mix,
    patch_sentence_similarity,
    sigmoid_contrast,
    top_patch_mean,
    top_patch_similarity,
)


@pytest.fixture
def unit():
    torch.manual_seed(0)
    patches = F.normalize(torch.randn(3, 7, 5, dtype=torch.float64), dim=2)
    return patches, F.normalize(torch.randn(4, 5, dtype=torch.float64), dim=1)


def slow_similarity(patches, sentences, sharpness):
    rows = []
    for image in patches:
        row = []
        for sentence in sentences:
            weights = [torch.exp(sharpness * patch @ sentence) for patch in image]
            row.append(torch.log(sum(weights) / len(weights)) / sharpness)
        rows.append(torch.stack(row))
    return torch.stack(rows)


@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_equals_the_definition(unit, chunk):
    expected = slow_similarity(*unit, 10.0)
    torch.testing.assert_close(patch_sentence_similarity(*unit, chunk=chunk), expected, atol=1e-9, rtol=0)


def test_chunks_give_the_same_gradient(unit):
    grads = []
    for chunk in (None, 2):
        patches, sentences = (x.clone().requires_grad_() for x in unit)
        patch_sentence_similarity(patches, sentences, chunk=chunk).square().sum().backward()
        grads.append((patches.grad, sentences.grad))
    torch.testing.assert_close(grads[0], grads[1])


def test_gradients(unit):
    patches, sentences = (x.clone().requires_grad_() for x in unit)
    assert torch.autograd.gradcheck(lambda p, s: patch_sentence_similarity(p, s), (patches, sentences))


def test_the_order_of_patches_does_not_matter(unit):
    patches, sentences = unit
    shuffled = patches[:, torch.tensor([4, 2, 0, 6, 1, 3, 5])]
    torch.testing.assert_close(
        patch_sentence_similarity(shuffled, sentences), patch_sentence_similarity(patches, sentences)
    )


def test_one_patch_gives_its_cosine(unit):
    patches, sentences = unit
    torch.testing.assert_close(patch_sentence_similarity(patches[:, :1], sentences), patches[:, 0] @ sentences.t())


def test_a_sentence_of_no_length_fits_nothing(unit):
    patches, sentences = (x.clone().requires_grad_() for x in unit)
    silent = sentences * torch.tensor([[1.0], [0.0], [1.0], [1.0]])
    scores = patch_sentence_similarity(patches, silent)
    assert not scores[:, 1].any()
    scores[:, 1].sum().backward()
    assert patches.grad.abs().max() == 0
    assert sentences.grad.isfinite().all()


def test_a_patch_equal_to_the_sentence_is_found(unit):
    patches, sentences = unit
    patches = patches.clone()
    patches[1, 4] = sentences[2]
    similarity = patch_sentence_similarity(patches, sentences, sharpness=200.0)
    assert similarity[1, 2] > 0.98
    assert similarity[:, 2].argmax() == 1


# Images: 0 has A and denies B, 1 denies both, 2 has A and says nothing of B, 3 says nothing at all.
def test_it_runs_from_the_mean_cosine_to_the_largest(unit):
    patches, sentences = unit
    cosines = patches @ sentences.t()
    blunt, sharp = (patch_sentence_similarity(patches, sentences, sharpness=k) for k in (1e-4, 1e4))
    torch.testing.assert_close(blunt, cosines.mean(1), atol=1e-4, rtol=0)
    torch.testing.assert_close(sharp, cosines.amax(1), atol=1e-3, rtol=0)


def test_a_sentence_attends_to_patches_by_its_gradient_and_gains_by_each(unit):
    patches, sentences = unit[0].clone().requires_grad_(), unit[1]
    patch_sentence_similarity(patches, sentences)[1, 2].backward()
    attention = (10 * patches[1] @ sentences[2]).softmax(0)
    torch.testing.assert_close(patches.grad[1], attention[:, None] * sentences[2])


@pytest.fixture
def patches_and_texts():
    torch.manual_seed(0)
    patches = F.normalize(torch.randn(3, 6, 5, dtype=torch.float64), dim=2)
    return patches, F.normalize(torch.randn(4, 5, dtype=torch.float64), dim=1)


@pytest.mark.parametrize("k", [1, 2, 6])
def test_the_best_patches_equal_the_definition(patches_and_texts, k):
    patches, texts = patches_and_texts
    expected = [[sum(sorted(float(p @ t) for p in image)[-k:]) / k for t in texts] for image in patches]
    torch.testing.assert_close(
        top_patch_similarity(patches, texts, k), torch.tensor(expected).double(), atol=1e-7, rtol=0
    )


def test_all_patches_are_the_mean_patch(patches_and_texts):
    patches, texts = patches_and_texts
    torch.testing.assert_close(top_patch_similarity(patches, texts, 99), patches.mean(1) @ texts.t())
    own = texts[None].expand(3, -1, -1)
    torch.testing.assert_close(top_patch_mean(patches, own, 99), patches.mean(1, keepdim=True).expand(-1, 4, -1))


def test_one_patch_finds_the_planted_one(patches_and_texts):
    patches, texts = patches_and_texts
    patches = patches.clone()
    patches[1, 4] = texts[2]
    assert top_patch_similarity(patches, texts)[1, 2].item() == pytest.approx(1)
    own = texts[None].expand(3, -1, -1)
    torch.testing.assert_close(top_patch_mean(patches, own, 1)[1, 2], texts[2])


def test_a_concept_that_is_a_patch_of_its_owner_is_nearly_free(patches_and_texts):
    patches, _ = patches_and_texts
    image_index = torch.tensor([0, 0, 1, 2])
    concepts = patches[image_index, torch.tensor([1, 2, 0, 4])]
    positive = torch.arange(3)[:, None] == image_index
    similarity, count = top_patch_similarity(patches, concepts), torch.tensor(4)
    assert sigmoid_contrast(1000 * similarity - 995, positive, count=count) < 0.05
    strange = top_patch_similarity(patches.roll(1, 0), concepts)
    assert sigmoid_contrast(1000 * strange - 995, positive, count=count) > 1


def test_the_mean_is_over_the_images_own_patches(patches_and_texts):
    patches, _ = patches_and_texts
    texts = torch.randn(3, 2, 5, dtype=torch.float64)
    got = top_patch_mean(patches, texts, 2)
    for b in range(3):
        for s in range(2):
            best = sorted(patches[b], key=lambda p: float(p @ texts[b, s]))[-2:]
            torch.testing.assert_close(got[b, s], sum(best) / 2)


def test_gradients_reach_the_chosen_patches_alone(patches_and_texts):
    patches, texts = (x.clone().requires_grad_() for x in patches_and_texts)
    assert torch.autograd.gradcheck(lambda p, t: top_patch_similarity(p, t, 2), (patches, texts))
    top_patch_similarity(patches, texts[:1], 2).sum().backward()
    assert (patches.grad.abs().sum(2) > 0).sum(1).tolist() == [2, 2, 2]
    patches.grad = None
    own = texts[None].expand(3, -1, -1)
    assert torch.autograd.gradcheck(lambda p: top_patch_mean(p, own.detach(), 2), patches)


def test_order_of_patches_and_texts(patches_and_texts):
    patches, texts = patches_and_texts
    cells, order = torch.tensor([4, 2, 0, 1, 3, 5]), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        top_patch_similarity(patches[:, cells], texts[order], 2), top_patch_similarity(patches, texts, 2)[:, order]
    )


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
