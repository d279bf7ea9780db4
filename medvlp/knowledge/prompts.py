"""`PromptSet`: the sentences with which a zero-shot protocol asks for a finding, kept as data in `prompt_sets/`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from medvlp.knowledge.book import KnowledgeBook
from medvlp.knowledge.finding import load_findings
from medvlp.knowledge.graph import ConceptGraph
from medvlp.knowledge.yaml_files import KnowledgeError, packaged_file, packaged_names, read_yaml, unknown_name

GRID = ("severity", "subtype", "place")
_KEYS = ("source", "present", "absent", "findings")
_OWN_KEYS = ("present", "absent", "grid")
_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is asked for one finding: sentences that are true where it is present, and (may be none) where it is not."""

    present: tuple[str, ...]
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class PromptSet:
    """The prompts of one protocol.

    Attributes:
        name: `names`, `chexzero`, `ct_clip`, ...
        present, absent: templates with the fields `{name}`, `{Name}` (capital first letter), `{lineage}` (the name and
            what it is a kind of) and any facet of the book, such as `{definition}`.
        own: finding id -> its own prompts, which replace the templates; "no No Finding" means nothing to a reader.
        source: whose protocol it is, and what departs from it.
    """

    name: str
    present: tuple[str, ...]
    absent: tuple[str, ...] = ()
    own: Mapping[str, Prompts] = field(default_factory=dict)
    source: str = ""

    @classmethod
    def load(cls, name_or_path: str | Path) -> PromptSet:
        """A prompt set of the package by name, or one of your own by the path of its YAML file.

        Raises:
            UnknownNameError: no prompt set of that name, or prompts for a finding that nobody knows.
            KnowledgeError: the file does not keep to the schema of `docs/knowledge.md`.
        """
        path = Path(name_or_path)
        return _read(path) if path.suffix in (".yaml", ".yml") else _load(str(name_or_path))

    @classmethod
    def names(cls) -> list[str]:
        """The prompt sets that come with the package."""
        return packaged_names("prompt_sets")

    def prompts(self, finding_id: str, book: KnowledgeBook | None = None) -> Prompts:
        """The prompts of one finding. A template whose facet the finding lacks is left out.

        Args:
            finding_id: any finding of the book.
            book: where names and facets are read; the default book if None.

        Raises:
            UnknownNameError: the book does not know the finding.
            KnowledgeError: no template is left.
        """
        book = book or KnowledgeBook.load("default")
        name = book.name_of(finding_id)
        own = self.own.get(finding_id, Prompts(()))
        present = own.present or self._filled(self.present, finding_id, name, book)
        if not present:
            raise KnowledgeError(f"prompt set {self.name}: nothing to say of {finding_id}; its facets are missing")
        return Prompts(present, own.absent or self._filled(self.absent, finding_id, name, book))

    def sample(self, finding_id: str, n: int, seed: int, book: KnowledgeBook | None = None) -> tuple[str, ...]:
        """`n` different prompts for presence, or all where there are fewer; the same for the same seed and finding."""
        present = self.prompts(finding_id, book).present
        return tuple(Random(f"{seed}/{self.name}/{finding_id}").sample(present, min(n, len(present))))

    def _filled(self, templates: tuple[str, ...], finding_id: str, name: str, book: KnowledgeBook) -> tuple[str, ...]:
        filled = []
        for template in templates:
            values: dict[str, str | None] = {"name": name, "Name": name[:1].upper() + name[1:]}
            for key in _FIELD.findall(template):
                if key == "lineage":
                    values[key] = _lineage(finding_id, name)
                elif key not in values:
                    values[key] = book.text(finding_id, key)
            if None not in values.values():
                filled.append(template.format_map(values))
        return tuple(filled)


def _lineage(finding_id: str, name: str) -> str:
    """The name and what it is a kind of, near ones first; a finding of a user's own book has only its name."""
    if finding_id not in load_findings():
        return name
    graph = ConceptGraph.load()
    return ", ".join([name, *(load_findings()[a].name for a in graph.ancestors(finding_id))])


@lru_cache(maxsize=64)
def _load(name: str) -> PromptSet:
    return _read(packaged_file("prompt_sets", name, "prompt set"))


def _read(path: Path) -> PromptSet:
    content = read_yaml(path)
    _check_keys(str(path), content, _KEYS)
    own = {}
    for finding, entry in content.get("findings", {}).items():
        if finding not in load_findings():
            raise unknown_name(f"finding in {path}:", finding, load_findings())
        _check_keys(f"{path}: {finding}", entry, _OWN_KEYS)
        present = (*entry.get("present", ()), *_grid(f"{path}: {finding}", entry.get("grid")))
        own[finding] = Prompts(present, tuple(entry.get("absent", ())))
    if not content.get("present"):
        raise KnowledgeError(f"{path}: `present` needs at least one template")
    return PromptSet(
        path.stem, tuple(content["present"]), tuple(content.get("absent", ())), own, content.get("source", "")
    )


def _grid(where: str, grid: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Every severity x subtype x place, in this order of words; an empty string leaves a part out."""
    if not grid:
        return ()
    _check_keys(where, grid, GRID)
    parts = [grid.get(key, [""]) for key in GRID]
    return tuple(dict.fromkeys(" ".join(word for word in words if word) for words in product(*parts)))


def _check_keys(where: str, entry: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in entry:
        if key not in known:
            raise KnowledgeError(f"{where}: {unknown_name('key', key, known)}")
