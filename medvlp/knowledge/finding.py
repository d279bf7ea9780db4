"""`Finding`: what is known of one finding; `load_findings` reads them all from `findings/*.yaml`.

The schema of the files, with an example, is in `docs/knowledge.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from medvlp.knowledge.yaml_files import KNOWLEDGE_FOLDER, KnowledgeError, read_yaml, unknown_name

FindingSide = Literal["none", "lateral", "bilateral"]
FindingKind = Literal["abnormality", "disease", "device", "surgery", "variant", "normal"]
ASPECTS = ("density", "shape", "border", "place", "distribution", "secondary_signs")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of a chest radiograph or chest CT. Its texts are our own words and name no other finding.

    Attributes:
        id: snake_case; what tables, label spaces and recipes are keyed by.
        name: as a report says it, lower case.
        region: the file it stands in: `lungs`, `pleura`, `heart`, ...
        kind: `abnormality` (what is seen), `disease` (what is concluded), `device`, `surgery`, `variant`, `normal`.
        side: `lateral` (left, right or both), `bilateral` (both by its nature) or `none` (midline, or no side).
        synonyms: other names, lower case; no two findings share one.
        definition: what it is.
        radiographic: how it looks on a radiograph.
        aspects: parts of the appearance, keys out of `ASPECTS`.
        ct: how it looks on CT where that differs, or None.
        parents: ids of what it is a kind of.
        excludes: ids that cannot be true of the same examination.
        suggests: ids of what it is a sign of, though no proof.
        places: usual places, out of the 51 of `medvlp.knowledge.PLACES`.
        codes: `umls` and `radlex` identifiers, where known for certain.
        sources: keys of `sources.yaml`: where the facts come from.
        mentions: findings that its texts name on purpose -> why.
    """

    id: str
    name: str
    region: str
    kind: FindingKind
    side: FindingSide
    definition: str
    radiographic: str
    synonyms: tuple[str, ...] = ()
    aspects: Mapping[str, str] = field(default_factory=dict)
    ct: str | None = None
    parents: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    suggests: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    codes: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    mentions: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its synonyms."""
        return (self.name, *self.synonyms)


_REQUIRED = ("name", "side", "definition", "radiographic", "sources")
_LISTS = ("synonyms", "parents", "excludes", "suggests", "places", "sources")
_MAPPINGS = ("aspects", "codes", "mentions")
_KEYS = (*_REQUIRED, *_LISTS, *_MAPPINGS, "kind", "ct")


@lru_cache(maxsize=1)
def load_findings() -> Mapping[str, Finding]:
    """Every finding by its id, in the order of the files. Read once; the mapping is read-only.

    Raises:
        KnowledgeError: a file does not keep to the schema.
    """
    findings: dict[str, Finding] = {}
    for path in sorted((KNOWLEDGE_FOLDER / "findings").glob("*.yaml")):
        for finding in read_findings(path):
            if finding.id in findings:
                raise KnowledgeError(f"{path}: {finding.id} stands in {findings[finding.id].region}.yaml too")
            findings[finding.id] = finding
    return MappingProxyType(findings)


def read_findings(path: Path) -> list[Finding]:
    """The findings of one YAML file, in its order.

    Raises:
        KnowledgeError: a key is missing or unknown, or a value is not of its kind.
    """
    return [_finding(f"{path}: {name}", name, entry, path.stem) for name, entry in read_yaml(path).items()]


def get_finding(finding_id: str) -> Finding:
    """One finding by its id.

    Raises:
        UnknownNameError: nobody knows it; names the nearest.
    """
    findings = load_findings()
    if finding_id not in findings:
        raise unknown_name("finding", finding_id, findings)
    return findings[finding_id]


def name_of(finding_id: str) -> str:
    """The finding's name in words: `pleural_effusion` -> "pleural effusion".

    Raises:
        UnknownNameError: nobody knows it; names the nearest.
    """
    return get_finding(finding_id).name


def id_of(name: str) -> str:
    """The id of a finding by id, name or synonym; case, underscores and hyphens do not count.

    Raises:
        UnknownNameError: nobody knows it; names the nearest.
    """
    found = _ids_by_name().get(_plain(name))
    if found is None:
        raise unknown_name("finding", name, [*load_findings(), *_ids_by_name()])
    return found


@lru_cache(maxsize=1)
def _ids_by_name() -> dict[str, str]:
    names = {_plain(name): f.id for f in load_findings().values() for name in f.synonyms}
    names |= {_plain(f.name): f.id for f in load_findings().values()}
    return names | {_plain(f): f for f in load_findings()}


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def _finding(where: str, finding_id: str, entry: Any, region: str) -> Finding:
    if not isinstance(entry, dict):
        raise KnowledgeError(f"{where}: keys and values are needed, not {entry!r}")
    for key in entry:
        if key not in _KEYS:
            raise KnowledgeError(f"{where}: {unknown_name('key', key, _KEYS)}")
    missing = [key for key in _REQUIRED if not entry.get(key)]
    if missing:
        raise KnowledgeError(f"{where}: {', '.join(missing)} missing")
    values = dict(entry)
    for key in _LISTS:
        values[key] = tuple(_kind_checked(where, key, entry.get(key, []), list))
    for key in _MAPPINGS:
        values[key] = _kind_checked(where, key, entry.get(key, {}), dict)
    values.setdefault("kind", "abnormality")
    for key, allowed in (("side", get_args(FindingSide)), ("kind", get_args(FindingKind))):
        if values[key] not in allowed:
            raise KnowledgeError(f"{where}: {key} is {values[key]!r}; allowed: {', '.join(allowed)}")
    for aspect in values["aspects"]:
        if aspect not in ASPECTS:
            raise KnowledgeError(f"{where}: {unknown_name('aspect', aspect, ASPECTS)}")
    return Finding(id=finding_id, region=region, **values)


def _kind_checked(where: str, key: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise KnowledgeError(f"{where}: {key} must be a {kind.__name__}, not {value!r}")
    return value
