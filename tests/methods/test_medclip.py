"""MedCLIP: labels decide what matches, ownership does not; and the mean of cosines of its zero-shot path."""

import math

import torch
from torch.nn import functional as F

from medvlp.models import Temperature
from medvlp.objectives import sample_sentences, signed_labels


def slow_loss(method, batch, temperature):
    """Soft cross-entropy, less the target's entropy, of images and sentences with labels, by loops over both."""
    image = F.normalize(method.image_head.layers(method.image_encoder(batch.images).global_), dim=1)
    text = method.text_encoder(batch.sentence_tokens.flatten(0, 1), batch.sentence_mask.flatten(0, 1)).global_
    text = F.normalize(method.text_head.layers(text), dim=1)

    def sign(states):
        return [[{1: 1.0, 0: -1.0}.get(x, 0.0) for x in row] for row in states.tolist()]

    def direction(a, of_a, b, of_b):
        terms = []
        keep = [j for j in range(len(b)) if any(of_b[j])]
        for i in range(len(a)):
            if not any(of_a[i]):
                continue
            weights = []
            for j in keep:
                norm = math.hypot(*of_a[i]) * math.hypot(*of_b[j])
                weights.append(math.exp(sum(x * y for x, y in zip(of_a[i], of_b[j], strict=True)) / norm / temperature))
            logits = torch.stack([a[i] @ b[j] / 0.07 for j in keep]).log_softmax(0)
            shares = [w / sum(weights) for w in weights]
            terms.append(sum(p * (math.log(p) - x) for p, x in zip(shares, logits, strict=True)))
        return sum(terms) / len(terms)

    of_image, of_text = sign(batch.findings), sign(batch.sentence_findings.flatten(0, 1))
    return (direction(image, of_image, text, of_text) + direction(text, of_text, image, of_image)) / 2


def test_the_loss_against_loops(build, make_batch):
    method, batch = build("medclip").eval(), make_batch(5)  # sentences without a finding are among them
    batch.findings[3] = -1
    torch.testing.assert_close(method(batch)["matching"], slow_loss(method, batch, 0.2), rtol=1e-5, atol=1e-5)
    sharper = build("medclip", target_temperature=0.05).eval()
    torch.testing.assert_close(sharper(batch)["matching"], slow_loss(sharper, batch, 0.05), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(method(batch)["matching"], sharper(batch)["matching"])


def test_only_so_many_sentences_of_each_report_are_read(build, make_batch):
    method, batch = build("medclip", sentences=1).eval(), make_batch(4)  # whose first sentences state a finding
    got = method(batch)["matching"]
    for field in ("sentence_tokens", "sentence_mask", "sentence_findings"):
        setattr(batch, field, getattr(batch, field)[:, :1])
    torch.testing.assert_close(got, slow_loss(method, batch, 0.2), rtol=1e-5, atol=1e-5)


def test_the_least_is_zero_where_cosines_say_what_labels_say(build, make_batch):
    method, batch = build("medclip", target_temperature=1.0), make_batch(5)
    drawn = sample_sentences(batch.sentence_tokens, batch.sentence_mask, batch.sentence_findings, 3, shuffle=False)
    of_image, of_text = signed_labels(batch.findings), signed_labels(drawn.states)
    method.image_head.forward = lambda x: F.normalize(of_image, dim=1)
    method.text_head.forward = lambda x: F.normalize(of_text, dim=1)
    method.scale = Temperature(1.0)
    assert method.eval()(batch)["matching"].abs() < 1e-6
    method.text_head.forward = lambda x: -F.normalize(of_text, dim=1)
    assert method(batch)["matching"] > 0.1


def test_whose_sentence_it_is_does_not_matter(build, make_batch):
    method, batch = build("medclip").eval(), make_batch(5)
    first = method(batch)["matching"]
    order = torch.tensor([2, 0, 3, 4, 1])
    for field in ("sentence_tokens", "sentence_mask", "sentence_findings"):
        setattr(batch, field, getattr(batch, field)[order])
    torch.testing.assert_close(method(batch)["matching"], first)
    clip, paired = build("clip").eval(), make_batch(5)  # where it does
    before = clip(paired)["contrast"]
    paired.report_tokens, paired.report_mask = paired.report_tokens[order], paired.report_mask[order]
    assert (clip(paired)["contrast"] - before).abs() > 1e-4


def test_images_without_a_report_learn_from_their_labels(build, make_batch):
    method, batch = build("medclip"), make_batch(5)
    batch.report_mask[4] = batch.sentence_mask[4] = False
    batch.images.requires_grad_()
    method(batch)["matching"].backward()
    assert batch.images.grad[4].any()
    batch.findings[4], batch.images.grad = -1, None
    method.image_encoder.eval()  # without batch statistics, which tie images together
    method(batch)["matching"].backward()
    assert not batch.images.grad[4].any()
    assert batch.images.grad[:4].flatten(1).any(1).all()


def test_swapping_images_with_equal_labels_changes_nothing(build, make_batch):
    method, batch = build("medclip").eval(), make_batch(10)  # reports repeat after five
    first = method(batch)["matching"]
    batch.images[[1, 6]] = batch.images[[6, 1]]
    torch.testing.assert_close(method(batch)["matching"], first)


def test_a_score_is_the_softmax_of_mean_cosines(build, make_batch):
    method, images = build("medclip").eval(), make_batch(3).images
    image = method.encode_images(images).global_
    texts = ["pulmonary edema", "no pulmonary edema", "there is pulmonary edema.", "there is no pulmonary edema."]
    cosines = image @ method.encode_texts(texts).global_.t() / 0.07
    expected = (cosines.unflatten(1, (2, 2)).mean(1)).softmax(1)[:, 0]
    torch.testing.assert_close(method.score(images, ["edema"])[:, 0], expected)


def test_cosines_are_averaged_before_the_softmax(build):
    method = build("medclip").eval()
    planted = torch.tensor([[0.3, -0.2], [0.0, 0.0]])  # of one image: two pairs, present and absent
    method.pair_cosines = lambda images, findings: planted.t()[..., None, None]
    torch.testing.assert_close(method.score_encoded(None, ["edema"]), torch.sigmoid(torch.tensor([[0.05 / 0.07]])))
