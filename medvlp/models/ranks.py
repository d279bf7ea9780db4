"""`Ranks`: gives a loss that compares images with each other the rows of all processes of a distributed run.

A rank holds its own rows and compares them with the columns of all ranks: scores are `[n, N]`, never `[N, N]`. The loss
of a rank is such that the mean over ranks is the loss of one process on the whole batch, and so are the gradients when
they are averaged over ranks.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Ranks(Protocol):
    """What a loss needs; `medvlp.training.gather` implements it for `torch.distributed`."""

    def gather(self, rows: Tensor) -> Tensor:
        """`[n, ...]` of this rank -> `[N, ...]` of all, in the order of the ranks, with gradients."""

    def first_row(self, rows: int) -> int:
        """Index of this rank's first row among the gathered ones, where it has `rows` rows."""


class OneRank:
    """A single process.

    Examples:
        >>> OneRank().gather(torch.arange(3)), OneRank().first_row(3)
        (tensor([0, 1, 2]), 0)
    """

    def gather(self, rows: Tensor) -> Tensor:
        return rows

    def first_row(self, rows: int) -> int:
        return 0


ONE_RANK = OneRank()


def mean_over_ranks(value: Tensor, ranks: Ranks) -> Tensor:
    """A scalar averaged over ranks. A sum over own rows divided by the mean count is a mean over all rows.

    Examples:
        >>> mean_over_ranks(torch.tensor(4.0), ONE_RANK)
        tensor(4.)
    """
    return ranks.gather(value[None]).mean()


def own_columns(rows: int, columns: int, ranks: Ranks, device: torch.device) -> Tensor:
    """bool `[rows, columns]`: True where a column is the row itself; the identity for one rank.

    Examples:
        >>> own_columns(2, 2, ONE_RANK, torch.device("cpu"))
        tensor([[ True, False],
                [False,  True]])
    """
    mine = torch.arange(rows, device=device) + ranks.first_row(rows)
    return mine[:, None] == torch.arange(columns, device=device)
