"""The contrast against a target matrix: against loops, hand values and its invariances, in double precision.
The sigmoid contrast: hand values of its start, a loop, and shared positives.
"""

import math

import pytest
import torch
from torch.nn import functional as F

from medvlp.objectives import info_nce, multi_positive_nce, sigmoid_contrast


@pytest.fixture
def logits():
    torch.manual_seed(0)
    image = F.normalize(torch.randn(6, 8, dtype=torch.float64), dim=1)
    text = F.normalize(torch.randn(6, 8, dtype=torch.float64), dim=1)
    return image @ text.t() / 0.07


PAIRS = torch.block_diag(*[torch.ones(2, 2, dtype=torch.float64)] * 3)


def slow_rows(logits, target, valid):
    """Mean over rows with a positive, written as sums of exponentials over the valid entries."""
    terms = []
    for i in range(logits.shape[0]):
        columns = [j for j in range(logits.shape[1]) if valid[i, j]]
        mass = sum(target[i, j] for j in columns)
        if mass > 0:
            log_sum = torch.logsumexp(torch.stack([logits[i, j] for j in columns]), 0)
            terms.append(-sum(target[i, j] / mass * (logits[i, j] - log_sum) for j in columns))
    return sum(terms) / len(terms)


def test_identity_is_the_two_way_cross_entropy(logits):
    own = torch.arange(6)
    expected = 0.5 * (F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own))
    torch.testing.assert_close(info_nce(logits, torch.eye(6)), expected)


def test_equals_a_loop_with_graded_targets_and_invalid_entries():
    torch.manual_seed(1)
    logits = torch.randn(5, 7, dtype=torch.float64)
    target = torch.rand(5, 7, dtype=torch.float64) * (torch.rand(5, 7) < 0.5)
    valid = torch.rand(5, 7) < 0.7
    valid[2] = False  # a row of nothing
    expected = 0.3 * slow_rows(logits, target, valid) + 0.7 * slow_rows(logits.t(), target.t(), valid.t())
    torch.testing.assert_close(info_nce(logits, target, valid, row_weight=0.3), expected, atol=1e-12, rtol=0)


def test_constant_logits_give_log_n_whatever_the_target():
    loss = info_nce(torch.zeros(6, 6, dtype=torch.float64), torch.ones(6, 6))
    assert loss.item() == pytest.approx(math.log(6), abs=1e-12)


def test_the_floor_of_k_positives_is_log_k():
    assert info_nce(1e3 * PAIRS, PAIRS).item() == pytest.approx(math.log(2), abs=1e-12)


def test_copies_that_read_alike_are_the_same_with_and_without_a_joint_target(logits):
    """Why `same_text` and `identity` train alike where equal texts have equal vectors, and only there."""
    group = torch.tensor([0, 1, 0, 2, 0, 1])
    alike, (own, joint) = logits[:, group], (torch.eye(6), (group[:, None] == group).double())
    torch.testing.assert_close(info_nce(alike, own), info_nce(alike, joint))
    assert (info_nce(logits, own) - info_nce(logits, joint)).abs() > 0.1


def test_permutation_and_swap_of_towers_change_nothing(logits):
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(info_nce(logits[order][:, order], PAIRS[order][:, order]), info_nce(logits, PAIRS))
    torch.testing.assert_close(info_nce(logits.t(), PAIRS.t()), info_nce(logits, PAIRS))


def test_unequal_directions_are_swapped_with_the_towers(logits):
    forward = info_nce(logits, PAIRS, row_weight=0.75)
    torch.testing.assert_close(info_nce(logits.t(), PAIRS.t(), row_weight=0.25), forward)
    assert not torch.isclose(info_nce(logits.t(), PAIRS.t(), row_weight=0.75), forward)


def test_gradients(logits):
    valid = torch.rand(6, 6) < 0.8
    target = torch.rand(6, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: info_nce(x, target, valid), logits.requires_grad_())


def test_nothing_valid_is_zero_with_zero_gradient():
    logits = torch.randn(3, 4, requires_grad=True)
    loss = info_nce(logits, torch.ones(3, 4), torch.zeros(3, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(3, 4))


def test_half_precision_logits_are_summed_in_float32():
    logits = torch.randn(8, 8).bfloat16()
    loss = info_nce(logits, torch.eye(8))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, info_nce(logits.float(), torch.eye(8)))


