import pytest
import torch

from medvlp.models import ImageEncoder, SegmentationNet, decoder_builders

CONVNET, TRANSFORMER = "test_resnet.r160_in1k", "test_vit.r160_in1k"


@pytest.mark.parametrize("decoder", decoder_builders())
def test_every_decoder_gives_a_logit_for_each_pixel(decoder):
    net = SegmentationNet(ImageEncoder(CONVNET, image_size=64), decoder, structures=2, width=4)
    assert net(torch.randn(2, 1, 50, 64)).shape == (2, 2, 50, 64)  # 50 is no multiple of the strides


def test_a_transformer_of_one_stride_has_a_pyramid_made():
    net = SegmentationNet(ImageEncoder(TRANSFORMER, image_size=64), "unet", structures=1, width=4)
    assert net(torch.randn(2, 1, 64, 64)).shape == (2, 1, 64, 64)


def test_gradients_reach_the_whole_trunk():
    net = SegmentationNet(ImageEncoder(CONVNET, image_size=64), "unet", structures=1, width=4)
    net(torch.randn(2, 1, 64, 64)).square().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []
    assert next(net.trunk.parameters()).grad.abs().sum() > 0


def test_weights_of_the_encoder_are_kept():
    encoder = ImageEncoder(CONVNET, image_size=64)
    before = {name: p.clone() for name, p in encoder.trunk.named_parameters()}
    net = SegmentationNet(encoder, "fpn", structures=1, width=4)
    assert all(torch.equal(before[name], p) for name, p in net.trunk.named_parameters())


def test_a_misspelled_decoder_names_the_nearest():
    with pytest.raises(ValueError, match='did you mean "unet"'):
        SegmentationNet(ImageEncoder(CONVNET, image_size=64), "unett", structures=1)
