"""`validate_knowledge`: whether the YAML files agree with each other; run it after editing one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from medvlp.knowledge.book import load_sources
from medvlp.knowledge.finding import ASPECTS, Finding, load_findings
from medvlp.knowledge.graph import ConceptGraph
from medvlp.knowledge.label_space import LabelSpace
from medvlp.knowledge.places import PLACES, load_places
from medvlp.knowledge.prompts import PromptSet
from medvlp.knowledge.yaml_files import KNOWLEDGE_FOLDER, KnowledgeError, UnknownNameError, read_yaml


def validate_knowledge(graph: ConceptGraph | None = None) -> list[str]:
    """Everything that is wrong with the knowledge of the package, a line each; an empty list if nothing is.

    Looks at names (each belongs to one finding), relations (known, acyclic, exclusions mutual), places, sources, the
    texts' form and what they give away, every label of every label space, and every prompt of every prompt set.

    Args:
        graph: other findings than the package's, for those who keep their own.
    """
    graph = graph or ConceptGraph(load_findings())
    problems = [*_names(graph.findings.values()), *_relations(graph)]
    if any("is a kind of itself" in problem for problem in problems):
        return problems
    for finding in graph.findings.values():
        problems += _texts(finding)
    problems += [str(mention) for mention in cross_mentions(graph)]
    problems += needless_permissions(graph)
    return [*problems, *_places(), *_label_spaces(), *_prompt_sets(graph)]


def _names(findings: Iterable[Finding]) -> Iterator[str]:
    owners: dict[str, str] = {}
    for finding in findings:
        for name in finding.names:
            if owners.setdefault(name.lower(), finding.id) != finding.id:
                yield f"{finding.id}: {name!r} is a name of {owners[name.lower()]} too"


def _relations(graph: ConceptGraph) -> Iterator[str]:
    known = {
        "parents": graph.findings,
        "excludes": graph.findings,
        "suggests": graph.findings,
        "mentions": graph.findings,
    }
    for finding in graph.findings.values():
        for key, names in (*known.items(), ("places", PLACES), ("sources", load_sources())):
            for name in getattr(finding, key):
                if name not in names:
                    yield f"{finding.id}: unknown name under `{key}`: {name!r}"
        for other in finding.excludes:
            if other in graph.findings and finding.id not in graph.findings[other].excludes:
                yield f"{finding.id} excludes {other}, which does not exclude it"
    for finding in graph.findings.values():
        try:
            above = graph.ancestors(finding.id)
        except (KeyError, KnowledgeError) as error:
            yield str(error)
            continue
        for other in {*finding.excludes, *finding.suggests} & {finding.id, *above}:
            yield f"{finding.id} excludes or suggests {other}, of which it is a kind"


def _texts(finding: Finding) -> Iterator[str]:
    texts = {
        "definition": finding.definition,
        "radiographic": finding.radiographic,
        "ct": finding.ct,
        **finding.aspects,
    }
    for facet, text in texts.items():
        if text is not None and not (text[:1].isupper() and text.endswith(".") and text.isascii()):
            yield f"{finding.id}.{facet}: needs a capital letter first, a full stop last and plain ASCII: {text!r}"
    if len(finding.aspects) < len(ASPECTS) - 1:
        yield f"{finding.id}: has {len(finding.aspects)} aspects; at least {len(ASPECTS) - 1} of {', '.join(ASPECTS)}"


def _places() -> Iterator[str]:
    places = load_places()
    for place in places.values():
        if place.mirror is not None and places[place.mirror].mirror != place.name:
            yield f"place {place.name}: its mirror {place.mirror} has another mirror"


def _label_spaces() -> Iterator[str]:
    for name in LabelSpace.names():
        try:
            LabelSpace.load(name)
        except (UnknownNameError, KnowledgeError) as error:
            yield f"label space {name}: {error}"


def _prompt_sets(graph: ConceptGraph) -> Iterator[str]:
    for name in PromptSet.names():
        try:
            prompts = PromptSet.load(name)
            for finding in load_findings():
                prompts.prompts(finding)
        except (UnknownNameError, KnowledgeError) as error:
            yield f"prompt set {name}: {error}"
            continue
        if prompts.absent and any(f.kind == "normal" and f.id not in prompts.own for f in graph.findings.values()):
            yield f"prompt set {name}: `no_finding` needs words of its own, since its negation says nothing"


class CrossMention(NamedTuple):
    """The text `finding.facet` has `words`, a name of `other`."""

    finding: str
    facet: str
    other: str
    words: str

    def __str__(self) -> str:
        return f"{self.finding}.{self.facet} names {self.other} ({self.words!r})"


def cross_mentions(graph: ConceptGraph) -> list[CrossMention]:
    """All texts that name a finding which they need not name, in the order of the findings.

    A knowledge text that names another finding pulls two findings together in every text encoder. Allowed are what the
    finding is a kind of, the words of `register_words.yaml`, and what it lists under `mentions:` with a reason.
    """
    pattern, ids = _name_pattern(graph.findings)
    return [
        mention
        for finding in graph.findings.values()
        for mention in _cross_mentions(finding, pattern, ids)
        if mention.other not in finding.mentions and mention.other not in graph.ancestors(finding.id)
    ]


def needless_permissions(graph: ConceptGraph) -> list[str]:
    """Entries under `mentions:` that no text needs."""
    pattern, ids = _name_pattern(graph.findings)
    needless = []
    for finding in graph.findings.values():
        used = {mention.other for mention in _cross_mentions(finding, pattern, ids)}
        needless += [
            f"{finding.id}: `mentions: {other}` is not needed" for other in finding.mentions if other not in used
        ]
    return needless


def _cross_mentions(finding: Finding, pattern: re.Pattern[str], ids: Mapping[str, str]) -> Iterator[CrossMention]:
    texts = {"definition": finding.definition, "radiographic": finding.radiographic, "ct": finding.ct}
    for facet, text in {**texts, **finding.aspects}.items():
        for match in pattern.finditer(text or ""):
            other = ids[_plain(match[1])]
            if other != finding.id:
                yield CrossMention(finding.id, facet, other, match[0])


def _name_pattern(findings: Mapping[str, Finding]) -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern of all names but the words of the register, long ones first, and what each of them names."""
    register = read_yaml(KNOWLEDGE_FOLDER / "register_words.yaml")
    ids = {_plain(name): f.id for f in findings.values() for name in f.names if name not in register}
    alternatives = "|".join(re.escape(n).replace(r"\ ", "[ -]") for n in sorted(ids, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])({alternatives})(?:e?s)?(?![\w-])", re.IGNORECASE), ids


def _plain(name: str) -> str:
    return name.lower().replace("-", " ")
