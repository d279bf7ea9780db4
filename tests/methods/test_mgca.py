"""MGCA: its three losses written out report by report, and what each of them sees."""

import math

import pytest
import torch
from torch.nn import functional as F

from medvlp.objectives import sinkhorn, swapped_prediction


@pytest.fixture
def world(build, make_batch):
    return build("mgca", prototypes=7, false_negatives="identity").eval(), make_batch(4)


def unit(head, features):
    return F.normalize(head.layers(features), dim=-1)


def words_of(method, ids, mask):
    """Encoded words of one report, piece by piece."""
    tokens, continues = method.text_encoder(ids[None], mask[None]).tokens[0], method.tokenizer.continues_word()
    words = []
    for token, i, counts in zip(tokens, ids.tolist(), mask.tolist(), strict=True):
        if counts and i not in (method.tokenizer.cls_id, method.tokenizer.sep_id):
            if continues[i] and words:
                words[-1].append(token)
            else:
                words.append([token])
    return torch.stack([torch.stack(word).mean(0) for word in words])


def slow_weights(whole, tokens):
    attention = (tokens @ whole / math.sqrt(len(whole))).softmax(0)
    clipped = attention.clamp(attention.quantile(0.1), attention.quantile(0.9))
    return clipped / clipped.sum()


def slow_contrast(asking, asked, weights):
    contexts = F.normalize((asking @ asked.t() / 0.1).softmax(1) @ asked, dim=1)
    logits, own = asking @ contexts.t() / 0.1, torch.arange(len(asking))
    both = F.cross_entropy(logits, own, reduction="none") + F.cross_entropy(logits.t(), own, reduction="none")
    return (weights * both / 2).sum()


def slow_codes(scores):
    q = (scores / 0.05).exp()
    for _ in range(3):
        q = q / q.sum(0) / q.shape[1]
        q = q / q.sum(1, keepdim=True) / q.shape[0]
    return q * q.shape[0]


def test_the_three_losses_from_their_definition(world):
    method, batch = world
    features = method.image_encoder(batch.images)
    text = method.text_encoder(batch.report_tokens, batch.report_mask)
    image, report = unit(method.image_head, features.global_), unit(method.text_head, text.global_)
    logits, own = image @ report.t() / 0.07, torch.arange(4)
    instance = (F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own)) / 2

    token = 0
    for b in range(4):
        words = words_of(method, batch.report_tokens[b], batch.report_mask[b])
        patches = features.patches[b]
        w, p = unit(method.word_head, words), unit(method.patch_head, patches)
        by_word = slow_contrast(w, p, slow_weights(text.global_[b], words))
        by_patch = slow_contrast(p, w, slow_weights(features.global_[b], patches))
        token = token + (by_word + by_patch) / 2 / 4

    bank = F.normalize(method.prototypes, dim=1)
    from_image, from_text = image @ bank.t(), report @ bank.t()
    swapped = -(slow_codes(from_text) * (from_image / 0.2).log_softmax(1)).sum(1).mean()
    swapped = swapped - (slow_codes(from_image) * (from_text / 0.2).log_softmax(1)).sum(1).mean()

    losses = method(batch)
    assert set(losses) == {"instance", "token", "prototype"}
    for name, expected in {"instance": instance, "token": token, "prototype": swapped / 2}.items():
        torch.testing.assert_close(losses[name], expected, rtol=1e-3, atol=1e-5)


def test_the_token_loss_compares_no_image_with_another(world, make_batch):
    method, batch = world
    whole = method(batch)["token"]
    alone = []
    for b in range(4):
        one = make_batch(4)
        for field in ("images", "report_tokens", "report_mask", "findings", "text_group"):
            setattr(one, field, getattr(batch, field)[b : b + 1])
        alone.append(method(one)["token"])
    torch.testing.assert_close(whole, sum(alone) / 4, rtol=1e-4, atol=1e-5)


def test_what_stands_in_the_padding_of_a_report_does_not_matter(world):
    method, batch = world
    batch.report_mask[1, 6:] = False
    batch.report_mask[1, 5] = True
    cut = method(batch)["token"]
    batch.report_tokens[1, 6:] = 7
    torch.testing.assert_close(method(batch)["token"], cut)


def test_an_image_without_report_has_no_part_in_any_loss(world, first):
    method, batch = world
    batch.report_mask[3] = False
    smaller = first(batch, 3)
    expected = method(smaller)
    for name, loss in method(batch).items():
        torch.testing.assert_close(loss, expected[name], rtol=1e-4, atol=1e-5)


def test_the_token_loss_alone_sees_which_patches_stand_in_an_image(world, losses_on):
    method, batch = world
    patches = torch.randn(4, 16, 32)
    losses = [losses_on(method, batch, shown) for shown in (patches, patches.roll(1, 0))]
    assert abs(losses[0]["token"] - losses[1]["token"]) > 1e-3
    for name in ("instance", "prototype"):
        torch.testing.assert_close(losses[0][name], losses[1][name])


def test_each_term_can_be_left_out(build, make_batch):
    for name in ("instance", "token", "prototype"):
        assert name not in build("mgca", **{f"{name}_weight": 0.0})(make_batch())


def test_heat_maps_are_the_mean_cosine_of_the_words(build, make_batch):
    method, images = build("mgca").eval(), make_batch(2).images
    got = method.heat_map(images, "left pleural effusion")
    ids, mask = method.tokenizer(["left pleural effusion"], 64)
    words = unit(method.word_head, words_of(method, ids[0], mask[0]))
    torch.testing.assert_close(got.flatten(1), (method.encode_images(images).patches @ words.t()).mean(2))
    assert got.shape == (2, 4, 4)


def test_codes_of_prototypes_send_no_gradient():
    """Each modality learns to predict the other's code, which is a target and no prediction."""
    torch.manual_seed(0)
    first, second = torch.randn(6, 4, requires_grad=True), torch.randn(6, 4)
    (gradient,) = torch.autograd.grad(swapped_prediction(first, second), first)
    code = sinkhorn(second, 20.0, valid=torch.ones(6, dtype=torch.bool))
    # Only the cross-entropy with the other's code: (softmax - code) / t, half of the mean over rows.
    expected = ((first / 0.2).softmax(1) - code / code.sum(1, keepdim=True)) / 0.2 / 2 / 6
    torch.testing.assert_close(gradient, expected.detach(), rtol=1e-4, atol=1e-5)
