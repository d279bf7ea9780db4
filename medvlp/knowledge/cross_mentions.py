"""Which texts of the book name a finding other than their own, and so give its name away needlessly.

A knowledge text that names another finding pulls two findings together in every text encoder. Allowed are what the
finding is a kind of, the words of `register_words.yaml`, and what the finding lists under `mentions:` with a reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from medvlp.knowledge.finding import Finding
from medvlp.knowledge.graph import ConceptGraph
from medvlp.knowledge.yaml_files import KNOWLEDGE_FOLDER, read_yaml


class CrossMention(NamedTuple):
    """The text `finding.facet` has `words`, a name of `other`."""

    finding: str
    facet: str
    other: str
    words: str

    def __str__(self) -> str:
        return f"{self.finding}.{self.facet} names {self.other} ({self.words!r})"


def cross_mentions(graph: ConceptGraph) -> list[CrossMention]:
    """All texts that name a finding which they need not name, in the order of the findings."""
    pattern, ids = _names(graph.findings)
    return [
        mention
        for finding in graph.findings.values()
        for mention in _mentions(finding, pattern, ids)
        if mention.other not in finding.mentions and mention.other not in graph.ancestors(finding.id)
    ]


def needless_permissions(graph: ConceptGraph) -> list[str]:
    """Entries under `mentions:` that no text needs."""
    pattern, ids = _names(graph.findings)
    needless = []
    for finding in graph.findings.values():
        used = {mention.other for mention in _mentions(finding, pattern, ids)}
        needless += [
            f"{finding.id}: `mentions: {other}` is not needed" for other in finding.mentions if other not in used
        ]
    return needless


def _mentions(finding: Finding, pattern: re.Pattern[str], ids: Mapping[str, str]) -> Iterator[CrossMention]:
    texts = {"definition": finding.definition, "radiographic": finding.radiographic, "ct": finding.ct}
    for facet, text in {**texts, **finding.aspects}.items():
        for match in pattern.finditer(text or ""):
            other = ids[_plain(match[1])]
            if other != finding.id:
                yield CrossMention(finding.id, facet, other, match[0])


def _names(findings: Mapping[str, Finding]) -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern of all names but the words of the register, long ones first, and what each of them names."""
    register = read_yaml(KNOWLEDGE_FOLDER / "register_words.yaml")
    ids = {_plain(name): f.id for f in findings.values() for name in f.names if name not in register}
    alternatives = "|".join(re.escape(n).replace(r"\ ", "[ -]") for n in sorted(ids, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])({alternatives})(?:e?s)?(?![\w-])", re.IGNORECASE), ids


def _plain(name: str) -> str:
    return name.lower().replace("-", " ")
