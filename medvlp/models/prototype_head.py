"""`PrototypeHead`: a cosine classifier. Each class is a direction, and an image is scored by how it points."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medvlp.models.precision import cosines
from medvlp.models.projection import ProjectionHead
from medvlp.models.temperature import Temperature


class PrototypeHead(nn.Module):
    """Features -> logits `s cos(h(x), W_e) + b_e` of each class, with h linear, s and W learnt (DLILP's label head).

    Args:
        in_dim: width of the features. dim: width of the space of prototypes. classes: their number.
        bias: learn b_e; False keeps it at zero, as in the paper.

    Attributes:
        prototypes: W, `[classes, dim]`, of any length. bias: b, `[classes]`.
    """

    def __init__(self, in_dim: int, dim: int, classes: int, bias: bool = True) -> None:
        super().__init__()
        self.head = ProjectionHead(in_dim, dim)
        self.prototypes = nn.Parameter(torch.empty(classes, dim))
        nn.init.kaiming_normal_(self.prototypes)
        self.bias = nn.Parameter(torch.zeros(classes), requires_grad=bias)
        self.temperature = Temperature()

    def forward(self, features: Tensor) -> Tensor:
        """`[..., in_dim]` -> logits `[..., classes]`, in at least float32."""
        return self.temperature(cosines(self.head(features), F.normalize(self.prototypes, dim=1))) + self.bias
