"""The slow twin.
The ring buffer, and soft targets from a twin.
"""

import pytest
import torch

from medvlp.models import DocumentFrequency, FeatureQueue, MomentumEncoder


def test_after_n_steps_it_has_gone_the_share_that_it_should():
    module = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.zero_()
        twin = MomentumEncoder(module, decay=0.995)
        module.weight.fill_(1.0)
    for _ in range(100):
        twin.update(module)
    assert twin.twin.weight.item() == pytest.approx(1 - 0.995**100, abs=1e-5)


def test_it_never_learns_and_never_trains():
    twin = MomentumEncoder(torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Dropout(0.5)))
    torch.nn.ModuleList([twin]).train()
    assert not any(m.training for m in twin.modules())
    assert not any(p.requires_grad for p in twin.parameters())
    assert not twin(torch.randn(3, 2, requires_grad=True)).requires_grad


def test_running_means_are_copied():
    module = torch.nn.BatchNorm1d(2)
    twin = MomentumEncoder(module)
    module(torch.randn(8, 2) + 5)
    twin.update(module)
    torch.testing.assert_close(twin.twin.running_mean, module.running_mean)


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


def test_frequencies_are_counted_over_all_texts_so_far():
    frequency = DocumentFrequency(3)
    assert frequency().tolist() == [0, 0, 0]
    frequency.count(torch.tensor([[1.0, 1, 0], [1, 0, 0], [0, 0, 0]]))  # the third is no text
    frequency.count(torch.tensor([[1.0, 0, 0]]))
    assert (frequency.texts.item(), frequency.holding.tolist()) == (3, [3, 1, 0])
    torch.testing.assert_close(frequency(), torch.tensor([1.0, 2.0, 4.0]).log())
    assert not any(buffer.is_floating_point() for buffer in frequency.buffers())


def test_counts_are_those_of_all_ranks():
    class TwoRanks:
        def gather(self, rows):
            return torch.cat([rows, rows])

        def first_row(self, rows):
            return 0

    frequency = DocumentFrequency(2)
    frequency.count(torch.tensor([[1.0, 0]]), TwoRanks())
    assert (frequency.texts.item(), frequency.holding.tolist()) == (2, [2, 0])
