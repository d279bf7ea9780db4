"""The query decoder: attention maps, independence of queries, and its two paths to the same answer."""

import pytest
import torch

from medvlp.models import QueryDecoder
from medvlp.models.query_decoder import Attention, grid_position


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    return torch.randn(5, 16), torch.randn(2, 12, 16), grid_position((3, 4), 16, torch.zeros(1))


@pytest.mark.parametrize("self_attention", [False, True])
def test_with_and_without_maps_the_answer_is_the_same(inputs, self_attention):
    decoder = QueryDecoder(16, layers=2, heads=2, self_attention=self_attention).eval()
    answers, maps = decoder(*inputs, need_attention=True)
    plain, none = decoder(*inputs)
    assert none is None
    torch.testing.assert_close(answers, plain)
    assert maps.shape == (2, 5, 12)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 5))


def test_attention_equals_torchs_own():
    torch.manual_seed(0)
    ours, theirs = Attention(8, 2), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    queries, memory = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    expected, weights = theirs(queries, memory, memory)
    answer, maps = ours(queries, memory, weights=True)
    torch.testing.assert_close(answer, expected)
    torch.testing.assert_close(maps, weights)


def test_an_answer_depends_on_other_queries_only_with_self_attention(inputs):
    queries, memory, position = inputs
    for self_attention in (False, True):
        decoder = QueryDecoder(16, heads=2, self_attention=self_attention).eval()
        all_five, three = decoder(queries, memory, position)[0], decoder(queries[:3], memory, position)[0]
        assert torch.allclose(all_five[:, :3], three, atol=1e-6) != self_attention


def test_order_of_queries_and_of_patches(inputs):
    queries, memory, position = inputs
    decoder = QueryDecoder(16, heads=2, self_attention=True).eval()
    answers = decoder(queries, memory, position)[0]
    order, cells = torch.tensor([3, 0, 4, 1, 2]), torch.randperm(12)
    torch.testing.assert_close(decoder(queries[order], memory, position)[0], answers[:, order])
    torch.testing.assert_close(decoder(queries, memory[:, cells], position[cells])[0], answers)
    assert not torch.allclose(decoder(queries, memory[:, cells], position)[0], answers, atol=1e-4)


def test_each_image_may_have_its_own_queries(inputs):
    queries, memory, _ = inputs
    decoder = QueryDecoder(16, heads=2).eval()
    own = torch.stack([queries, queries.flip(0)])
    answers = decoder(own, memory)[0]
    torch.testing.assert_close(answers[1], decoder(queries.flip(0), memory[1:])[0][0])


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="3 heads"):
        QueryDecoder(16, heads=3)


@pytest.mark.parametrize("need_attention", [False, True])
def test_what_a_mask_hides_is_as_if_it_were_not_there(inputs, need_attention):
    queries, memory, position = inputs
    decoder = QueryDecoder(16, layers=2, heads=2).eval()
    mask = torch.arange(12) < torch.tensor([[12], [7]])
    junk = torch.where(mask[..., None], memory, 1e3)
    answers, maps = decoder(queries, junk, position, need_attention, mask)
    shorter, _ = decoder(queries, memory[1:, :7], position[:7])
    torch.testing.assert_close(answers[1:], shorter)
    torch.testing.assert_close(answers[:1], decoder(queries, memory[:1], position)[0])
    if need_attention:
        assert not maps[1, :, 7:].any()
