"""Two ranks on half of the batch each give the losses and gradients of one rank on all of it."""

from dataclasses import fields

import pytest
import torch

from medvlp.data.batch import Batch
from medvlp.methods.auxiliary.base import AUXILIARY, AuxiliaryLoss
from medvlp.methods.base import MethodParts
from medvlp.models import ImageEncoder

LOSSES = [name for name in AUXILIARY for kind in [AUXILIARY.get(name)] if issubclass(kind, AuxiliaryLoss)]


def share(batch, rank):
    rows = slice(rank * len(batch) // 2, (rank + 1) * len(batch) // 2)
    parts = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return Batch(**{name: None if value is None else value[rows] for name, value in parts.items()})


@pytest.mark.parametrize("name", LOSSES)
def test_ranks_together_equal_one(name, build, make_batch, on_two_ranks):
    method, batch = build("clip").eval(), make_batch(6)
    # No batch norm, whose statistics are a rank's own.
    encoder = ImageEncoder("test_convnext", image_size=64, dim=32).eval()
    method.image_encoder = encoder
    batch.report_mask[5] = False
    parts = MethodParts(encoder, method.text_encoder, method.tokenizer, method.findings, method.book)
    torch.manual_seed(0)
    kind = AUXILIARY.get(name)
    auxiliary = kind(parts, kind.Options())
    if name == "superclass":
        auxiliary.train().losses(batch, method.encode(batch))  # counts of words, without which nothing weighs anything
    auxiliary.eval()
    watched = [p for p in (*auxiliary.parameters(), encoder.patch_norm.weight) if p.requires_grad]

    expected = auxiliary.losses(batch, method.encode(batch))
    gradients = torch.autograd.grad(sum(expected.values()), watched)

    copies = [kind(parts, kind.Options()).eval() for _ in range(2)]

    def work(rank, ranks):
        copies[rank].load_state_dict(auxiliary.state_dict())
        copies[rank].ranks = ranks
        half = share(batch, rank)
        return copies[rank].losses(half, method.encode(half))

    found = on_two_ranks(work)
    for term, loss in expected.items():
        torch.testing.assert_close(sum(losses[term] for losses in found) / 2, loss, rtol=1e-5, atol=1e-6, msg=term)
    total = sum(loss for losses in found for loss in losses.values()) / 2
    learning = [[p for p in copy.parameters() if p.requires_grad] for copy in copies]
    of_copies = [torch.autograd.grad(total, weights, retain_graph=True) for weights in learning]
    summed = [sum(pair) for pair in zip(*of_copies, strict=True)]
    summed.append(torch.autograd.grad(total, encoder.patch_norm.weight)[0])
    for ours, theirs in zip(summed, gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)
