"""The head of masked tokens: it reads the places asked for, and answers in the space of the embeddings."""

import torch

from medvlp.models import MaskedTokenHead


def test_logits_are_products_with_the_embedding_at_the_places():
    torch.manual_seed(0)
    head, tokens, embedding = MaskedTokenHead(8, 11), torch.randn(2, 5, 8), torch.randn(11, 8)
    place = torch.tensor([[3, 0], [4, 4]])
    logits = head(tokens, place, embedding)
    assert logits.shape == (2, 2, 11)
    for n in range(2):
        for k in range(2):
            hidden = head.norm(torch.nn.functional.gelu(head.dense(tokens[n, place[n, k]])))
            torch.testing.assert_close(logits[n, k], embedding @ hidden)
    with torch.no_grad():
        head.bias[2] = 5.0
    torch.testing.assert_close(head(tokens, place, embedding)[..., 2], logits[..., 2] + 5)
