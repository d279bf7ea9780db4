"""CLIP: the loss and the zero-shot path, written out."""

import pytest
import torch
from torch.nn import functional as F


def test_the_loss_is_cross_entropy_both_ways(build, make_batch):
    method, batch = build("clip", false_negatives="identity").eval(), make_batch(5)
    image = F.normalize(method.image_head.layers(method.image_encoder(batch.images).global_), dim=1)
    text = method.text_encoder(batch.report_tokens, batch.report_mask).global_
    logits = image @ F.normalize(method.text_head.layers(text), dim=1).t() / 0.07
    own = torch.arange(5)
    expected = (F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own)) / 2
    torch.testing.assert_close(method(batch)["contrast"], expected)


def test_an_image_without_report_is_no_negative(build, make_batch, first):
    method, batch = build("clip", false_negatives="identity").eval(), make_batch(5)
    batch.report_mask[4] = False
    smaller = first(batch, 4)
    torch.testing.assert_close(method(batch)["contrast"], method(smaller)["contrast"])


def test_zero_shot_is_the_mean_over_prompt_pairs_of_a_softmax(build, make_batch):
    method, images = build("clip").eval(), make_batch(3).images
    scores = method.score(images, ["edema", "pleural_effusion"])
    image = method.encode_images(images).global_
    for column, name in enumerate(["pulmonary edema", "pleural effusion"]):
        assert method.book.name_of(["edema", "pleural_effusion"][column]) == name
        expected = []
        for present, absent in method.options.prompts:
            pair = method.encode_texts([present.format(name), absent.format(name)]).global_
            expected.append((image @ pair.t() / 0.07).softmax(1)[:, 0])
        torch.testing.assert_close(scores[:, column], torch.stack(expected).mean(0), rtol=1e-4, atol=1e-5)


def test_any_finding_of_the_book_can_be_asked_and_others_are_named(build, make_batch):
    method, images = build("clip").eval(), make_batch(2).images
    assert method.score(images, ["hiatal_hernia"]).shape == (2, 1)
    with pytest.raises(KeyError, match="hiatal_hernia"):
        method.score(images, ["hiatal_herna"])
