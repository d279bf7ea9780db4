"""The kinds of preprocessing, and the one that a JSON is of: a store holds radiographs or volumes."""

from __future__ import annotations

import json

from medvlp.data.preprocess import Preprocess
from medvlp.data.volume_preprocess import VolumePreprocess

AnyPreprocess = Preprocess | VolumePreprocess

_KINDS: dict[str, type[AnyPreprocess]] = {kind.kind: kind for kind in (Preprocess, VolumePreprocess)}


def preprocess_from_json(text: str) -> AnyPreprocess:
    """The preprocessing that wrote this JSON.

    Raises:
        ValueError: another version of medvlp did, or none.
    """
    return _KINDS.get(json.loads(text).get("kind"), Preprocess).from_json(text)
