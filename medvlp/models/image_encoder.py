"""`ImageEncoder`: any timm network as a source of `ImageFeatures`, with patches fine enough for small findings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NoReturn

import timm
import torch
from timm.layers import PatchDropout
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from medvlp.errors import MedVLPError, did_you_mean
from medvlp.models.encoders import ImageFeatures, image_encoders

# Training, 128 pixels, bfloat16, samples per CPU second: resnet10t 90, resnet14t 47, resnet18 64, convnext_atto 59,
# regnetx_002 126, mobilenetv4_conv_small 91. A ResNet learns from nothing sooner than what needs longer schedules.
DEFAULT_IMAGE_ENCODER = "resnet10t"


class PatchesDroppedError(MedVLPError, RuntimeError):
    """Something needs the grid or the feature maps of images whose patches were dropped."""


class _Dropped:
    """Raises on every access, so that the kept patches are not taken for a grid."""

    def _refuse(self, *_: object) -> NoReturn:
        raise PatchesDroppedError(
            "patches were dropped, and those that are left have no grid and no feature maps (another part of each "
            "image is left); set image_encoder.patch_dropping to 0 for what needs the place of a patch"
        )

    __len__ = __iter__ = __getitem__ = __bool__ = _refuse


class _NoGrid(_Dropped, tuple):
    """The `grid` of `ImageFeatures` whose patches were dropped."""


class _NoMaps(_Dropped, list):
    """The `pyramid` of `ImageFeatures` whose patches were dropped."""


def _check_droppable(name: str, trunk: Any) -> None:
    """Refuse a network that needs all of its patches.

    Raises:
        ValueError: it is no plain vision transformer of timm.
    """
    if not isinstance(trunk, VisionTransformer):
        raise ValueError(
            f"image_encoder.patch_dropping: {name} needs all of its patches (its layers read neighbors); use a vision "
            "transformer such as vit_small_patch16_224, or set patch_dropping to 0"
        )


@contextmanager
def _drop_patches(trunk: VisionTransformer, rate: float) -> Iterator[None]:
    """Inside the block the trunk drops a random part of the patches of each image, once they have their position code.

    FLIP (Li et al., CVPR 2023): at 50 % the blocks have half of the work. The class token is kept. Outside the block
    the trunk is unchanged, for those who use it without its encoder (`SegmentationNet`).

    Args:
        trunk: a transformer. rate: fraction of the patches that is dropped, at least 0 and below 1.
    """
    whole = trunk.patch_drop
    trunk.patch_drop = PatchDropout(rate, num_prefix_tokens=trunk.num_prefix_tokens)
    try:
        yield
    finally:
        trunk.patch_drop = whole


class ImageEncoder(nn.Module):
    """One-channel radiographs -> `ImageFeatures`.

    The trunk is any network of timm that gives feature maps: ConvNets give a pyramid of strides 2 or 4 to 32,
    transformers one map per block at the stride of their patches.

    The last map of a ConvNet (stride 32) misses a nodule of 10 mm on a small radiograph, and a finer one has no
    context. So patches are the sum of all maps from stride `patch_stride` upwards, each mapped linearly to `dim` and
    the coarser ones upsampled (the top-down path of Lin et al., Feature Pyramid Networks, CVPR 2017, without its
    smoothing convolutions), then layer-normalized. A transformer has one stride only, and its last block is used.

    Args:
        name: a timm architecture, such as `resnet10t`, `resnet50`, `convnext_tiny`, `vit_small_patch16_224`.
        pretrained: load timm's weights; this is the only case in which something is downloaded.
        image_size: side of the square images; transformers need it to size their position embedding.
        dim: width D of `global_` and `patches`; None takes the trunk's own pooled width.
        patch_stride: pixels a patch is wide and high: 4, 8, 16 or 32. A finer grid costs memory in all modules on
            patches.
        pool: where the global vector comes from. `patches`: their mean, so that a phrase compared with patches is
            compared with the parts of the global vector, and small findings reach it. `trunk`: the trunk's own pooling
            (average, class token, attention, ...), mapped linearly; for networks that come with a trained one.
        patch_dropping: fraction of the patches that a transformer drops in training (FLIP). The features are then those
            of the patches that are kept, without a grid: reading the grid or the pyramid raises
            `PatchesDroppedError`. In evaluation mode no patch is dropped.

    Attributes:
        dim: D. `image_size`, `patch_stride` (what the trunk really gives) and `grid` are plain numbers as well.
        levels: indices of the trunk's feature maps in `ImageFeatures.pyramid`, from fine to coarse.
        pyramid_channels, pyramid_strides: of these maps.

    Examples:
        >>> features = ImageEncoder("resnet10t", image_size=64, dim=16)(torch.zeros(2, 1, 64, 64))
        >>> features.global_.shape, features.patches.shape, features.grid
        (torch.Size([2, 16]), torch.Size([2, 16, 16]), (4, 4))
    """

    def __init__(
        self,
        name: str = DEFAULT_IMAGE_ENCODER,
        pretrained: bool = False,
        image_size: int = 224,
        dim: int | None = None,
        patch_stride: int = 16,
        pool: Literal["patches", "trunk"] = "patches",
        patch_dropping: float = 0.0,
    ) -> None:
        super().__init__()
        self.name, self.image_size, self.patch_dropping = name, image_size, patch_dropping
        self.trunk: Any = _trunk(name, pretrained, image_size)
        if patch_dropping:
            _check_droppable(name, self.trunk)
        self.trunk.to(memory_format=torch.channels_last)  # 1.4 to 2 times faster in bfloat16, on CPUs and GPUs
        self.dim = int(self.trunk.head_hidden_size) if dim is None else dim
        info = [(int(level["num_chs"]), int(level["reduction"])) for level in self.trunk.feature_info]
        self.levels = _pyramid_levels([stride for _, stride in info])
        self.pyramid_channels = [info[level][0] for level in self.levels]
        self.pyramid_strides = [info[level][1] for level in self.levels]
        self.patch_stride = min(
            (s for s in self.pyramid_strides if s >= patch_stride), default=self.pyramid_strides[-1]
        )
        # A transformer repeats one stride: of maps with equal stride only the deepest is read.
        last_of_stride = {stride: position for position, stride in enumerate(self.pyramid_strides)}
        self._patch_levels = [i for s, i in sorted(last_of_stride.items()) if s >= self.patch_stride]
        self.to_patches = nn.ModuleList(nn.Linear(self.pyramid_channels[i], self.dim) for i in self._patch_levels)
        self.patch_norm = nn.LayerNorm(self.dim)
        self.to_global = nn.Linear(int(self.trunk.head_hidden_size), self.dim) if pool == "trunk" else None

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the patch grid for images of `image_size`."""
        return (-(-self.image_size // self.patch_stride),) * 2

    def forward(self, images: Tensor) -> ImageFeatures:
        """Images `[B, 1, H, W]`, normalized -> `ImageFeatures` with the grid of the chosen patch stride."""
        if images.ndim != 4 or images.shape[1] != 1:
            raise ValueError(f"{self.name} reads radiographs [B, 1, H, W]; got {list(images.shape)}")
        images = images.contiguous(memory_format=torch.channels_last)
        if self.training and self.patch_dropping:
            return self._forward_dropped(images)
        last, maps = self.trunk.forward_intermediates(images, indices=self.levels, output_fmt="NCHW")
        merged: Tensor | None = None
        for level, linear in zip(reversed(self._patch_levels), reversed(self.to_patches), strict=True):
            mapped = linear(maps[level].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            merged = mapped if merged is None else mapped + F.interpolate(merged, size=mapped.shape[-2:])
        assert merged is not None  # every trunk has at least one level
        patches = self.patch_norm(merged.permute(0, 2, 3, 1).flatten(1, 2))
        return ImageFeatures(self._pooled(patches, last), patches, tuple(merged.shape[-2:]), list(maps))

    def _forward_dropped(self, images: Tensor) -> ImageFeatures:
        """Features of a random part of the patches; a transformer's patches come from its last block alone."""
        with _drop_patches(self.trunk, self.patch_dropping):
            last, tokens = self.trunk.forward_intermediates(images, indices=self.levels, output_fmt="NLC")
        patches = self.patch_norm(self.to_patches[-1](tokens[self._patch_levels[-1]]))
        return ImageFeatures(self._pooled(patches, last), patches, _NoGrid(), _NoMaps())

    def _pooled(self, patches: Tensor, last: Tensor) -> Tensor:
        if self.to_global is None:
            return patches.mean(1)
        return self.to_global(self.trunk.forward_head(last, pre_logits=True))


def build_image_encoder(name: str, **settings: Any) -> Any:
    """The registered encoder of a name, else timm's network of that name in an `ImageEncoder`.

    Args:
        name: of `image_encoders`, or a timm architecture.
        settings: `pretrained, image_size, dim, patch_stride, patch_dropping`, passed on as they are.

    Raises:
        ValueError: nothing has this name; names the nearest.

    Examples:
        >>> encoder = build_image_encoder("resnet10t", image_size=64, dim=16)
        >>> encoder(torch.zeros(2, 1, 64, 64)).patches.shape
        torch.Size([2, 16, 16])
    """
    if name in image_encoders or name in image_encoders.refused():
        return image_encoders.get(name)(**settings)
    return ImageEncoder(name, **settings)


def _trunk(name: str, pretrained: bool, image_size: int) -> Any:
    if not timm.is_model(name):
        raise ValueError(
            f"image_encoder.name: neither a registered encoder nor timm has {name!r}; "
            f"{did_you_mean(name, [*image_encoders, *timm.list_models()])}"
        )
    config = timm.get_pretrained_cfg(name)
    size: dict[str, Any] = {"img_size": image_size} if config is not None and config.fixed_input_size else {}
    trunk = timm.create_model(name, pretrained=pretrained, in_chans=1, num_classes=0, **size)
    if not hasattr(trunk, "forward_intermediates"):
        raise ValueError(f"image_encoder.name: {name} gives no feature maps; {DEFAULT_IMAGE_ENCODER} does")
    return trunk


def _pyramid_levels(strides: list[int]) -> list[int]:
    """Indices of the maps to keep: all of a ConvNet, four evenly spaced blocks of a transformer."""
    if len(set(strides)) > 1 or len(strides) <= 4:
        return list(range(len(strides)))
    return [round((i + 1) * len(strides) / 4) - 1 for i in range(4)]
