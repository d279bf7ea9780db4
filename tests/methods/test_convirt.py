"""ConVIRT: a sentence of each report, unequal directions, a temperature that stays, and its zero-shot path."""

import pytest
import torch
from torch.nn import functional as F

from medvlp.methods.convirt import one_sentence


def logits_of(method, batch):
    """Images against the first sentence of each report, scaled."""
    image = F.normalize(method.image_head.layers(method.image_encoder(batch.images).global_), dim=1)
    text = method.text_encoder(batch.sentence_tokens[:, 0], batch.sentence_mask[:, 0]).global_
    return image @ F.normalize(method.text_head.layers(text), dim=1).t() / 0.1


def test_the_loss_weighs_image_to_text_three_times_the_other(build, make_batch):
    method, batch = build("convirt", false_negatives="identity").eval(), make_batch(5)
    logits, own = logits_of(method, batch), torch.arange(5)
    expected = 0.75 * F.cross_entropy(logits, own) + 0.25 * F.cross_entropy(logits.t(), own)
    torch.testing.assert_close(method(batch)["contrast"], expected)


def test_equal_weights_are_the_loss_of_clip_on_a_sentence(build, make_batch):
    method, batch = build("convirt", false_negatives="identity", image_weight=0.5).eval(), make_batch(5)
    logits, own = logits_of(method, batch), torch.arange(5)
    expected = (F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own)) / 2
    torch.testing.assert_close(method(batch)["contrast"], expected)


def test_other_texts_may_be_right_too(build, make_batch):
    method, batch = build("convirt", false_negatives="same_labels").eval(), make_batch(6)
    logits = logits_of(method, batch)
    target = torch.eye(6)
    for i, j in ((0, 5), (1, 2), (3, 4)):  # images with the same present findings
        target[i, j] = target[j, i] = 1
    share = target / target.sum(1, keepdim=True)
    by_row, by_column = ((-share * x.log_softmax(1)).sum(1).mean() for x in (logits, logits.t()))
    torch.testing.assert_close(method(batch)["contrast"], 0.75 * by_row + 0.25 * by_column)
    alone = build("convirt", false_negatives="identity").eval()(batch)["contrast"]
    assert (method(batch)["contrast"] - alone).abs() > 1e-5


def test_each_sentence_is_drawn_alike_whatever_it_states(make_batch):
    batch = make_batch(5)  # the last sentence of report 2 states no finding, the first two do
    assert not (batch.sentence_findings[2, 2] >= 0).any()
    torch.manual_seed(0)
    drawn = [one_sentence(batch, shuffle=True).tokens[2] for _ in range(150)]
    counts = [sum(torch.equal(x, batch.sentence_tokens[2, s]) for x in drawn) for s in range(3)]
    assert sum(counts) == 150
    assert min(counts) > 30


def test_a_sentence_is_drawn_anew_in_training_alone(build, make_batch, losses_of_steps):
    drawn = losses_of_steps(build("convirt"), make_batch(5), "contrast")
    assert len(drawn[False]) == 1 < len(drawn[True])


def test_padding_sentences_are_never_drawn(make_batch):
    batch = make_batch(4)
    batch.sentence_mask[:, 1:] = False
    batch.sentence_mask[3] = False
    for _ in range(10):
        drawn = one_sentence(batch, shuffle=True)
        assert torch.equal(drawn.tokens[:3], batch.sentence_tokens[:3, 0])
        assert not drawn.mask[3].any()


def test_a_report_without_sentences_is_no_negative(build, make_batch):
    method, batch, smaller = build("convirt").eval(), make_batch(5), make_batch(5)
    batch.sentence_mask[4] = False
    for field in ("images", "sentence_tokens", "sentence_mask", "sentence_findings", "findings", "report_mask"):
        setattr(smaller, field, getattr(batch, field)[:4])
    torch.testing.assert_close(method(batch)["contrast"], method(smaller)["contrast"])


def test_its_temperature_is_not_learned(build):
    method = build("convirt")
    assert method.scale.scale.item() == pytest.approx(10)
    assert "scale.log_scale" not in {name for name, p in method.named_parameters() if p.requires_grad}


def test_zero_shot_takes_words_of_its_own_for_a_normal_chest(build, make_batch):
    method, images = build("convirt").eval(), make_batch(3).images
    image = method.encode_images(images).global_
    pairs = [("normal chest", "abnormal chest"), ("there is normal chest.", "there is abnormal chest.")]
    pairs = [method.encode_texts(pair).global_ for pair in pairs]
    expected = torch.stack([(10 * image @ pair.t()).softmax(1)[:, 0] for pair in pairs]).mean(0)
    torch.testing.assert_close(method.score(images, ["no_finding"])[:, 0], expected)
