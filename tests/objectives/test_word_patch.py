"""GLoRIA's local similarity against the definition on unpadded words, with gradients and its edges."""

import runpy
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from medvlp.objectives import word_patch, word_patch_similarity

LENGTHS = [5, 2, 1, 4]
MASK = torch.arange(5) < torch.tensor(LENGTHS)[:, None]


@pytest.fixture(params=["packed", "padded"], autouse=True)
def layout(request, monkeypatch):
    """Each test runs on words without padding, as on a CPU, and on padded ones, as on an accelerator."""
    monkeypatch.setattr(word_patch, "_on_cpu", lambda mask: request.param == "packed" and not mask.is_meta)


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    return torch.randn(3, 7, 6, dtype=torch.float64), torch.randn(4, 5, 6, dtype=torch.float64)


def slow_similarity(patches, words, lengths):
    """Pair by pair, with contexts."""
    rows = []
    for image in patches:
        row = []
        for text, length in zip(words, lengths, strict=True):
            similarity = text[:length] @ image.t()
            attention = (4 * similarity.softmax(0)).softmax(1)
            cosine = F.cosine_similarity(attention @ image, text[:length], dim=1)
            row.append(10 * torch.logsumexp(5 * cosine, 0))
        rows.append(torch.stack(row))
    return torch.stack(rows)


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_equals_the_definition_on_unpadded_words_with_its_gradient(inputs, chunk):
    results = []
    for similarity in (
        lambda p, w: word_patch_similarity(p, w, MASK, chunk=chunk),
        lambda p, w: slow_similarity(p, w, LENGTHS),
    ):
        patches, words = (x.clone().requires_grad_() for x in inputs)
        scores = similarity(patches, words)
        scores.sin().sum().backward()  # an upstream gradient that differs from pair to pair
        results.append((scores, patches.grad, words.grad))
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)


def test_gradcheck(inputs):
    patches, words = (x.clone().requires_grad_() for x in inputs)
    assert torch.autograd.gradcheck(lambda p, w: word_patch_similarity(p, w, MASK, chunk=3), (patches, words))


def test_what_stands_in_the_padding_does_not_matter(inputs):
    patches, words = inputs
    junk = torch.where(MASK[..., None], words, 1e3).requires_grad_()
    scores = word_patch_similarity(patches, junk, MASK)
    torch.testing.assert_close(scores, word_patch_similarity(patches, words, MASK))
    scores.sum().backward()
    assert not junk.grad[~MASK].any()


def test_a_gap_between_words_is_no_word(inputs):
    patches, words = inputs
    gap = torch.tensor([[1, 0, 1, 0, 0]] * 4).bool()
    torch.testing.assert_close(
        word_patch_similarity(patches, words, gap), slow_similarity(patches, words[:, [0, 2]], [2] * 4)
    )


def test_one_word_and_one_patch_give_their_scaled_cosine(inputs):
    patches, words = inputs
    got = word_patch_similarity(patches[:1, :1], words[:1, :1], MASK[:1, :1])
    torch.testing.assert_close(got[0, 0], 50 * F.cosine_similarity(patches[0, :1], words[0, :1])[0])


def test_without_sharpness_every_patch_and_every_word_counts_alike(inputs):
    patches, words = inputs
    got = word_patch_similarity(patches, words, MASK, region_sharpness=0.0)
    cosine = F.cosine_similarity(patches.mean(1)[0], words[0], dim=1)
    torch.testing.assert_close(got[0, 0], 10 * (5 * cosine).logsumexp(0))
    got = word_patch_similarity(patches, words, MASK, word_sharpness=0.0)
    torch.testing.assert_close(got, (10 * torch.tensor(LENGTHS).double().log()).expand(3, 4))


def test_a_text_without_words_scores_zero_with_finite_gradient(inputs):
    patches, words = (x.clone().requires_grad_() for x in inputs)
    mask = MASK.clone()
    mask[1] = False
    scores = word_patch_similarity(patches, words, mask)
    assert not scores[:, 1].any()
    scores.sum().backward()
    assert patches.grad.isfinite().all()
    assert not words.grad[1].any()
    silent = word_patch_similarity(patches, words, torch.zeros_like(mask))
    assert not silent.any()
    assert not torch.autograd.grad(silent.sum(), words)[0].any()


def test_order_of_patches_and_texts(inputs):
    patches, words = inputs
    cells, texts = torch.tensor([4, 2, 0, 6, 1, 3, 5]), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        word_patch_similarity(patches[:, cells], words[texts], MASK[texts]),
        word_patch_similarity(patches, words, MASK)[:, texts],
    )


def test_it_keeps_its_inputs_alone_for_the_backward_pass(inputs):
    kept = []
    patches, words = (x.clone().requires_grad_() for x in inputs)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.shape) or x, lambda x: x):
        word_patch_similarity(patches, words, MASK)
    assert sorted(kept) == sorted([patches.shape, words.shape, MASK.shape])


def test_backward_may_be_called_inside_of_autocast(inputs):
    gradients = []
    for mixed in (False, True):
        patches, words = (x.float().requires_grad_() for x in inputs)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            word_patch_similarity(patches, words, MASK).sin().sum().backward()
        gradients.append((patches.grad, words.grad))
    torch.testing.assert_close(gradients[1], gradients[0])


def test_a_step_of_256_pairs_in_bfloat16_fits_in_8_gib_and_memory_is_linear():
    """By the benchmark's count of live tensors; its own text says what a GPU needs beside them."""
    peak = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "word_patch.py"))["peak_of_step"]
    few, many = peak(64), peak(256)
    assert many < 0.5 * 8 * 2**30
    assert many < 4 * few


def test_it_asks_nothing_of_an_accelerator(inputs):
    patches, words = (x.to("meta").requires_grad_() for x in inputs)
    word_patch_similarity(patches, words, MASK.to("meta")).sum().backward()
