"""Two ranks on half of the batch each give the losses and gradients of one rank on all of it, for every method."""

from copy import deepcopy

import pytest
import torch

from medvlp.methods import METHODS
from medvlp.models import ImageEncoder


def uneven(batch):
    """Ranks that hold unequal numbers of reports, labels, places and concepts."""
    batch.report_mask[5] = batch.sentence_mask[5] = False
    batch.findings[4:], batch.places[4:] = -1, -1
    batch.findings[1, 0], batch.findings[5, 2] = 0, 1
    batch.concepts[5] = batch.concepts.new_tensor([0, 0, -1, -1])
    return batch


@pytest.mark.parametrize("name", METHODS.names())
def test_ranks_together_equal_one(name, build, make_batch, take, on_two_ranks):
    method, batch = build(name), uneven(make_batch(6))
    method.image_encoder = ImageEncoder(
        "test_convnext", image_size=64, dim=32
    )  # no batch norm: a rank's own statistics
    method.eval()  # nothing is drawn
    learned = [(n, p) for n, p in method.named_parameters() if p.requires_grad]
    expected = method(batch)
    gradients = torch.autograd.grad(sum(expected.values()), [p for _, p in learned], allow_unused=True)

    copies = [deepcopy(method) for _ in range(2)]

    def work(rank, ranks):
        copies[rank].ranks = ranks
        return copies[rank](take(batch, torch.arange(3) + 3 * rank))

    found = on_two_ranks(work)
    # A bias that centering takes away again has the gradient zero, but for rounding.
    rounding = 1e-5 * max(1.0, *(whole.abs().max().item() for whole in gradients if whole is not None))
    for term, loss in expected.items():
        torch.testing.assert_close(sum(losses[term] for losses in found) / 2, loss, rtol=1e-5, atol=1e-6, msg=term)
    total = sum(loss for losses in found for loss in losses.values()) / 2
    of_copies = [
        torch.autograd.grad(
            total, [dict(copy.named_parameters())[n] for n, _ in learned], None, True, allow_unused=True
        )
        for copy in copies
    ]
    for (parameter, _), whole, *halves in zip(learned, gradients, *of_copies, strict=True):
        assert (whole is None) == all(half is None for half in halves), parameter
        if whole is not None:
            got = sum(half for half in halves if half is not None)
            assert (got - whole).abs().max() <= 1e-4 * whole.abs().max() + rounding, parameter
