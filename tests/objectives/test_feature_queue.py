"""The ring buffer, and soft targets from a twin."""

import pytest
import torch

from medvlp.models import FeatureQueue
from medvlp.objectives import momentum_target


def test_a_batch_need_not_divide_the_size():
    queue = FeatureQueue(5, 1)
    for step in (1.0, 2.0, 3.0):
        queue.push(torch.full((2, 1), step), torch.full((2,), int(step)))
    assert queue.features[:, 0].tolist() == [3, 1, 2, 2, 3]
    assert queue.groups.tolist() == [3, 1, 2, 2, 3]
    assert queue.position == 1


def test_what_was_never_written_is_marked():
    queue = FeatureQueue(4, 2)
    queue.push(torch.ones(3, 2))
    assert queue.filled.tolist() == [True, True, True, False]
    with pytest.raises(ValueError, match="queue of 4"):
        queue.push(torch.ones(5, 2))


def test_pushing_asks_nothing_of_the_device_and_keeps_no_graph():
    queue = FeatureQueue(4, 2).to("meta")
    queue.push(torch.ones(3, 2, device="meta"))
    queue = FeatureQueue(4, 2)
    queue.push(torch.ones(3, 2, requires_grad=True))
    assert not queue.features.requires_grad


def test_it_travels_with_the_weights():
    first, second = FeatureQueue(4, 2), FeatureQueue(4, 2)
    first.push(torch.ones(3, 2))
    second.load_state_dict(first.state_dict())
    second.push(torch.zeros(2, 2))
    assert second.features[:, 0].tolist() == [0, 1, 1, 0]


def test_soft_targets():
    similarity = torch.randn(3, 7, dtype=torch.float64)
    target = torch.eye(3, 7, dtype=torch.float64)
    target[0, 4] = 1
    torch.testing.assert_close(momentum_target(similarity, target, 0.0)[0, [0, 4]], torch.full((2,), 0.5).double())
    mixed = momentum_target(similarity, target, 0.4)
    torch.testing.assert_close(mixed.sum(1), torch.ones(3).double())
    torch.testing.assert_close(mixed[1], 0.4 * similarity[1].softmax(0) + 0.6 * target[1])
