"""An encoder that registers itself is found by its name, before timm's, and a method is built on it; in 2D and 3D."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import build_method
from medvlp.models import (
    ImageFeatures,
    ReportTokenizer,
    build_image_encoder,
    build_text_encoder,
    image_encoders,
    text_encoders,
)


class Tower(nn.Module):
    """Patches of side 8 of an image or a volume, each mapped linearly."""

    def __init__(
        self, pretrained: bool, image_size: int, dim: int, patch_stride: int, patch_dropping: float, axes: int = 2
    ) -> None:
        super().__init__()
        self.dim, self.grid = dim, (image_size // 8,) * axes
        self.patch = (nn.Conv2d if axes == 2 else nn.Conv3d)(1, dim, 8, stride=8)

    def forward(self, images: Tensor) -> ImageFeatures:
        feature_map = self.patch(images)
        patches = feature_map.flatten(2).mT
        return ImageFeatures(patches.mean(1), patches, tuple(feature_map.shape[2:]), [feature_map])


@pytest.fixture
def registered(monkeypatch):
    """`registered(registry, name, member)`, until the end of the test."""
    return lambda registry, name, member: monkeypatch.setitem(registry._members, name, member)


SETTINGS = {"pretrained": False, "image_size": 32, "dim": 8, "patch_stride": 8, "patch_dropping": 0.0}


@pytest.mark.parametrize(("name", "axes"), [("tower", 2), ("tower_3d", 3), ("resnet10t", 2)])
def test_a_method_is_built_on_a_registered_tower(registered, name, axes):
    registered(image_encoders, name, lambda **settings: Tower(**settings, axes=axes))
    encoder = build_image_encoder(name, **SETTINGS)
    assert isinstance(encoder, Tower)
    book, tokenizer = KnowledgeBook.load("default"), ReportTokenizer.train(["No edema.", "A nodule."], 64, 1)
    text = build_text_encoder("small", vocab_size=tokenizer.vocab_size, width=16, heads=2)
    method = build_method(
        "clip", image_encoder=encoder, text_encoder=text, tokenizer=tokenizer, findings=["edema", "nodule"], book=book
    )
    images = torch.rand(2, 1, *(32,) * axes)
    features = method.encode_images(images)
    assert features.grid == encoder.grid == (4,) * axes
    assert method.score(images, ["edema"]).shape == (2, 1)


def test_a_text_encoder_that_registers_itself_is_found(registered):
    registered(text_encoders, "constant", lambda **settings: settings)
    assert build_text_encoder("constant", vocab_size=7) == {"vocab_size": 7, "pretrained": True}
    assert build_text_encoder("constant", "saved", vocab_size=7)["pretrained"] is False


def test_an_unknown_encoder_names_the_nearest_of_both_kinds(registered):
    registered(image_encoders, "my_tower", Tower)
    with pytest.raises(ValueError, match=r'neither a registered encoder nor timm has .*did you mean "my_tower"'):
        build_image_encoder("my_towr", **SETTINGS)
