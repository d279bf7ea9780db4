"""CheXzero: the loss of CLIP, and a softmax of two cosines without the scale."""

import pytest
import torch
from torch.nn import functional as F


def test_the_loss_is_cross_entropy_both_ways(build, make_batch):
    method, batch = build("chexzero", false_negatives="identity").eval(), make_batch(5)
    image = F.normalize(method.image_head.layers(method.image_encoder(batch.images).global_), dim=1)
    text = method.text_encoder(batch.report_tokens, batch.report_mask).global_
    logits = image @ F.normalize(method.text_head.layers(text), dim=1).t() / 0.07
    own = torch.arange(5)
    expected = (F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own)) / 2
    torch.testing.assert_close(method(batch)["contrast"], expected)


def test_a_score_is_the_softmax_of_two_cosines_without_the_scale(build, make_batch):
    method, images = build("chexzero").eval(), make_batch(4).images
    image = method.encode_images(images).global_
    pair = method.encode_texts(["pulmonary edema", "no pulmonary edema"]).global_
    scores = method.score(images, ["edema"])[:, 0]
    torch.testing.assert_close(scores, (image @ pair.t()).softmax(1)[:, 0])
    assert not torch.allclose(scores, (image @ pair.t() / 0.07).softmax(1)[:, 0], atol=1e-4)


def planted(method, present, absent):
    """The method with cosines `[T, B]` planted for one finding."""
    cosines = torch.stack([torch.tensor(present), torch.tensor(absent)], dim=1)[..., None]  # [T, 2, B, 1]
    method.pair_cosines = lambda images, findings: cosines
    return method.score_encoded(None, ["edema"])[:, 0]


def test_hand_made_cosines(build):
    scores = planted(build("chexzero").eval(), [[0.31, 1.0, -1.0]], [[0.12, -1.0, 1.0]])
    assert scores.tolist() == pytest.approx([0.5473576, 0.8807971, 0.1192029], abs=1e-6)  # sigmoid of 0.19, 2 and -2


def test_the_scale_leaves_the_order_for_one_pair_and_not_for_a_mean(build):
    chexzero, clip = build("chexzero").eval(), build("clip").eval()
    one = [[0.3, 0.1, -0.2]], [[0.0, 0.0, 0.0]]
    assert planted(chexzero, *one).argsort().tolist() == planted(clip, *one).argsort().tolist()
    # The first image is favored strongly by one pair and weakly refused by the other, the second mildly by both.
    two = [[0.9, 0.2], [-0.3, 0.2]], [[0.0, 0.0], [0.0, 0.0]]
    assert planted(chexzero, *two).argmax() == 0
    assert planted(clip, *two).argmax() == 1


def test_a_normal_chest_is_not_asked_as_no_no_finding(build, make_batch):
    method, images = build("chexzero").eval(), make_batch(3).images
    image = method.encode_images(images).global_
    pair = method.encode_texts(["normal chest", "abnormal chest"]).global_
    torch.testing.assert_close(method.score(images, ["no_finding"])[:, 0], (image @ pair.t()).softmax(1)[:, 0])
