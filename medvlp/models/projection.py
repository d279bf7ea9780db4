"""`ProjectionHead`: from an encoder's width to the space in which images and texts are compared."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ProjectionHead(nn.Module):
    """Linear map, or a perceptron with one hidden layer, onto the unit sphere.

    Args:
        in_dim, out_dim: widths.
        hidden: width of the hidden layer (GELU); None for a linear map without bias, as in CLIP.
    """

    def __init__(self, in_dim: int, out_dim: int, hidden: int | None = None) -> None:
        super().__init__()
        self.layers: nn.Module = (
            nn.Linear(in_dim, out_dim, bias=False)
            if hidden is None
            else nn.Sequential(nn.Linear(in_dim, hidden), nn.GELU(), nn.Linear(hidden, out_dim))
        )

    def forward(self, features: Tensor) -> Tensor:
        """`[..., in_dim]` -> unit vectors `[..., out_dim]`, in float32 so that cosines keep their digits."""
        return F.normalize(self.layers(features).float(), dim=-1)