def test_unmentioned_and_uncertain_findings_leave_both_sums():
    states = torch.tensor([[1, 0, -1, 1, 2], [0, 1, -1, 0, 2], [1, 0, -1, -1, 2]], dtype=torch.int8)
    logits = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(multi_positive_nce(logits, states), logits)
    known = (states == 0) | (states == 1)
    assert torch.equal(gradient[~known], torch.zeros(int((~known).sum()), dtype=torch.float64))
    expected = 0.5 * slow_rows(logits, (states == 1).double(), known)
    expected += 0.5 * slow_rows(logits.t(), (states == 1).double().t(), known.t())
    torch.testing.assert_close(multi_positive_nce(logits, states), expected)


def test_silence_may_be_taken_as_absence():
    states = torch.tensor([[1, 0, -1], [0, 1, -1], [1, -1, 2]])
    logits = torch.randn(3, 3, dtype=torch.float64)
    known = states != 2
    expected = 0.5 * slow_rows(logits, (states == 1).double(), known)
    expected += 0.5 * slow_rows(logits.t(), (states == 1).double().t(), known.t())
    torch.testing.assert_close(multi_positive_nce(logits, states, "negative"), expected)
    nobody = torch.zeros(3, dtype=torch.bool)
    torch.testing.assert_close(
        multi_positive_nce(logits, states, "negative", has_report=nobody), multi_positive_nce(logits, states)
    )


def test_images_with_equal_labels_may_be_swapped():
    states = torch.tensor([[1, 0, -1], [1, 0, -1], [0, 1, 1]])
    logits = torch.randn(3, 3, dtype=torch.float64)
    swapped = logits[[1, 0, 2]]
    torch.testing.assert_close(multi_positive_nce(swapped, states), multi_positive_nce(logits, states))


def test_nothing_mentioned_is_zero():
    assert multi_positive_nce(torch.randn(3, 4), -torch.ones(3, 4)).item() == 0


def test_where_all_are_present_it_is_the_log_of_their_number():
    everything = torch.ones(2, 3, dtype=torch.int8)
    assert multi_positive_nce(torch.zeros(2, 3), everything).item() == pytest.approx((math.log(3) + math.log(2)) / 2)
    one = torch.tensor([[1]], dtype=torch.int8)
    assert multi_positive_nce(torch.tensor([[7.0]]), one).item() == 0


def test_zero_logits_cost_a_coin_for_each_pair_of_a_row():
    loss = sigmoid_contrast(torch.zeros(6, 6, dtype=torch.float64), torch.eye(6).bool())
    assert loss.item() == pytest.approx(6 * math.log(2), abs=1e-12)


def test_equals_a_loop_and_its_gradient():
    torch.manual_seed(0)
    logits = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    positive, valid = torch.rand(4, 5) < 0.4, torch.rand(4, 5) < 0.7
    valid[3] = False
    terms = [
        math.log1p(math.exp(-logits[i, j].item() if positive[i, j] else logits[i, j].item()))
        for i in range(4)
        for j in range(5)
        if valid[i, j]
    ]
    assert sigmoid_contrast(logits, positive, valid).item() == pytest.approx(sum(terms) / 3, abs=1e-9)
    assert torch.autograd.gradcheck(lambda x: sigmoid_contrast(x, positive, valid), logits)
    (gradient,) = torch.autograd.grad(sigmoid_contrast(logits, positive, valid), logits)
    assert not gradient[~valid].any()


def test_a_shared_concept_is_pulled_by_both_owners():
    logits = torch.zeros(1, 2, requires_grad=True)  # one concept, two images
    sigmoid_contrast(logits, torch.tensor([[True, False]])).backward()
    pushed = logits.grad.clone()
    logits.grad = None
    sigmoid_contrast(logits, torch.tensor([[True, True]])).backward()
    assert pushed[0, 1] > 0 > logits.grad[0, 1]


def test_nothing_valid_is_zero():
    assert sigmoid_contrast(torch.randn(2, 3), torch.ones(2, 3).bool(), torch.zeros(2, 3).bool()).item() == 0


def test_the_count_can_be_that_of_columns():
    logits, positive = torch.randn(4, 6), torch.rand(4, 6) < 0.3
    expected = sigmoid_contrast(logits.t(), positive.t())
    torch.testing.assert_close(sigmoid_contrast(logits, positive, count=torch.tensor(6)), expected)


def test_no_positive_and_nothing_but_positives_by_hand():
    logits = torch.tensor([[2.0, -1.0]])
    none, all_of_them = torch.zeros(1, 2).bool(), torch.ones(1, 2).bool()
    expected = math.log1p(math.exp(2)) + math.log1p(math.exp(-1))
    assert sigmoid_contrast(logits, none).item() == pytest.approx(expected)
    assert sigmoid_contrast(-logits, all_of_them).item() == pytest.approx(expected)
