"""The 51 places that reports speak of, their sentence, their side, and what a left-right flip makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from medvlp.knowledge.yaml_files import KNOWLEDGE_FOLDER, read_yaml, unknown_name
from medvlp.reports.triples import PLACES

NOT_PRESENT_SENTENCE = "It is not present."
"""What MAVL adds to the 51 sentences, as one more answer to "where?"."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place.

    Attributes:
        name: as in the triple tensors of MedKLIP, such as `lower_left_lobe`.
        index: its row there.
        words: in words with its article: "the left lower lobe".
        side: the patient's side on which it lies: `left | right | both | midline | none`.
        mirror: the place that it becomes when the image is flipped left to right; itself where it has no side; None
            where the flipped image would show what no normal chest has (a right-sided stomach), so that the flip must
            be refused or the label dropped.
    """

    name: str
    index: int
    words: str
    side: Literal["left", "right", "both", "midline", "none"]
    mirror: str | None

    @property
    def sentence(self) -> str:
        """The sentence of the anatomy book: "It is located at the left lower lobe."."""
        return f"It is located at {self.words}."

    @property
    def image_side(self) -> str:
        """The side of the displayed frontal image on which it lies: the patient's left is the image's right."""
        return {"left": "right", "right": "left"}.get(self.side, self.side)


@lru_cache(maxsize=1)
def load_places() -> Mapping[str, Place]:
    """Every place by its name, in the order of `PLACES`. Read once; the mapping is read-only."""
    entries = read_yaml(KNOWLEDGE_FOLDER / "places.yaml")
    places = {}
    for index, name in enumerate(PLACES):
        mirror = entries[name]["mirror"]
        places[name] = Place(
            name=name,
            index=index,
            words=entries[name]["words"],
            side=entries[name]["side"],
            mirror=name if mirror == "self" else mirror,
        )
    return MappingProxyType(places)


def get_place(name: str) -> Place:
    """One place by its name.

    Raises:
        UnknownNameError: it is none of the 51; names the nearest.
    """
    places = load_places()
    if name not in places:
        raise unknown_name("place", name, places)
    return places[name]


def mirror_place(name: str) -> str | None:
    """The place that a left-right flip of the image makes of this one, or None where the flip must be refused.

    Raises:
        UnknownNameError: it is none of the 51; names the nearest.
    """
    return get_place(name).mirror


def place_sentence(name: str) -> str:
    """The place's sentence for a text encoder: "It is located at the left lower lobe.".

    Raises:
        UnknownNameError: it is none of the 51; names the nearest.
    """
    return get_place(name).sentence


@lru_cache(maxsize=1)
def mirror_permutation() -> tuple[int, ...]:
    """For each of the 51 places the index of its mirror image, -1 where it has none.

    A triple tensor `[..., 51]` is flipped by `flipped[..., i] = tensor[..., p[i]]`, and -1 (unmentioned) where
    `p[i] == -1`.
    """
    return tuple(-1 if p.mirror is None else PLACES.index(p.mirror) for p in load_places().values())
