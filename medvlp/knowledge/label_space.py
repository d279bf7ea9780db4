"""`LabelSpace`: the labels of one data set, in its own order and spelling, each tied to a finding of the knowledge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from medvlp.knowledge.finding import load_findings
from medvlp.knowledge.yaml_files import (
    KnowledgeError,
    UnknownNameError,
    packaged_file,
    packaged_names,
    read_yaml,
    unknown_name,
)

_KEYS = ("name", "source", "labels", "parents", "excludes", "counts")
_COUNT_KEYS = ("also", "never", "only")


@dataclass(frozen=True, slots=True)
class CountRule:
    """How the authors of a data set count for one label, where they depart from the hierarchy of findings.

    Attributes:
        also: findings that count for the label, with all their kinds.
        never: findings that do not, with all their kinds, although the hierarchy says so.
        only: where given, nothing but these findings counts, themselves and not their kinds.
    """

    also: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()


@dataclass(frozen=True)
class LabelSpace:
    """Labels addressed by name; `labels[i]` and `findings[i]` belong together, one to one.

    Attributes:
        name: `chexpert14`, `nih14`, `phantom15`, ...
        labels: the data set's own spelling, in its order.
        findings: finding ids, in the same order; none twice.
        aliases: labels that repeat another label's meaning -> that label.
        others: labels that are no finding ("unchanged", "exclude") -> why.
        all_labels: every label of the data set in its order, aliases and others too.
        parents: the data set's own hierarchy, label -> broader labels, where it has one.
        excludes: the data set's own rule, label -> labels that cannot be true beside it.
        counts: finding id of a label -> what counts for it, where the data set's authors depart from the hierarchy.
        source: where the list comes from.
    """

    name: str
    labels: tuple[str, ...]
    findings: tuple[str, ...]
    all_labels: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    excludes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counts: Mapping[str, CountRule] = field(default_factory=dict)
    source: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def load(cls, name_or_path: str | Path) -> LabelSpace:
        """A label space of the package by name, or one of your own by the path of its YAML file.

        Raises:
            UnknownNameError: no label space of that name, or a label that is tied to an unknown finding.
            KnowledgeError: the file does not keep to the schema of `docs/knowledge.md`.
        """
        path = Path(name_or_path)
        if path.suffix in (".yaml", ".yml"):
            return _read(path)
        return _load(str(name_or_path))

    @classmethod
    def names(cls) -> list[str]:
        """The label spaces that come with the package."""
        return packaged_names("label_spaces")

    @classmethod
    def of(cls, findings: Sequence[str], name: str = "own") -> LabelSpace:
        """A label space of any findings, its labels being their ids.

        Raises:
            UnknownNameError: a finding nobody knows.
            KnowledgeError: a finding is given twice.
        """
        twice = sorted({f for f in findings if list(findings).count(f) > 1})
        if twice:
            raise KnowledgeError(f"findings given twice: {', '.join(twice)}")
        return _built(f"label space {name!r}", {"name": name, "labels": {f: f for f in findings}}, list(findings))

    @classmethod
    def resolve(cls, space: str | Path | Sequence[str]) -> LabelSpace:
        """What a recipe gives under `findings:`: the name or path of a label space, or a list of finding ids."""
        return cls.load(space) if isinstance(space, str | Path) else cls.of(space)

    def index(self, label_or_id: str) -> int:
        """The position of a label (its case does not count), an alias or a finding id.

        Raises:
            UnknownNameError: this space has no such label; names the nearest, or says why the label is no finding.
        """
        position = self._positions.get(label_or_id.lower())
        if position is not None:
            return position
        for label, reason in self.others.items():
            if label.lower() == label_or_id.lower():
                raise UnknownNameError(f"label {label!r} of {self.name} is no finding: {reason}")
        raise unknown_name(f"label of {self.name}", label_or_id, [*self.labels, *self.findings])

    def label_of(self, finding_id: str) -> str:
        """The data set's spelling for a finding id.

        Raises:
            UnknownNameError: this space has no label for the finding.
        """
        return self.labels[self.index(finding_id)]

    @cached_property
    def _positions(self) -> dict[str, int]:
        positions = {finding: i for i, finding in enumerate(self.findings)}
        positions |= {label.lower(): i for i, label in enumerate(self.labels)}
        return positions | {alias.lower(): positions[label.lower()] for alias, label in self.aliases.items()}


@lru_cache(maxsize=64)
def _load(name: str) -> LabelSpace:
    return _read(packaged_file("label_spaces", name, "label space"))


def _read(path: Path) -> LabelSpace:
    content = read_yaml(path)
    for key in content:
        if key not in _KEYS:
            raise KnowledgeError(f"{path}: {unknown_name('key', key, _KEYS)}")
    labels = content.get("labels")
    if not isinstance(labels, dict) or not labels:
        raise KnowledgeError(f"{path}: `labels` must map each label to a finding id")
    return _built(str(path), {"name": path.stem, **content}, list(labels))


def _built(where: str, content: Mapping[str, Any], all_labels: list[str]) -> LabelSpace:
    """Sort labels into findings, aliases and others, and check that all names are known."""
    known = load_findings()
    found: dict[str, str] = {}
    aliases: dict[str, str] = {}
    others: dict[str, str] = {}
    for label in all_labels:
        entry = content["labels"][label]
        match entry:
            case str() if entry not in known:
                raise unknown_name(f"finding of label {label!r} in {where}:", entry, known)
            case str() if entry in found.values():
                raise KnowledgeError(f"{where}: {entry} belongs to two labels; make {label!r} `{{same_as: <label>}}`")
            case str():
                found[label] = entry
            case {"same_as": str(other)}:
                aliases[label] = other
            case {"finding": None, "reason": str(reason)}:
                others[label] = reason
            case _:
                raise KnowledgeError(
                    f"{where}: {label!r}: give a finding id, `{{same_as: <label>}}` or `{{finding: null, reason: ...}}`"
                )
    for alias, label in aliases.items():
        if label not in found:
            raise unknown_name(f"label behind {alias!r} in {where}:", label, found)
    return LabelSpace(
        name=content["name"],
        labels=tuple(found),
        findings=tuple(found.values()),
        all_labels=tuple(all_labels),
        aliases=aliases,
        others=others,
        parents=_relation(where, "parents", content, found),
        excludes=_relation(where, "excludes", content, found),
        counts=_count_rules(where, content.get("counts", {}), found),
        source=content.get("source", ""),
    )


def _relation(
    where: str, key: str, content: Mapping[str, Any], labels: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    relation = {label: tuple(others) for label, others in content.get(key, {}).items()}
    for label in (*relation, *(other for others in relation.values() for other in others)):
        if label not in labels:
            raise unknown_name(f"label under `{key}` of {where}:", label, labels)
    return relation


def _count_rules(where: str, content: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, CountRule]:
    rules = {}
    for label, rule in content.items():
        if label not in labels:
            raise unknown_name(f"label under `counts` of {where}:", label, labels)
        for key, findings in rule.items():
            if key not in _COUNT_KEYS:
                raise KnowledgeError(f"{where}: counts: {label}: {unknown_name('key', key, _COUNT_KEYS)}")
            for finding in findings:
                if finding not in load_findings():
                    raise unknown_name(f"finding under `counts` of {where}:", finding, load_findings())
        rules[labels[label]] = CountRule(*(frozenset(rule.get(key, ())) for key in _COUNT_KEYS))
    return rules
