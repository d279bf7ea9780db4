"""`SegmentationNet`: a decoder of segmentation-models-pytorch on the feature maps of our own image encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medvlp.errors import did_you_mean
from medvlp.models.image_encoder import ImageEncoder

_STRIDES = (4, 8, 16, 32)  # a transformer has one stride only; its maps are resized to these (Li et al., ViTDet, 2022)


class SegmentationNet(nn.Module):
    """Radiographs -> one logit a pixel and structure.

    Args:
        encoder: pretrained or not; its trunk is taken, without what makes patches and global vectors of the maps.
        decoder: `unet | unetplusplus | manet | linknet | fpn | upernet | segformer | pspnet`.
        structures: how many masks K.
        width: channels of the finest level of the decoder; the coarser ones have up to 16 times as many.

    Raises:
        ValueError: an unknown decoder; names the nearest.
    """

    def __init__(self, encoder: ImageEncoder, decoder: str, structures: int, width: int = 16) -> None:
        super().__init__()
        self.trunk, self._levels = encoder.trunk, encoder.levels
        self._stride = encoder.pyramid_strides[-1]
        builders = decoder_builders()
        if decoder not in builders:
            raise ValueError(f"decoder: there is no {decoder!r}; {did_you_mean(decoder, builders)}")
        self.flat = len(set(encoder.pyramid_strides)) == 1
        self.decoder, channels = builders[decoder]([1, *encoder.pyramid_channels], width)
        self.head = nn.Conv2d(channels, structures, kernel_size=3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Normalized images `[B, 1, H, W]` -> logits `[B, K, H, W]`."""
        height, width = images.shape[-2:]
        if not self.flat:  # several decoders need each level to be twice the size of the next
            images = F.pad(images, (0, -width % self._stride, 0, -height % self._stride), mode="replicate")
        maps = self.trunk.forward_intermediates(
            images.contiguous(memory_format=torch.channels_last),
            indices=self._levels,
            output_fmt="NCHW",
            intermediates_only=True,
        )
        if self.flat:
            sizes = [(-(-height // s), -(-width // s)) for s in _STRIDES[: len(maps)]]
            maps = [F.interpolate(m, size=size, mode="bilinear") for m, size in zip(maps, sizes, strict=True)]
        logits = self.head(self.decoder([images, *maps]))
        return F.interpolate(logits, size=images.shape[-2:], mode="bilinear")[:, :, :height, :width]


def decoder_builders() -> dict[str, Callable[[Sequence[int], int], tuple[nn.Module, int]]]:
    """Name -> function of (channels of the input and of each level, width) that gives decoder and output channels."""
    from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
    from segmentation_models_pytorch.decoders.linknet.decoder import LinknetDecoder
    from segmentation_models_pytorch.decoders.manet.decoder import MAnetDecoder
    from segmentation_models_pytorch.decoders.pspnet.decoder import PSPDecoder
    from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
    from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder
    from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder

    def rising(channels: Sequence[int], width: int) -> list[int]:
        """From the coarsest level to the finest: halved at each step, at most 16 times the finest."""
        return [width * min(16, 2**level) for level in reversed(range(len(channels) - 1))]

    def u_shaped(kind: type[nn.Module]) -> Callable[[Sequence[int], int], tuple[nn.Module, int]]:
        return lambda c, w: (kind(c, rising(c, w), n_blocks=len(c) - 1), w)

    return {
        "unet": u_shaped(UnetDecoder),
        "unetplusplus": u_shaped(UnetPlusPlusDecoder),
        "manet": u_shaped(MAnetDecoder),
        "linknet": lambda c, w: (LinknetDecoder(c, prefinal_channels=w, n_blocks=len(c) - 1), w),
        "fpn": lambda c, w: (FPNDecoder(c, len(c) - 1, pyramid_channels=16 * w, segmentation_channels=8 * w), 8 * w),
        "upernet": lambda c, w: (UPerNetDecoder(c, len(c) - 1, decoder_channels=16 * w), 16 * w),
        "segformer": lambda c, w: (SegformerDecoder(c, len(c) - 1, segmentation_channels=16 * w), 16 * w),
        "pspnet": lambda c, w: (PSPDecoder(c, out_channels=16 * w), 16 * w),
    }
