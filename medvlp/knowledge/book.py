"""`KnowledgeBook`: finding -> facet -> text, each with its license and the sources of its facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from medvlp.knowledge.finding import ASPECTS, Finding, load_findings
from medvlp.knowledge.yaml_files import KNOWLEDGE_FOLDER, KnowledgeError, read_yaml, unknown_name, write_yaml

FACETS = ("definition", "radiographic", "ct", *ASPECTS)
NAME = "name"  # a facet that every book has: the finding's name in words
LICENSE = "Apache-2.0"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class BookText:
    """One text, the license under which it may be used, and where its facts come from."""

    text: str
    license: str = LICENSE
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnowledgeBook:
    """What a model may read of each finding.

    Attributes:
        name: `default`, or the name of a book of your own.
        facets: the facets it has, such as `definition`, `radiographic`, `ct`, `density`, in a fixed order.
        names: finding id -> its name in words; the findings of the book, in order.
        content: finding id -> facet -> its text; a facet that a finding lacks is left out.
    """

    name: str
    facets: tuple[str, ...]
    names: Mapping[str, str]
    content: Mapping[str, Mapping[str, BookText]] = field(repr=False)

    @property
    def findings(self) -> tuple[str, ...]:
        """The ids of the findings of the book."""
        return tuple(self.names)

    @classmethod
    def load(cls, name_or_path: str | Path = "default") -> KnowledgeBook:
        """The book of the package (`default`), or the one in a YAML file, such as a saved model's `knowledge.yaml`.

        Raises:
            UnknownNameError: neither `default` nor a YAML file.
            KnowledgeError: the file does not keep to the schema of `docs/knowledge.md`.
        """
        path = Path(name_or_path)
        if path.suffix in (".yaml", ".yml"):
            return _read_book(path)
        if str(name_or_path) != "default":
            raise unknown_name("knowledge book (give its name or the path of a .yaml file)", name_or_path, ["default"])
        return _default_book()

    def text(self, finding_id: str, facet: str) -> str | None:
        """One text, or None where the finding has none for this facet (such as `ct` where CT looks no different).

        The facet `name` is the finding's name, in every book.

        Raises:
            UnknownNameError: a finding or facet that the book lacks; names the nearest.
        """
        if facet == NAME:
            return self.name_of(finding_id)
        entry = self.entry(finding_id, facet)
        return entry.text if entry else None

    def entry(self, finding_id: str, facet: str) -> BookText | None:
        """One text with its license and sources, or None; as `text`."""
        if facet not in self.facets:
            raise unknown_name("facet", facet, self.facets)
        if finding_id not in self.content:
            raise unknown_name("finding", finding_id, self.content)
        return self.content[finding_id].get(facet)

    def texts(self, findings: Sequence[str], facets: Sequence[str]) -> list[list[str | None]]:
        """The texts `[finding][facet]`; None where a finding has none for a facet."""
        return [[self.text(finding, facet) for facet in facets] for finding in findings]

    def name_of(self, finding_id: str) -> str:
        """The finding's name in words, which a book of your own may have for findings that the package lacks."""
        if finding_id not in self.names:
            raise unknown_name("finding", finding_id, self.names)
        return self.names[finding_id]

    def with_texts(self, name: str, texts: Mapping[str, Mapping[str, BookText]]) -> KnowledgeBook:
        """A book of another name in which these texts (finding id -> facet -> text) replace or join those present."""
        content = {f: {**self.content[f], **texts.get(f, {})} for f in self.names}
        for finding in texts:
            if finding not in content:
                raise unknown_name("finding", finding, content)
        return KnowledgeBook(name, _facets_of(content), self.names, content)

    def to_yaml(self, path: str | Path, findings: Iterable[str] | None = None) -> None:
        """Write the named findings (all by default): what a saved model carries. `load` reads the same book back."""
        chosen = list(self.names if findings is None else findings)
        entries = {
            finding: {
                "name": self.name_of(finding),
                "texts": {
                    facet: {"text": entry.text, "license": entry.license, "sources": list(entry.sources)}
                    for facet, entry in self.content[finding].items()
                },
            }
            for finding in chosen
        }
        write_yaml(Path(path), {"format": _FORMAT, "book": self.name, "facets": list(self.facets), "findings": entries})


@lru_cache(maxsize=1)
def _default_book() -> KnowledgeBook:
    citations = load_sources()
    content = {f.id: _texts_of(f, citations) for f in load_findings().values()}
    return KnowledgeBook("default", FACETS, {f.id: f.name for f in load_findings().values()}, content)


@lru_cache(maxsize=1)
def load_sources() -> Mapping[str, str]:
    """Key -> citation of the works from which the facts are taken. Our sentences are our own."""
    return MappingProxyType(read_yaml(KNOWLEDGE_FOLDER / "sources.yaml"))


def _texts_of(finding: Finding, citations: Mapping[str, str]) -> dict[str, BookText]:
    texts = {
        "definition": finding.definition,
        "radiographic": finding.radiographic,
        "ct": finding.ct,
        **finding.aspects,
    }
    for source in finding.sources:
        if source not in citations:
            raise unknown_name(f"source of {finding.id}", source, citations)
    return {facet: BookText(text, LICENSE, finding.sources) for facet in FACETS if (text := texts.get(facet))}


def _facets_of(content: Mapping[str, Mapping[str, BookText]]) -> tuple[str, ...]:
    """The facets in use: the usual ones in their order, then others in the order in which they come."""
    used = dict.fromkeys(facet for texts in content.values() for facet in texts)
    return (*(f for f in FACETS if f in used), *(f for f in used if f not in FACETS))


def _read_book(path: Path) -> KnowledgeBook:
    document = read_yaml(path)
    if document.get("format") != _FORMAT or not isinstance(document.get("findings"), dict):
        raise KnowledgeError(f"{path} is no knowledge book: it needs `format: {_FORMAT}` and `findings:`")
    content = {
        finding: {facet: _text(f"{path}: {finding}: {facet}", text) for facet, text in entry.get("texts", {}).items()}
        for finding, entry in document["findings"].items()
    }
    names = {finding: entry.get("name", finding.replace("_", " ")) for finding, entry in document["findings"].items()}
    facets = tuple(document.get("facets") or _facets_of(content))
    return KnowledgeBook(document.get("book", path.stem), facets, names, content)


def _text(where: str, entry: Any) -> BookText:
    if isinstance(entry, str):
        raise KnowledgeError(f"{where}: give `{{text: ..., license: ..., sources: [...]}}`, not a bare text")
    entry = {"license" if key == "licence" else key: value for key, value in entry.items()}  # books before 0.2
    unknown = set(entry) - {"text", "license", "sources"}
    if unknown or not entry.get("text") or not entry.get("license"):
        raise KnowledgeError(f"{where}: needs `text` and `license`, may have `sources`; has {', '.join(entry)}")
    return BookText(entry["text"], entry["license"], tuple(entry.get("sources", ())))
