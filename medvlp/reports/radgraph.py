"""`read_radgraph`: the entities and relations of RadGraph files as reports with mentions.

RadGraph (Jain et al., NeurIPS Datasets 2021) and RadGraph-XL (Delbrouck et al., ACL Findings 2024): study -> `text`
and `entities`: id -> tokens, label, word positions, relations to other entities.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medvlp.reports.parse import parse_sentence
from medvlp.reports.report import Assertion, Mention, Report, Section, Sentence

_WORD = re.compile(r"\S+")
_ASSERTIONS: dict[str, Assertion] = {
    "OBS-DP": "present",
    "OBS-DA": "absent",
    "OBS-U": "uncertain",
    "Observation::definitely present": "present",
    "Observation::definitely absent": "absent",
    "Observation::uncertain": "uncertain",
}


def read_radgraph(path: str | Path) -> dict[str, Report]:
    """All studies of a RadGraph JSON file, by the file's own keys.

    Raises:
        ValueError: the file is not of RadGraph's form; the message names the study and the key.
    """
    studies = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(studies, dict):
        raise ValueError(f"{path}: a RadGraph file maps studies to their text and entities")
    return {study: radgraph_report(entry, study) for study, entry in studies.items() if isinstance(entry, dict)}


def radgraph_report(entry: Mapping[str, Any], study: str = "") -> Report:
    """One study as a report of one section, its sentences ending at the full stops.

    An observation is named by itself with what modifies it and where it is ("left", "pleural", "effusion"), in the
    order of the text; the lexicon turns these words into finding, side, place, severity. Observations that it
    does not know ("clear", "tip") give no mention. The assertion is RadGraph's own.

    Raises:
        ValueError: `text` or `entities` is missing.
    """
    for key in ("text", "entities"):
        if key not in entry:
            raise ValueError(f"study {study!r}: no {key!r} in the RadGraph entry")
    text, entities = entry["text"], entry["entities"]
    spans = [found.span() for found in _WORD.finditer(text)]
    sentences = tuple(_sentences(text, spans))
    mentions = [m for key in entities for m in _mentions(key, entities, spans, sentences)]
    mentions.sort(key=lambda mention: (mention.start, mention.end))
    return Report(text, (Section("findings", 0, len(text)),), sentences, tuple(mentions))


def _sentences(text: str, spans: list[tuple[int, int]]) -> Iterator[Sentence]:
    start = 0
    for k, (begin, end) in enumerate(spans):
        if text[begin:end] in (".", "?", "!") or k == len(spans) - 1:
            yield Sentence(spans[start][0], end, "findings")
            start = k + 1


def _mentions(
    key: str, entities: Mapping[str, Any], spans: list[tuple[int, int]], sentences: tuple[Sentence, ...]
) -> Iterator[Mention]:
    entity = entities[key]
    assertion = _ASSERTIONS.get(entity["label"])
    if assertion is None or entity["end_ix"] >= len(spans):
        return
    related = [entity, *_modifiers(key, entities)]
    words = " ".join(e["tokens"] for e in sorted(related, key=lambda e: e["start_ix"]))
    start, end = spans[entity["start_ix"]][0], spans[entity["end_ix"]][1]
    index = next((k for k, s in enumerate(sentences) if s.start <= start < s.end), 0)
    for m in parse_sentence(words):
        yield Mention(
            m.finding, assertion, start, end, index, m.place, m.side, m.severity, m.size_mm, m.temporality, None
        )


def _modifiers(key: str, entities: Mapping[str, Any]) -> list[Any]:
    """What modifies an observation, where it is located, and what modifies that place."""
    located = [other for kind, other in entities[key]["relations"] if kind == "located_at"]
    targets = {key, *located}
    found = [entities[other] for other in located if other in entities]
    for other, entity in entities.items():
        if other not in targets and any(kind == "modify" and to in targets for kind, to in entity["relations"]):
            found.append(entity)
    return found
