"""Evidence maps against maps worked out by hand, and who may ask for which kind."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from medvlp.evaluation import GroundingOptions, Protocol, evaluate_grounding
from medvlp.models import ImageFeatures
from medvlp.tasks import TaskError
from medvlp.tasks.ground import evidence_map, heat_map_function
from medvlp.training.model_folder import load_model


class Encoder(nn.Module):
    """Means over squares of 2, 4 and 8 pixels as its feature maps."""

    pyramid_strides = (2, 4, 8)

    def forward(self, images):
        maps = [F.avg_pool2d(images, stride) for stride in self.pyramid_strides]
        return ImageFeatures(images.mean((2, 3)), maps[-1].flatten(2).mT, tuple(maps[-1].shape[-2:]), maps)


class Linear:
    """The logit is a weighted sum of one feature map."""

    def __init__(self, weight, level):
        self.image_encoder, self.weight, self.level = Encoder(), weight, level

    def score_encoded(self, features, findings):
        seen = features.pyramid[self.level][:, 0]
        return (seen * self.weight).sum((1, 2))[:, None].sigmoid()


@pytest.mark.parametrize("level", [1, 2])
def test_evidence_of_a_linear_score_is_what_each_place_adds_to_it(level):
    images = torch.rand(3, 1, 16, 16)
    side = 16 // Encoder.pyramid_strides[level]
    weight = torch.linspace(-1, 1, side * side).view(side, side)
    got = evidence_map(Linear(weight, level), images, "edema")
    adds = F.avg_pool2d(images, Encoder.pyramid_strides[level])[:, 0] * weight
    torch.testing.assert_close(got, adds.clamp_min(0))
    assert (got[:, weight < 0] == 0).all()


def test_evidence_leaves_no_hook_behind_and_works_without_gradients():
    method = Linear(torch.ones(4, 4), 1)
    with torch.no_grad():
        evidence_map(method, torch.rand(1, 1, 16, 16), "edema")
    assert not method.image_encoder._forward_hooks


def test_a_method_without_text_shows_evidence_and_no_phrase(store, textless_folder):
    model = load_model(textless_folder)
    with pytest.raises(TaskError, match="text"):
        evaluate_grounding(model, store, Protocol(resamples=5))
    got = evaluate_grounding(model, store, Protocol(resamples=5), GroundingOptions(heat_map="evidence"))
    assert got.protocol["heat_map"] == "evidence"
    assert set(got.findings) == {"pleural_effusion", "pneumothorax", "cardiomegaly"}


def test_evidence_needs_the_name_of_a_finding(model):
    with pytest.raises(TaskError, match=r"names none.*did you mean 'pneumothorax'"):
        heat_map_function(model.trained, "pneumotorax", "evidence")
    images = torch.zeros(1, 1, 64, 64)
    by_id, by_name = (
        heat_map_function(model.trained, name, "evidence") for name in ("pleural_effusion", "Pleural effusion.")
    )
    torch.testing.assert_close(by_id(images), by_name(images))


def test_evidence_encodes_texts_once_for_all_batches(model, monkeypatch):
    method, images = model.trained.method, torch.rand(4, 1, 64, 64)
    expected = evidence_map(method, images, "edema")
    encoder, read = method.text_encoder, []
    monkeypatch.setattr(encoder, "forward", lambda *a, encode=encoder.forward: read.append(len(a[0])) or encode(*a))
    heat = heat_map_function(model.trained, "edema", "evidence")
    first, sets_of_texts = heat(images[:2]), len(read)
    torch.testing.assert_close(torch.cat([first, heat(images[2:])]), expected, rtol=1e-4, atol=1e-6)
    assert len(read) == sets_of_texts > 0
    assert not encoder.frozen
