from __future__ import annotations

import torch

from medvlp.models import ImageEncoder, cached_forward


def test_a_tensor_is_read_once_and_a_changed_or_other_one_again() -> None:
    encoder = ImageEncoder("test_resnet.r160_in1k", False, 32, dim=8).eval()
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        with cached_forward(encoder):
            first = encoder(images)
            assert encoder(images) is first
            assert encoder(images.clone()) is not first
            again = encoder(images)
            images.mul_(-3)
            assert not torch.equal(encoder(images).patches, again.patches)
        assert encoder(images) is not encoder(images)
