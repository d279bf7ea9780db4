"""CARZero: its losses pair by pair, independence of what else is asked, and its zero-shot path."""

import pytest
import torch
from torch.nn import functional as F

from medvlp.models import grid_position


@pytest.fixture
def world(build, make_batch):
    return build("carzero", layers=2, width=32, false_negatives="identity").eval(), make_batch(4)


def asks_image(method, text, image, patches, grid):
    """One text, one image: the answer of the decoder, scored."""
    memory = method.from_image(torch.cat([image[None], patches]))[None]
    position = torch.cat([torch.zeros(1, 32), grid_position(grid, 32, memory)])
    return method.scorer.head(method.scorer.decoder(method.from_text(text[None]), memory, position)[0])[0, 0, 0]


def asks_text(method, image, text, tokens):
    """One image, one text without padding."""
    memory = method.from_text(torch.cat([text[None], tokens]))[None]
    return method.scorer.head(method.scorer.decoder(method.from_image(image[None]), memory)[0])[0, 0, 0]


def slow_relations(method, features, texts, ids, masks):
    alone = [method.text_encoder(i[m][None], m[m][None]) for i, m in zip(ids, masks, strict=True)]
    a, r = [], []
    for image, patches in zip(features.global_, features.patches, strict=True):
        a.append(torch.stack([asks_image(method, t, image, patches, features.grid) for t in texts]))
        r.append(torch.stack([asks_text(method, image, t.global_[0], t.tokens[0]) for t in alone]))
    return torch.stack(a), torch.stack(r)


def test_the_three_losses_from_their_definition(world):
    method, batch = world
    features = method.image_encoder(batch.images)
    text = method.text_encoder(batch.report_tokens, batch.report_mask)
    a, r = slow_relations(method, features, text.global_, batch.report_tokens, batch.report_mask)
    own = torch.arange(4)
    report = sum(F.cross_entropy(s, own) for s in (a, a.t(), r, r.t())) / 4

    prompts = [f"there is {method.book.name_of(finding)}." for finding in method.findings]
    ids, mask = method.tokenizer(prompts, 64)
    a, r = slow_relations(method, features, method.text_encoder(ids, mask).global_, ids, mask)
    present = batch.findings == 1
    prompt = 0
    for s, positive in ((a, present), (a.t(), present.t()), (r, present), (r.t(), present.t())):
        lines = [
            s[i].logsumexp(0) - s[i][positive[i]].mean() for i in range(len(s)) if positive[i].any()
        ]  # all that is not present counts as absent
        prompt = prompt + torch.stack(lines).mean() / 4

    logits = method.image_head(features.global_) @ method.text_head(text.global_).t() / 0.07
    cosine = (F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own)) / 2
    losses = method(batch)
    assert set(losses) == {"report", "prompt", "cosine"}
    for name, expected in {"report": report, "prompt": prompt, "cosine": cosine}.items():
        torch.testing.assert_close(losses[name], expected, rtol=1e-4, atol=1e-5)


def test_equal_scores_cost_the_log_of_the_batch(world):
    method, batch = world
    torch.nn.init.zeros_(method.scorer.head[2].weight)
    assert method(batch)["report"].item() == pytest.approx(torch.tensor(4.0).log().item(), abs=1e-5)


def test_an_answer_does_not_depend_on_the_other_findings(build, make_batch):
    method, images = build("carzero").eval(), make_batch(3).images
    many = method.score(images, ["pacemaker", "edema", "pneumothorax"])
    torch.testing.assert_close(many[:, 1:2], method.score(images, ["edema"]), rtol=1e-4, atol=1e-6)


def test_exchanging_images_and_texts_exchanges_the_relations(build, make_batch):
    """The weights are shared: two sides that look alike give one score both ways."""
    method = build("carzero", width=32).eval()
    method.from_text.load_state_dict(method.from_image.state_dict())
    vectors = torch.randn(3, 32)
    features = method.image_encoder(make_batch(3).images)
    text = method.text_encoder(*method.tokenizer(["a", "b", "c"], 9))
    features.patches, text.tokens, text.mask = features.patches[:, :0], text.tokens[:, :0], text.mask[:, :0]
    features.grid, features.global_, text.global_ = (0, 1), vectors, vectors
    a, r = method._text_asks(vectors, features), method._image_asks(vectors, text)
    torch.testing.assert_close(a, r)


def test_the_relation_reads_patches_that_the_cosine_does_not_see(world, losses_on):
    method, batch = world
    patches = torch.randn(4, 16, 32)
    losses = [losses_on(method, batch, shown) for shown in (patches, patches.roll(1, 0))]
    for name in ("report", "prompt"):
        assert abs(losses[0][name] - losses[1][name]) > 1e-5
    torch.testing.assert_close(losses[0]["cosine"], losses[1]["cosine"])


def test_an_image_without_report_has_no_part_in_any_loss(world, first):
    method, batch = world
    batch.report_mask[3] = False
    batch.findings[3] = -1
    smaller = first(batch, 3)
    expected = method(smaller)
    for name, loss in method(batch).items():
        torch.testing.assert_close(loss, expected[name], rtol=1e-4, atol=1e-5)


def test_zero_shot_is_the_mean_of_both_relations_with_the_prompt(world):
    method, batch = world
    features = method.image_encoder(batch.images)
    ids, mask = method.tokenizer(["there is pulmonary edema."], 64)
    a, r = slow_relations(method, features, method.text_encoder(ids, mask).global_, ids, mask)
    torch.testing.assert_close(method.score(batch.images, ["edema"]), ((a + r) / 2).sigmoid())


def test_heat_maps_are_where_the_phrase_looks(world):
    method, batch = world
    effusion = method.heat_map(batch.images, "pleural effusion")
    assert effusion.shape == (4, 4, 4)
    assert ((effusion.sum((1, 2)) > 0) & (effusion.sum((1, 2)) < 1)).all()  # some attention is on the whole image
    assert not torch.allclose(effusion, method.heat_map(batch.images, "enlarged heart"))


def test_each_term_can_be_left_out(build, make_batch):
    for name in ("report", "prompt", "cosine"):
        assert name not in build("carzero", **{f"{name}_weight": 0.0})(make_batch())
