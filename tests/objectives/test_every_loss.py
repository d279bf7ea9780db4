"""What holds for every loss alike; loops and hand values stand in the test of each file.

What does not count has no influence, be it NaN; order does not matter, and images with equal labels may change places;
two ranks together equal one; zero vectors, huge logits, half precision, autocast and any layout in memory are right.
"""

import pytest
import torch

HUGE = torch.finfo().max
ANYTHING = (HUGE, -HUGE, float("inf"), -float("inf"), float("nan"))


def with_gradients(case, leaves, sides=None):
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    loss = case.value(leaves, sides)
    return loss.detach(), torch.autograd.grad(loss, leaves)


def test_what_does_not_count_has_no_influence_and_no_gradient(case):
    leaves = case.inputs(torch.float32)
    expected = with_gradients(case, leaves)
    for content in ANYTHING if case.any_content else ANYTHING[:2]:
        junk = [
            x if mask is None else x.masked_fill(mask, content) for x, mask in zip(leaves, case.ignored, strict=True)
        ]
        loss, gradients = with_gradients(case, junk)
        torch.testing.assert_close((loss, gradients), expected)
        for gradient, mask in zip(gradients, case.ignored, strict=True):
            assert mask is None or not gradient[mask].any()


def test_gradients(case_without_constants):
    leaves = [leaf.requires_grad_() for leaf in case_without_constants.inputs()]
    assert torch.autograd.gradcheck(lambda *x: case_without_constants.value(x), leaves)


def test_the_order_of_the_batch_does_not_matter(case):
    order, leaves = torch.tensor([2, 0, 3, 1]), case.inputs()
    shuffled = case.value(case.leaves_of(leaves, order), case.of(case.sides, order))
    torch.testing.assert_close(shuffled, case.value(leaves), atol=1e-12, rtol=0)


def test_images_with_equal_labels_may_change_places(case_with_labels):
    leaves = case_with_labels.inputs()
    expected = case_with_labels.value(leaves)
    alike, unlike = (case_with_labels.leaves_of(leaves, torch.tensor(o), False) for o in ([1, 0, 2, 3], [3, 1, 2, 0]))
    torch.testing.assert_close(case_with_labels.value(alike), expected, atol=1e-12, rtol=0)
    assert (case_with_labels.value(unlike) - expected).abs() > 1e-3


def test_where_nothing_counts_the_loss_is_zero_and_so_are_its_gradients(case_of_nothing):
    loss, gradients = with_gradients(case_of_nothing, case_of_nothing.inputs(), case_of_nothing.nothing)
    assert loss == 0
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("row", range(4))
def test_a_batch_of_one_is_finite(case, row):
    one = torch.tensor([row])
    loss, gradients = with_gradients(case, case.leaves_of(case.inputs(torch.float32), one), case.of(case.sides, one))
    assert all(x.isfinite().all() for x in (loss, *gradients))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [0.0, 1e-20, 1e4])
def test_vectors_of_no_length_and_huge_logits_are_finite(case, dtype, size):
    loss, gradients = with_gradients(case, [size * leaf for leaf in case.inputs(dtype)])
    assert loss.dtype == torch.float32
    assert all(x.isfinite().all() for x in (loss, *gradients))


def test_half_precision_is_summed_in_float32(case):
    rounded = case.inputs(torch.bfloat16)
    torch.testing.assert_close(case.value(rounded), case.value([leaf.float() for leaf in rounded]))


def test_autocast_takes_no_digits(case):
    expected = with_gradients(case, case.inputs(torch.float32))
    leaves = [leaf.requires_grad_() for leaf in case.inputs(torch.float32)]
    with torch.autocast("cpu", torch.bfloat16):
        loss = case.value(leaves)
    torch.testing.assert_close((loss, torch.autograd.grad(loss, leaves)), expected)


def test_the_layout_in_memory_does_not_matter(case):
    leaves = case.inputs()
    turned = [leaf.transpose(0, -1).contiguous().transpose(0, -1) for leaf in leaves]
    assert not turned[0].is_contiguous()
    torch.testing.assert_close(with_gradients(case, turned), with_gradients(case, leaves))


def test_two_ranks_together_equal_one(case_on_ranks, on_two_ranks):
    case, order = case_on_ranks, torch.tensor([0, 1, 3, 2])  # the last counts for less: ranks have unequal shares
    leaves = [leaf.requires_grad_() for leaf in case.inputs()]
    ordered, sides = case.leaves_of(leaves, order), case.of(case.sides, order)
    whole = case.value(ordered, sides)

    def work(rank, ranks):
        rows = torch.arange(2 * rank, 2 * rank + 2)
        return case.value(case.leaves_of(ordered, rows, False), case.of(sides, rows, False), ranks)

    together = sum(on_two_ranks(work)) / 2
    found, expected = (torch.autograd.grad(loss, leaves, retain_graph=True) for loss in (together, whole))
    torch.testing.assert_close((together, found), (whole, expected), atol=1e-12, rtol=0)
