"""FILIP's late interaction against the definition, pair by pair, with gradients and its edges."""

import pytest
import torch

from medvlp.objectives import late_interaction

LENGTHS = [4, 1, 3, 2, 4]
MASK = torch.arange(4) < torch.tensor(LENGTHS)[:, None]


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    return torch.randn(3, 6, 5, dtype=torch.float64), torch.randn(5, 4, 5, dtype=torch.float64)


def slow(patches, words, lengths):
    to_text, to_image = torch.zeros(2, len(patches), len(words), dtype=patches.dtype)
    for b, image in enumerate(patches):
        for n, length in enumerate(lengths):
            table = [[float(p @ w) for w in words[n, :length]] for p in image]
            to_text[b, n] = sum(max(row) for row in table) / len(table)
            to_image[b, n] = sum(max(column) for column in zip(*table, strict=True)) / length
    return to_text, to_image


@pytest.mark.parametrize("chunk", [1, 2, 32])
def test_equals_the_definition_on_unpadded_words(inputs, chunk):
    for got, expected in zip(late_interaction(*inputs, MASK, chunk), slow(*inputs, LENGTHS), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-9, rtol=0)


def test_chunks_give_the_same_gradient(inputs):
    grads = []
    for chunk in (32, 2):
        patches, words = (x.clone().requires_grad_() for x in inputs)
        to_text, to_image = late_interaction(patches, words, MASK, chunk)
        (to_text.sin() + to_image.cos()).sum().backward()
        grads.append((patches.grad, words.grad))
    torch.testing.assert_close(grads[0], grads[1])


def test_gradcheck(inputs):
    leaves = tuple(x.clone().requires_grad_() for x in inputs)
    assert torch.autograd.gradcheck(lambda p, w: late_interaction(p, w, MASK), leaves)


def test_by_hand():
    patches = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])
    words = torch.tensor([[[1.0, 0.0], [0.5, 0.0]]])
    to_text, to_image = late_interaction(patches, words, torch.ones(1, 2).bool())
    assert to_text.item() == pytest.approx(1 / 3)  # patches find 1, 0 and 0
    assert to_image.item() == pytest.approx(3 / 4)  # words find 1 and 1/2


def test_one_word_and_one_patch_give_their_product(inputs):
    patches, words = inputs
    for score in late_interaction(patches[:1, :1], words[:1, :1], MASK[:1, :1]):
        torch.testing.assert_close(score[0, 0], patches[0, 0] @ words[0, 0])


def test_the_best_word_may_be_worse_than_padding_would_be(inputs):
    patches, words = -inputs[0].abs(), inputs[1].abs()  # each product is negative, so a zero would win
    to_text, to_image = late_interaction(patches, words, MASK)
    assert (to_text < 0).all()
    assert (to_image < 0).all()


def test_what_stands_in_the_padding_does_not_matter(inputs):
    patches, words = inputs
    junk = torch.where(MASK[..., None], words, float("nan")).requires_grad_()
    scores = late_interaction(patches, junk, MASK)
    torch.testing.assert_close(scores, late_interaction(patches, words, MASK))
    sum(score.sum() for score in scores).backward()
    assert not junk.grad[~MASK].any()


def test_a_text_without_words_scores_zero_with_finite_gradient(inputs):
    patches, words = (x.clone().requires_grad_() for x in inputs)
    mask = MASK.clone()
    mask[1] = False
    scores = torch.stack(late_interaction(patches, words, mask))
    assert not scores[:, :, 1].any()
    scores.sum().backward()
    assert patches.grad.isfinite().all()
    assert not words.grad[1].any()


def test_order_of_patches_images_and_texts(inputs):
    patches, words = inputs
    cells, images, texts = torch.tensor([4, 2, 0, 1, 3, 5]), torch.tensor([2, 0, 1]), torch.tensor([2, 0, 3, 1, 4])
    shuffled = torch.stack(late_interaction(patches[images][:, cells], words[texts], MASK[texts]))
    torch.testing.assert_close(shuffled, torch.stack(late_interaction(patches, words, MASK))[:, images][:, :, texts])


def test_in_chunks_it_keeps_its_inputs_alone_for_the_backward_pass(inputs):
    kept = []
    patches, words = (x.clone().requires_grad_() for x in inputs)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        late_interaction(patches, words, MASK, chunk=1)
    assert max(kept) <= max(patches.numel(), words.numel())


def test_it_asks_nothing_of_an_accelerator(inputs):
    patches, words = (x.to("meta").requires_grad_() for x in inputs)
    sum(s.sum() for s in late_interaction(patches, words, MASK.to("meta"), chunk=2)).backward()
