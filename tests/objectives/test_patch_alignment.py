"""Patch-sentence alignment against the definition, pair by pair; and for which images a sentence is true."""

import pytest
import torch
from torch.nn import functional as F

from medvlp.objectives import patch_sentence_similarity, sentence_targets


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
IMAGES = torch.tensor([[1, 0], [0, 0], [1, -1], [-1, -1]])
# Sentences: 0 "A" of image 0, 1 "no B" of image 1, 2 "A and no B" of image 0, 3 "rotated" of image 3, 4 "maybe A" of 2.
SENTENCES = torch.tensor([[1, -1], [-1, 0], [1, 0], [-1, -1], [2, -1]])
OWNER = torch.tensor([0, 1, 0, 3, 2])
GROUP = torch.tensor([10, 11, 12, 13, 14])


def test_identity_of_sentences():
    target, valid = sentence_targets(SENTENCES, IMAGES, OWNER, GROUP, "identity")
    assert target.long().tolist() == [[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0]]
    assert valid.all()


def test_equal_sentences_are_true_of_each_others_images():
    group = torch.tensor([10, 11, 12, 13, 11])
    target, _ = sentence_targets(SENTENCES, IMAGES, OWNER, group, "same_text")
    assert target[:, 1].tolist() == [False, True, True, False]
    assert target[:, 4].tolist() == [False, True, True, False]


def test_a_sentence_is_true_where_the_report_agrees_and_open_where_nobody_knows():
    target, valid = sentence_targets(SENTENCES, IMAGES, OWNER, GROUP, "same_labels")
    assert target.long().tolist() == [
        [1, 1, 1, 0, 0],  # has A, denies B
        [0, 1, 0, 0, 0],  # denies both
        [1, 0, 0, 0, 1],  # has A; of B nothing is known; its own "maybe A" is its own
        [0, 0, 0, 1, 0],  # silent: only its own sentence
    ]
    assert valid.long().tolist() == [
        [1, 1, 1, 0, 0],
        [1, 1, 1, 0, 0],  # "A" and "A and no B" are contradicted: negatives
        [1, 0, 0, 0, 1],
        [0, 0, 0, 1, 0],
    ]


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


def test_what_a_report_leaves_unmentioned_may_count_as_absent():
    has_report = torch.tensor([True, True, True, False])
    target, valid = sentence_targets(
        SENTENCES, IMAGES, OWNER, GROUP, "same_labels", unmentioned="negative", has_report=has_report
    )
    assert target.long().tolist() == [[1, 1, 1, 0, 0], [0, 1, 0, 0, 0], [1, 1, 1, 0, 1], [0, 0, 0, 1, 0]]
    assert valid.long().tolist() == [
        [1, 1, 1, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 0, 1],  # nothing of B is nothing there
        [0, 0, 0, 1, 0],  # no report: nobody knows
    ]


def test_sentences_of_all_ranks_are_columns(on_two_ranks):
    image_index, group = torch.tensor([0, 1, 2, 3]), torch.tensor([10, 11, 10, 13])
    for kind in ("identity", "same_text", "same_labels"):
        parts = on_two_ranks(
            lambda rank, ranks, kind=kind: sentence_targets(
                SENTENCES[:4].chunk(2)[rank], IMAGES.chunk(2)[rank], torch.arange(2), group.chunk(2)[rank], kind, ranks
            )
        )
        expected = sentence_targets(SENTENCES[:4], IMAGES, image_index, group, kind)
        for of_ranks, whole in zip(zip(*parts, strict=True), expected, strict=True):
            assert torch.equal(torch.cat(of_ranks), whole)
