"""The cosine classifier against its formula."""

import torch

from medvlp.models import PrototypeHead


def test_logits_are_scaled_cosines_with_prototypes():
    torch.manual_seed(0)
    head = PrototypeHead(6, 4, 3)
    with torch.no_grad():
        head.bias.copy_(torch.tensor([0.0, 1.0, -2.0]))
    x = torch.randn(5, 6)
    for b, row in enumerate(head(x)):
        z = head.head.layers.weight @ x[b]
        for e, logit in enumerate(row):
            w = head.prototypes[e]
            torch.testing.assert_close(logit, (z @ w) / (z.norm() * w.norm()) / 0.07 + head.bias[e])
    torch.testing.assert_close(head(3 * x), head(x))


def test_a_bias_that_is_not_learnt_stays_at_zero():
    head = PrototypeHead(6, 4, 3, bias=False)
    head(torch.randn(5, 6)).sum().backward()
    assert head.bias.grad is None
    assert not head.bias.any()
