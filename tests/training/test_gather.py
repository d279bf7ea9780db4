"""N gloo ranks on B/N rows give the loss and the gradients of one rank on B, and never hold a B x B matrix."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn import functional as F

from medvlp.training.gather import first_row, gather

ROWS = 12


class Pair(nn.Module):
    """Two towers and a scale: the smallest contrast that has everything a method has."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(5, 4), nn.Linear(6, 4)
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, images: Tensor, texts: Tensor, keep: Tensor) -> Tensor:
        """InfoNCE over the images with `keep`, local rows against gathered columns in both directions."""
        image, text = F.normalize(self.image(images), dim=1), F.normalize(self.text(texts), dim=1)
        own = torch.arange(len(image)) + first_row(len(image))
        mean_count = gather(keep.float().sum()[None]).mean()
        loss = image.new_zeros(())
        for rows, columns in ((image, text), (text, image)):
            logits = self.scale.exp() * rows @ gather(columns).t()
            assert logits.shape == (len(rows), ROWS)
            loss = loss + (F.cross_entropy(logits, own, reduction="none") * keep).sum() / mean_count
        return loss


def data() -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    keep = torch.tensor([True] * 5 + [False] + [True, False] * 3)
    return torch.randn(ROWS, 5, generator=random), torch.randn(ROWS, 6, generator=random), keep


def model() -> Pair:
    torch.manual_seed(1)
    return Pair()


def run_rank(rank: int, ranks: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=ranks)
    mine = slice(rank * ROWS // ranks, (rank + 1) * ROWS // ranks)
    parallel = nn.parallel.DistributedDataParallel(model())
    loss = parallel(*(part[mine] for part in data()))
    loss.backward()
    dist.all_reduce(loss.detach())
    result = {
        "loss": loss.detach() / ranks,
        "gradients": [p.grad for p in parallel.parameters()],
        "keep": gather(data()[2][mine]),
        "ids": gather(torch.tensor([[rank, 7]])),
    }
    if rank == ranks - 1:
        torch.save(result, f"{folder}/result.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.parametrize("ranks", [3])
def test_ranks_together_equal_one(tmp_path: Path, ranks: int) -> None:
    mp.spawn(run_rank, (ranks, str(tmp_path)), nprocs=ranks)
    got: dict[str, Any] = torch.load(tmp_path / "result.pt")
    alone = model()
    loss = alone(*data())
    loss.backward()
    torch.testing.assert_close(got["loss"], loss.detach())
    for name_and_parameter, gradient in zip(alone.named_parameters(), got["gradients"], strict=True):
        name, parameter = name_and_parameter
        torch.testing.assert_close(gradient, parameter.grad, msg=name)
    assert torch.equal(got["keep"], data()[2])
    assert got["ids"].tolist() == [[rank, 7] for rank in range(ranks)]


def test_one_rank_gathers_itself() -> None:
    local = torch.ones(2, 3, requires_grad=True)
    assert gather(local) is local
    assert first_row(2) == 0
