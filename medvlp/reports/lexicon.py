"""`Lexicon`: the phrases of radiology reports as one word trie, compiled from the YAML files beside this module.

Every phrase that matters (findings, anatomy, cues, severity, ...) is in the same trie, so that one pass over the words
of a sentence finds them all, the longest at each position first, in linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from medvlp.errors import MedVLPError
from medvlp.reports.tokens import tokenize

_FOLDER = Path(__file__).parent
_WORD = re.compile(r"[^\W_]+|[,;:?()/⊖⊕±☐☑]")
_CHOICE = re.compile(r"\(([^()]*)\)")


class LexiconError(MedVLPError, ValueError):
    """A lexicon file is wrong; the message says which entry and why."""


class Cue(NamedTuple):
    """One class of assertion cues: where it stands, what it makes of a finding, and the temporality that it implies."""

    name: str
    where: str
    means: str
    time: str | None


class Region(NamedTuple):
    """An anatomical region as places by side; its own words imply `side`; `outside` is no part of the chest."""

    name: str
    left: str | None
    right: str | None
    unsided: str | None
    both: str | None
    side: str | None
    in_lung: bool
    outside: bool


@dataclass(slots=True)
class Term:
    """What one phrase can mean; several roles at once are common ("increased" is a predicate and a change)."""

    finding: str | None = None
    subject: str | None = None
    adjective: tuple[str, ...] = ()
    noun: tuple[str, ...] = ()
    cue: Cue | None = None
    region: Region | None = None
    side: str | None = None
    severity: str | None = None
    time: str | None = None
    stop: bool = False
    join: str | None = None
    closes: bool = False
    gone: bool = False
    article: bool = False


class Match(NamedTuple):
    """A term found in a sentence: words `first` to `last`, both inclusive."""

    first: int
    last: int
    term: Term


def expand_pattern(pattern: str) -> list[str]:
    """All phrases of a pattern: `opaci(ty|ties)` is two, `(pleural |)effusion(s|)` four.

    Nested choices are expanded from the inside out.
    """
    found = _CHOICE.search(pattern)
    if not found:
        return [" ".join(pattern.replace("-", " ").split())]
    head, tail = pattern[: found.start()], pattern[found.end() :]
    return [phrase for choice in found[1].split("|") for phrase in expand_pattern(head + choice + tail)]


def phrase_words(phrase: str) -> list[str]:
    """The words of a phrase as the tokenizer yields them."""
    return _WORD.findall(phrase.lower())


class Lexicon:
    """The compiled phrases.

    Attributes:
        homes: finding -> the region that it lies in when a sentence names none.
        implied: (subject, predicate) -> ((finding, present?), ...): what "the heart is enlarged" says.
        located: (finding, region) -> the finding that it is there (a fracture of a rib), None where it is none of ours.
        cues: cue class by name.
        vocabulary: every word of every phrase.
        lasting: findings and home regions that a past event leaves behind ("old fracture").
        prepositions, qualifiers, copulas: single words that open a place, may stand between the two, tell a predicate.
        hedges: uncertain cue class -> `present | absent`, the policy for a forced yes or no.
    """

    def __init__(
        self,
        findings: Mapping[str, Any],
        anatomy: Mapping[str, Any],
        cues: Mapping[str, Any],
        hedges: Mapping[str, str],
    ) -> None:
        self._trie: dict[str, Any] = {}
        self.vocabulary: set[str] = set()
        self.hedges = dict(hedges)
        self.regions = {name: _region(name, entry) for name, entry in anatomy["regions"].items()}
        self.prepositions, self.qualifiers = frozenset(cues["prepositions"]), frozenset(cues["qualifiers"])
        self.copulas, self.lasting = frozenset(cues["copulas"]), frozenset(cues.get("lasting", ()))
        self.past, self.now = frozenset(cues.get("past", ())), frozenset(cues.get("now", ()))
        self.imitation_links = {name: frozenset(words) for name, words in cues.get("imitation_links", {}).items()}
        self.cues = {name: Cue(name, c["where"], c["means"], c.get("time")) for name, c in cues["cues"].items()}
        self.homes: dict[str, Region] = {}
        self.implied: dict[tuple[str, str], tuple[tuple[str, bool], ...]] = {}
        self.located = {
            (finding, region): there
            for finding, by_region in anatomy["located"].items()
            for region, there in by_region.items()
        }
        self._add_anatomy(anatomy)
        self._add_cues(cues)
        self._add_findings(findings)

    @property
    def findings(self) -> set[str]:
        """The ids of all findings that a phrase or an implication can yield."""
        return {finding for finding in self.homes if not finding.startswith("_")}

    def match(self, words: Sequence[str]) -> list[Match]:
        """The longest phrase at each position, left to right, without overlaps."""
        found: list[Match] = []
        trie, n, i = self._trie, len(words), 0
        while i < n:
            node = trie.get(words[i])
            if node is None:
                i += 1
                continue
            term, last, j = node.get(""), i, i + 1
            while j < n and (node := node.get(words[j])) is not None:
                if (here := node.get("")) is not None:
                    term, last = here, j
                j += 1
            if term is None:
                i += 1
                continue
            found.append(Match(i, last, term))
            i = last + 1
        return found

    def finding_phrase(self, words: Sequence[str]) -> Term | None:
        """The term of exactly these words where it names a finding."""
        node: Any = self._trie
        for word in words:
            node = node.get(word)
            if node is None:
                return None
        term: Term | None = node.get("")
        return term if term and term.finding else None

    def cue_class(self, words: str) -> str | None:
        """The class of a mention's cue words, or None."""
        tokens = [token.word for token in tokenize(f"x {words}")][1:]  # an answer follows a word
        found = [m.term.cue for m in self.match(tokens) if m.term.cue]
        return found[0].name if found else None

    def _add(self, patterns: Iterable[str]) -> Iterator[tuple[str, Term]]:
        """The terms of all phrases of the patterns, made where they are new."""
        for pattern in patterns:
            for phrase in expand_pattern(pattern):
                node = self._trie
                for word in phrase_words(phrase):
                    node = node.setdefault(word, {})
                    self.vocabulary.add(word)
                if node is self._trie:
                    raise LexiconError(f"pattern {pattern!r} has a phrase without words")
                yield phrase, node.setdefault("", Term())

    def _add_anatomy(self, anatomy: Mapping[str, Any]) -> None:
        for name, entry in anatomy["regions"].items():
            for _, term in self._add(entry["words"]):
                term.region = self.regions[name]
        for side, patterns in anatomy["sides"].items():
            for _, term in self._add(patterns):
                term.side = side
        for name, entry in anatomy["subjects"].items():
            for _, term in self._add(entry["words"]):
                term.subject = name
            for predicate, findings in entry["implies"].items():
                if predicate not in anatomy["predicates"]:
                    raise LexiconError(f"subject {name!r}: {predicate!r} is no predicate")
                findings = [findings] if isinstance(findings, str) else findings
                self.implied[name, predicate] = tuple((f.lstrip("-"), not f.startswith("-")) for f in findings)
        for name, entry in anatomy["predicates"].items():
            for _, term in self._add(entry.get("adjectives", ())):
                term.adjective += (name,)
            for _, term in self._add(entry.get("nouns", ())):
                term.noun += (name,)

    def _add_cues(self, cues: Mapping[str, Any]) -> None:
        for name, entry in cues["cues"].items():
            for phrase, term in self._add(entry["words"]):
                if term.cue and term.cue.name != name:
                    raise LexiconError(f"{phrase!r} is a cue of both {term.cue.name!r} and {name!r}")
                term.cue = self.cues[name]
            if entry["means"] == "uncertain" and name not in self.hedges:
                raise LexiconError(f"cue class {name!r} has no policy in the hedge table")
        for severity, patterns in cues["severity"].items():
            for _, term in self._add(patterns):
                term.severity = severity
        for time, patterns in cues["temporality"].items():
            for _, term in self._add(patterns):
                term.time = time
        for _, term in self._add(cues["stops"]):
            term.stop = True
        for _, term in self._add(cues.get("articles", ())):
            term.article = True
        for phrase, term in self._add(cues["joins"]):
            term.join = phrase
        for _, term in self._add(cues["closers"]):
            term.closes = True
        for _ in self._add(cues["pseudo"]):
            pass

    def _add_findings(self, findings: Mapping[str, Any]) -> None:
        implied = {finding for pairs in self.implied.values() for finding, _ in pairs} | set(
            filter(None, self.located.values())
        )
        if unknown := implied - set(findings):
            raise LexiconError(f"implications name findings without an entry: {sorted(unknown)}")
        for finding, entry in findings.items():
            self.homes[finding] = self.regions[entry["home"]]
            gone = {phrase for pattern in entry.get("gone", ()) for phrase in expand_pattern(pattern)}
            for phrase, term in self._add([*entry["words"], *entry.get("gone", ())]):
                if term.finding not in (None, finding):
                    raise LexiconError(f"{phrase!r} names both {term.finding!r} and {finding!r}")
                term.finding = finding
                self._read_inside(phrase, term)
                if phrase in gone:
                    term.gone, term.time = True, "resolved"

    def _read_inside(self, phrase: str, term: Term) -> None:
        """Side, region and severity that stand inside a finding's own phrase ("bibasilar atelectasis")."""
        words = phrase_words(phrase)
        for start in range(len(words)):
            for inner in self.match(words[start : len(words) - (start == 0)])[:1]:
                if inner.first:
                    continue
                term.region = term.region or inner.term.region
                term.side = term.side or inner.term.side
                term.severity = term.severity or inner.term.severity


def _region(name: str, entry: Mapping[str, Any]) -> Region:
    places = entry["places"]
    left, right, unsided = places if isinstance(places, list) else (places, places, places)
    flags = (entry.get(key, False) for key in ("in_lung", "outside"))
    return Region(name, left, right, unsided, entry.get("both", unsided), entry.get("side"), *flags)


@lru_cache(maxsize=1)
def load_lexicon() -> Lexicon:
    """The lexicon of this package, compiled once a process (about 50 ms)."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one takes 15 ms where the other takes 200

    def read(name: str) -> dict[str, Any]:
        return yaml.load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), loader)

    findings = read("lexicon_lungs") | read("lexicon_chest") | read("lexicon_devices")
    return Lexicon(findings, read("lexicon_anatomy"), read("lexicon_cues"), read("hedges"))
