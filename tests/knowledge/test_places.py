"""The 51 places, against the order and the flip pairs of the method cards."""

from __future__ import annotations

import pytest

from medvlp.knowledge import (
    PLACES,
    UnknownNameError,
    get_place,
    load_places,
    mirror_permutation,
    mirror_place,
    place_sentence,
)

PAIRS = {1: 2, 4: 5, 9: 10, 13: 15, 14: 17, 18: 23, 19: 24, 20: 25, 21: 26, 22: 27, 30: 31}


def test_there_are_51_in_the_order_of_the_triple_tensor() -> None:
    assert len(PLACES) == 51
    assert (PLACES[0], PLACES[13], PLACES[34], PLACES[50]) == ("trachea", "lower_left_lobe", "mediastinal", "other")
    assert [p.index for p in load_places().values()] == list(range(51))


def test_partners_are_those_of_the_flip_permutation() -> None:
    permutation = mirror_permutation()
    assert {i: j for i, j in enumerate(permutation) if i < j} == PAIRS
    for i, j in enumerate(permutation):
        assert j == -1 or permutation[j] == i


def test_a_partner_lies_on_the_other_side() -> None:
    for place in load_places().values():
        if place.mirror and place.mirror != place.name:
            assert {place.side, get_place(place.mirror).side} == {"left", "right"}


@pytest.mark.parametrize(
    "name", ["middle_right_lobe", "right_atrium", "right_ventricle", "stomach", "aorta", "heart_size"]
)
def test_what_has_no_mirror_image_says_so(name: str) -> None:
    assert mirror_place(name) is None


def test_sides_are_the_patients() -> None:
    assert get_place("lower_left_lobe").side == "left"
    assert get_place("lower_left_lobe").image_side == "right"
    assert get_place("trachea").image_side == "midline"


def test_sentences() -> None:
    assert place_sentence("upper_left_lobe") == "It is located at the left upper lobe."
    assert len({place_sentence(p) for p in PLACES}) == 51


def test_an_unknown_place_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="lower_left_lobe"):
        mirror_place("left_lower_lob")
