"""The supervised baseline: its logits, its mask, and what it refuses."""

import pytest
import torch
from torch.nn import functional as F


def test_the_loss_is_the_masked_cross_entropy_of_cosines_with_prototypes(build, make_batch):
    method, batch = build("unimodal", unmentioned="ignore").eval(), make_batch(4)
    image = F.normalize(method.labels.head.layers(method.image_encoder(batch.images).global_), dim=1)
    logits = image @ F.normalize(method.labels.prototypes, dim=1).t() / 0.07 + method.labels.bias
    per_image = []
    for row, states in zip(logits, batch.findings, strict=True):
        known = states >= 0
        bce = F.binary_cross_entropy_with_logits(row[known], states[known].float(), reduction="sum")
        per_image.append(bce / (known.sum() + 1e-3))
    torch.testing.assert_close(method(batch)["bce"], torch.stack(per_image).mean(), rtol=1e-4, atol=1e-5)


def test_a_finding_that_no_report_mentions_leaves_its_prototype_alone(build, make_batch):
    method, batch = build("unimodal", unmentioned="ignore"), make_batch(4)
    batch.findings[:, 2] = -1
    method(batch)["bce"].backward()
    gradient = method.labels.prototypes.grad
    assert not gradient[2].any()
    assert gradient[[0, 1, 3]].any(1).all()


def test_it_scores_what_it_was_trained_on_and_refuses_the_rest(build, make_batch):
    method, images = build("unimodal").eval(), make_batch(2).images
    both = method.score(images, ["edema", "cardiomegaly"])
    torch.testing.assert_close(both, method.score(images, ["cardiomegaly", "edema"]).flip(1))
    for finding, hint in (("hernia", "valid: pleural_effusion"), ("edma", r'did you mean "edema"\?')):
        with pytest.raises(KeyError, match=f'not trained on "{finding}", and reads no text; {hint}'):
            method.score(images, [finding])


def test_it_cannot_read(build, make_batch):
    method = build("unimodal")
    with pytest.raises(TypeError, match="devide"):
        method.encode_texts(["effusion"])
    assert not any("text" in name for name, _ in method.named_parameters())
