"""Codes of places on a grid."""

import pytest
import torch

from medvlp.models import grid_position


@pytest.mark.parametrize("grid", [(4, 6), (2, 3, 4)])
def test_each_cell_has_its_own_code(grid):
    code = grid_position(grid, 50, torch.zeros(1))
    assert code.shape == (torch.tensor(grid).prod(), 50)
    assert torch.cdist(code, code).add(torch.eye(len(code)) * 9).min() > 0.05


def test_a_place_keeps_its_code_on_a_finer_grid():
    # The centre of the middle cell of 3 and of 9 is the same point of the body.
    coarse, fine = grid_position((3, 3), 32, torch.zeros(1)), grid_position((9, 9), 32, torch.zeros(1))
    torch.testing.assert_close(coarse[4], fine[40])


def test_type_follows_the_tensor():
    assert grid_position((2, 2), 8, torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.bfloat16
