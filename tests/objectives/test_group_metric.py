"""KEEP's group loss: against its definition, at its edges, and what relates two groups."""

import math

import pytest
import torch
from torch.nn import functional as F

from medvlp.objectives import LabelGroups, ancestor_matrix, group_metric_loss, label_groups


def groups_of(numbers, related=(), silent=(), unasked=()):
    """Groups from a number for each row; `related` pairs of groups do not count, `silent` rows neither."""
    group = torch.tensor(numbers)
    same = group[:, None] == group[None]
    valid = torch.ones_like(same)
    for i, j in related:
        apart = ((group == i)[:, None] & (group == j)[None]) | ((group == j)[:, None] & (group == i)[None])
        valid &= ~apart
    for row in silent:
        valid[row] = valid[:, row] = False
    anchors = torch.tensor([row not in silent and number not in unasked for row, number in enumerate(numbers)])
    return LabelGroups(same, valid, anchors)


def slow_loss(logits, groups):
    """The definition, sum by sum, without logarithms inside."""
    rows = range(len(logits))
    terms, done = [], set()
    for first in rows:
        members = tuple(a for a in rows if groups.same[first, a] and groups.valid[first, a])
        if not groups.anchors[first] or members in done:
            continue
        done.add(members)
        positive = sum(1 / sum(torch.exp(-logits[a, b]) for b in members) for a in members)
        negative = sum(
            torch.exp(logits[a, b]) for a in members for b in rows if groups.valid[a, b] and not groups.same[a, b]
        )
        terms.append(-torch.log(positive / (positive + negative)))
    return sum(terms) / len(terms)


@pytest.fixture
def logits():
    torch.manual_seed(0)
    image, text = (F.normalize(torch.randn(8, 6, dtype=torch.float64), dim=1) for _ in range(2))
    return 25 * image @ text.t()


CASES = {
    "equal sizes": groups_of([0, 0, 1, 1, 2, 2, 3, 3]),
    "unequal sizes": groups_of([0, 0, 0, 1, 2, 2, 3, 4]),
    "related": groups_of([0, 0, 1, 1, 2, 2, 3, 3], related=[(0, 1), (2, 3)]),
    "negatives only": groups_of([0, 0, 1, 1, 2, 3, 3, 3], unasked=[2, 3]),
    "without report": groups_of([0, 0, 1, 1, 2, 2, 3, 3], silent=[1, 6, 7]),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_definition(logits, case):
    torch.testing.assert_close(
        group_metric_loss(logits, CASES[case]), slow_loss(logits, CASES[case]), atol=1e-9, rtol=0
    )
    assert torch.autograd.gradcheck(lambda x: group_metric_loss(x, CASES[case]), logits.requires_grad_())


def test_equal_similarities_cost_log_of_one_and_the_negatives():
    numbers = [i // 4 for i in range(128)]
    loss = group_metric_loss(torch.full((128, 128), 0.3 * 25), groups_of(numbers))
    assert loss.item() == pytest.approx(math.log(1 + 31 * 16), abs=1e-4)  # 6.2086


def test_groups_of_one_are_the_cross_entropy(logits):
    loss = group_metric_loss(logits, groups_of(range(8)))
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.arange(8)))


def test_one_group_and_no_group_cost_nothing(logits):
    assert group_metric_loss(logits, groups_of([0] * 8)).item() == 0
    logits.requires_grad_()
    nobody = group_metric_loss(logits, groups_of([0, 0, 1, 1, 2, 2, 3, 3], silent=range(8)))
    nobody.backward()
    assert nobody.item() == 0
    assert not logits.grad.any()


def test_related_groups_send_no_gradient_and_rows_without_report_neither(logits):
    logits.requires_grad_()
    group_metric_loss(logits, groups_of([0, 0, 1, 1, 2, 2, 3, 3], related=[(0, 1)], silent=[7])).backward()
    assert not logits.grad[:2, 2:4].any()
    assert not logits.grad[2:4, :2].any()
    assert not logits.grad[7].any()
    assert not logits.grad[:, 7].any()
    assert logits.grad[:2, 4:7].all()


def test_one_good_row_is_enough():
    """A group whose first row is near all of its texts costs little, however far the others are."""
    logits = torch.full((4, 4), -10.0)
    logits[0, :2] = logits[2, 2:] = 20.0
    assert group_metric_loss(logits, groups_of([0, 0, 1, 1])) < 1e-6
    logits[0, 1] = -10.0  # now no row is near all
    assert group_metric_loss(logits, groups_of([0, 0, 1, 1])) > 0.5


def test_order_does_not_matter_nor_rows_of_one_group_change_places(logits):
    numbers = [0, 0, 0, 1, 2, 2, 3, 4]
    order = torch.tensor([4, 0, 7, 2, 1, 6, 5, 3])
    shuffled = groups_of([numbers[i] for i in order])
    torch.testing.assert_close(
        group_metric_loss(logits[order][:, order], shuffled), group_metric_loss(logits, groups_of(numbers))
    )
    swapped = logits[[1, 0, 2, 3, 4, 5, 6, 7]]
    torch.testing.assert_close(
        group_metric_loss(swapped, groups_of(numbers)), group_metric_loss(logits, groups_of(numbers))
    )


FINDINGS = ("pneumonia", "lung_opacity", "cardiomegaly", "pleural_effusion")


def test_groups_are_equal_findings_and_relations_are_their_ancestors():
    states = torch.tensor(
        [
            [1, -1, -1, -1],  # pneumonia
            [1, 1, -1, -1],  # pneumonia and lung opacity: the same, with all ancestors
            [-1, 1, -1, -1],  # lung opacity, which pneumonia is
            [-1, -1, 1, -1],  # cardiomegaly
            [-1, -1, 1, 1],  # cardiomegaly and effusion
            [0, -1, -1, -1],  # normal
            [-1, 0, 0, -1],  # normal
            [-1, 2, -1, -1],  # nothing is known
            [1, -1, -1, -1],  # without report
            [0, 2, -1, -1],  # no pneumonia, and who knows whether it is normal
        ],
        dtype=torch.int8,
    )
    has_report = torch.tensor([True] * 8 + [False, True])
    groups = label_groups(states, has_report, ancestor_matrix(FINDINGS))
    off = {(i, j) for i, j in groups.same.nonzero().tolist() if i < j}
    assert off == {(0, 1), (5, 6)}
    removed = {(i, j) for i, j in (~groups.valid).nonzero().tolist() if i <= j}
    assert removed == {(0, 2), (1, 2), (3, 4)} | {(i, 8) for i in range(9)} | {(8, 9)}
    assert groups.anchors.tolist() == [True] * 7 + [False] * 3


def test_groups_reach_over_ranks(on_two_ranks):
    states = torch.tensor([[1, -1, -1, -1], [0, -1, -1, -1], [1, 1, -1, -1], [-1, 1, 0, 2]], dtype=torch.int8)
    has_report, ancestors = torch.tensor([True, True, True, False]), ancestor_matrix(FINDINGS)
    whole = label_groups(states, has_report, ancestors)
    parts = on_two_ranks(
        lambda rank, ranks: label_groups(states.chunk(2)[rank], has_report.chunk(2)[rank], ancestors, ranks)
    )
    for name in ("same", "valid", "anchors"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
