"""The query decoder: attention maps, independence of queries, and its two paths to the same answer.
The learned similarity: independence of queries, padding, chunks.
Codes of places on a grid.
Smoothing of maps: against scipy, and what it must keep.
"""

import pytest
import torch
from scipy.ndimage import gaussian_filter

from medvlp.models import QueryDecoder, RelationScorer, gaussian_smooth, grid_position
from medvlp.models.query_decoder import Attention


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


@pytest.fixture
def scorer_inputs():
    torch.manual_seed(0)
    return torch.randn(4, 16), torch.randn(5, 6, 16)


@pytest.fixture
def scorer():
    torch.manual_seed(0)
    return RelationScorer(16, layers=2, heads=2)


def test_each_pair_is_scored_by_itself(scorer, scorer_inputs):
    queries, memory = scorer_inputs
    scores = scorer(queries, memory)
    assert scores.shape == (5, 4)
    for b in range(5):
        for n in range(4):
            torch.testing.assert_close(scorer(queries[n : n + 1], memory[b : b + 1])[0, 0], scores[b, n])


def test_removing_a_query_leaves_the_scores_of_the_others(scorer, scorer_inputs):
    queries, memory = scorer_inputs
    torch.testing.assert_close(scorer(queries[:3], memory), scorer(queries, memory)[:, :3])


def test_who_asks_matters(scorer, scorer_inputs):
    first, second = scorer_inputs[0], scorer_inputs[1][:4, 0]
    assert not torch.allclose(scorer(first, second[:, None]), scorer(second, first[:, None]).t())


def test_padding_is_not_read(scorer, scorer_inputs):
    queries, memory = scorer_inputs
    mask = torch.arange(6) < torch.tensor([6, 3, 1, 5, 2])[:, None]
    junk = torch.where(mask[..., None], memory, 1e3)
    torch.testing.assert_close(scorer(queries, junk, mask)[1:2], scorer(queries, memory[1:2, :3]))


def test_chunks_give_the_same_scores_and_gradients(scorer, scorer_inputs):
    queries, memory = scorer_inputs
    results = []
    for chunk in (32, 2):
        scorer.chunk, leaf = chunk, memory.clone().requires_grad_()
        scorer.zero_grad()
        scores = scorer(queries, leaf)
        scores.sin().sum().backward()
        results.append((scores, leaf.grad, *(p.grad.clone() for p in scorer.parameters())))
    for whole, part in zip(*results, strict=True):
        torch.testing.assert_close(whole, part, rtol=1e-4, atol=1e-5)


def test_gradcheck(scorer_inputs):
    queries, memory = (x[:2].double().requires_grad_() for x in scorer_inputs)
    scorer = RelationScorer(16, layers=1, heads=2).double()
    scorer.requires_grad_(False)
    assert torch.autograd.gradcheck(lambda q, m: scorer(q, m), (queries, memory))


def test_where_it_looks_sums_to_one(scorer, scorer_inputs):
    mask = torch.arange(6) < torch.tensor([6, 3, 1, 5, 2])[:, None]
    maps = scorer.attention(*scorer_inputs, mask)
    torch.testing.assert_close(maps.sum(2), torch.ones(5, 4))
    assert not maps.transpose(1, 2)[~mask].any()


@pytest.mark.parametrize("grid", [(4, 6), (2, 3, 4)])
def test_each_cell_has_its_own_code(grid):
    code = grid_position(grid, 50, torch.zeros(1))
    assert code.shape == (torch.tensor(grid).prod(), 50)
    assert torch.cdist(code, code).add(torch.eye(len(code)) * 9).min() > 0.05


def test_a_place_keeps_its_code_on_a_finer_grid():
    # The center of the middle cell of 3 and of 9 is the same point of the body.
    coarse, fine = grid_position((3, 3), 32, torch.zeros(1)), grid_position((9, 9), 32, torch.zeros(1))
    torch.testing.assert_close(coarse[4], fine[40])


def test_type_follows_the_tensor():
    assert grid_position((2, 2), 8, torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize(("shape", "sigma"), [((15, 15), 1.5), ((7, 15), 0.6), ((4, 3), 2.0), ((1, 5), 1.0)])
def test_it_is_the_filter_of_scipy(shape, sigma):
    maps = torch.randn(2, *shape, dtype=torch.float64)
    expected = torch.stack([torch.from_numpy(gaussian_filter(one.numpy(), sigma)) for one in maps])
    torch.testing.assert_close(gaussian_smooth(maps, sigma), expected)


def test_the_mean_is_kept_and_a_constant_stays():
    maps = torch.zeros(15, 15)
    maps[7, 4] = 1
    assert gaussian_smooth(maps, 1.5).mean().item() == pytest.approx(1 / 225, rel=1e-5)
    assert gaussian_smooth(maps, 1.5).max() < 0.08
    torch.testing.assert_close(gaussian_smooth(torch.full((6, 8), 0.3), 2.0), torch.full((6, 8), 0.3))


def test_the_largest_place_of_a_planted_blob_stays_and_a_lone_patch_gives_way():
    maps = torch.zeros(15, 15)
    maps[3:6, 9:12] = 0.8
    maps[12, 2] = 1.0
    assert divmod(int(gaussian_smooth(maps, 1.5).argmax()), 15) == (4, 10)
    assert divmod(int(gaussian_smooth(maps, 0).argmax()), 15) == (12, 2)
