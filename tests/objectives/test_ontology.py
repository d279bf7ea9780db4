"""The hierarchy as a matrix."""

import pytest

from medvlp.knowledge import get_finding
from medvlp.objectives import ancestor_matrix


def test_a_finding_is_itself_and_what_it_is_a_kind_of():
    assert get_finding("consolidation").parents == ("lung_opacity",)
    # Concepts in order of appearance: consolidation, lung opacity, pneumothorax.
    assert ancestor_matrix(["consolidation", "pneumothorax", "lung_opacity"]).long().tolist() == [
        [1, 1, 0],
        [0, 0, 1],
        [0, 1, 0],
    ]


def test_an_unknown_finding_is_named():
    with pytest.raises(KeyError, match="pneumothorax"):
        ancestor_matrix(["pneumotorax"])
