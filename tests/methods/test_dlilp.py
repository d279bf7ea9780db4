"""DLILP: its loss written out, which head learns from what, and who answers for a finding."""

import pytest
import torch
from torch.nn import functional as F


def test_the_loss_is_the_papers(build, make_batch):
    method = build("dlilp", false_negatives="identity", unmentioned="ignore", language_weight=0.3).eval()
    batch = make_batch(5)
    batch.sentence_mask[3] = False  # an image with labels and without text
    features = method.image_encoder(batch.images).global_
    h = F.normalize(method.labels.head.layers(features), dim=1)
    logits = h @ F.normalize(method.labels.prototypes, dim=1).t() / 0.07 + method.labels.bias
    per_image = []
    for row, states in zip(logits, batch.findings, strict=True):
        terms = [F.binary_cross_entropy_with_logits(x, y.float()) for x, y in zip(row, states, strict=True) if y >= 0]
        per_image.append(sum(terms) / (len(terms) + 1e-3))
    losses = method(batch)
    torch.testing.assert_close(losses["bce"], torch.stack(per_image).mean(), rtol=1e-4, atol=1e-5)

    kept = [0, 1, 2, 4]
    # Without shuffling, the first sentence of each report.
    text = method.text_encoder(batch.sentence_tokens[kept, 0], batch.sentence_mask[kept, 0]).global_
    scores = method.image_head(features[kept]) @ method.text_head(text).t() / 0.07
    own = torch.arange(4)
    expected = (F.cross_entropy(scores, own) + F.cross_entropy(scores.t(), own)) / 2
    torch.testing.assert_close(losses["language"], 0.3 * expected, rtol=1e-4, atol=1e-5)


def test_without_language_it_is_unimodal(build, make_batch):
    method, baseline, batch = build("dlilp", language_weight=0, dim=512), build("unimodal"), make_batch()
    baseline.image_encoder.load_state_dict(method.image_encoder.state_dict())
    baseline.labels.load_state_dict(method.labels.state_dict())
    losses = method.eval()(batch)
    assert set(losses) == {"bce"}
    torch.testing.assert_close(losses["bce"], baseline.eval()(batch)["bce"])


def test_labels_and_language_are_disentangled(build, make_batch):
    """Neither term moves the other's head; both move the trunk."""
    own = {"bce": "labels.head", "language": "image_head"}
    for term, head in own.items():
        method = build("dlilp")
        method(make_batch())[term].backward()
        (other,) = set(own.values()) - {head}
        assert method.get_submodule(head).layers.weight.grad.any()
        assert method.get_submodule(other).layers.weight.grad is None
        assert any(p.grad is not None and p.grad.any() for p in method.image_encoder.parameters())


@pytest.mark.parametrize("reports", [0, 1])
def test_with_at_most_one_report_language_costs_nothing(build, make_batch, reports):
    batch = make_batch(4)
    batch.sentence_mask[reports:] = False
    method = build("dlilp")
    loss = method(batch)["language"]
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


def test_trained_findings_are_answered_by_labels_and_new_ones_by_prompts(build, make_batch):
    method, images = build("dlilp").eval(), make_batch(3).images
    scores = method.score(images, ["hiatal_hernia", "edema", "pneumothorax"])
    features = method.image_encoder(images).global_
    labels = method.labels(features).sigmoid()
    torch.testing.assert_close(scores[:, 1:], labels[:, [method.findings.index("edema"), 1]])
    expected = []
    for present, absent in method.options.prompts:
        pair = method.encode_texts([present.format("hiatal hernia"), absent.format("hiatal hernia")]).global_
        expected.append((method.image_head(features) @ pair.t() / 0.07).softmax(1)[:, 0])
    torch.testing.assert_close(scores[:, 0], torch.stack(expected).mean(0))


def test_a_sentence_is_drawn_anew_in_training_alone(build, make_batch, losses_of_steps):
    drawn = losses_of_steps(build("dlilp"), make_batch(5), "language")
    assert len(drawn[False]) == 1 < len(drawn[True])
