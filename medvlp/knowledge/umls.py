"""`Umls`: reader of the Metathesaurus' rich release files (MRCONSO, MRREL, MRDEF), for those who hold its license.

Optional: nothing else needs it, and nothing of UMLS comes with the package. The files are read as a stream, so that the
whole MRREL (tens of millions of rows) passes in bounded memory; `.gz` is read as it is. Columns: UMLS Reference Manual,
chapter 3, "Metathesaurus - Rich Release Format".
"""

from __future__ import annotations

import gzip
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from medvlp.knowledge.book import BookText, KnowledgeBook
from medvlp.knowledge.finding import load_findings
from medvlp.knowledge.yaml_files import KnowledgeError

UMLS_LICENSE = "UMLS Metathesaurus License (not to be passed on)"

_COLUMNS = {"MRCONSO": 18, "MRREL": 16, "MRDEF": 8}


class UmlsRelation(NamedTuple):
    """`head relation tail`: KAD's `source, edge, target`.

    A row of MRREL says what CUI2 is to CUI1, so that `head` is its CUI2 and `tail` its CUI1. `relation` is the row's
    RELA (`has_finding_site`), or its broader REL (`RB`) where it has no RELA.
    """

    head: str
    relation: str
    tail: str
    vocabulary: str


class UmlsDefinition(NamedTuple):
    """One definition of a concept and the vocabulary (SAB) from which it comes."""

    concept: str
    text: str
    vocabulary: str


@dataclass(frozen=True)
class Umls:
    """The folder `META` of a UMLS release.

    Every method leaves out rows that the release marks as suppressed (obsolete or unwanted).
    """

    folder: Path

    def relations(
        self,
        concepts: Collection[str] | None = None,
        relations: Collection[str] | None = None,
        vocabularies: Collection[str] | None = None,
    ) -> Iterator[UmlsRelation]:
        """Relations between different concepts, in the order of the file, each stated once per vocabulary row.

        Args:
            concepts: keep those whose head or tail is one of these CUIs; all if None.
            relations: keep these RELA (or REL) names; all if None.
            vocabularies: keep these vocabularies, such as `SNOMEDCT_US`; all if None.

        Raises:
            FileNotFoundError: the folder has no MRREL.RRF(.gz).
            KnowledgeError: a row does not have MRREL's 16 columns.
        """
        wanted = None if concepts is None else frozenset(concepts)
        for row in self._rows("MRREL"):
            tail, head, vocabulary = row[0], row[4], row[10]
            relation = row[7] or row[3]
            if head == tail or row[14] not in ("N", ""):
                continue
            if wanted is not None and head not in wanted and tail not in wanted:
                continue
            if (relations is None or relation in relations) and (vocabularies is None or vocabulary in vocabularies):
                yield UmlsRelation(head, relation, tail, vocabulary)

    def definitions(
        self, concepts: Collection[str] | None = None, vocabularies: Collection[str] | None = None
    ) -> Iterator[UmlsDefinition]:
        """Definitions of the concepts (all if None) from the vocabularies (all if None), in the order of the file."""
        wanted = None if concepts is None else frozenset(concepts)
        for row in self._rows("MRDEF"):
            concept, vocabulary, text, suppressed = row[0], row[4], row[5], row[6]
            if suppressed not in ("N", "") or (wanted is not None and concept not in wanted):
                continue
            if vocabularies is None or vocabulary in vocabularies:
                yield UmlsDefinition(concept, " ".join(text.split()), vocabulary)

    def names(self, concepts: Collection[str] | None = None, language: str = "ENG") -> dict[str, str]:
        """CUI -> its preferred name in the language: term status P, string type PF, preferred atom, in this order."""
        wanted = None if concepts is None else frozenset(concepts)
        best: dict[str, tuple[tuple[bool, bool, bool], str]] = {}
        for row in self._rows("MRCONSO"):
            if row[1] != language or row[16] not in ("N", "") or (wanted is not None and row[0] not in wanted):
                continue
            rank = (row[2] == "P", row[4] == "PF", row[6] == "Y")
            if row[0] not in best or rank > best[row[0]][0]:
                best[row[0]] = (rank, row[14])
        return {concept: name for concept, (_, name) in best.items()}

    def add_definitions(self, book: KnowledgeBook, vocabularies: Collection[str] | None = None) -> KnowledgeBook:
        """The book with a facet `umls`: the first definition of each finding that has a UMLS code.

        The license of these texts is kept beside them, and goes with a saved model: do not publish such a model's
        `knowledge.yaml`.
        """
        findings = load_findings()
        concept_of = {
            f: findings[f].codes["umls"] for f in book.findings if f in findings and "umls" in findings[f].codes
        }
        first: dict[str, UmlsDefinition] = {}
        for definition in self.definitions(set(concept_of.values()), vocabularies):
            first.setdefault(definition.concept, definition)
        texts: Mapping[str, Mapping[str, BookText]] = {
            finding: {"umls": BookText(first[c].text, UMLS_LICENSE, (f"UMLS {first[c].vocabulary} {c}",))}
            for finding, c in concept_of.items()
            if c in first
        }
        return book.with_texts(f"{book.name}+umls", texts)

    def _rows(self, table: str) -> Iterator[list[str]]:
        """The rows of a table: values between `|`, which also ends each row."""
        columns = _COLUMNS[table]
        with self._open(table) as file:
            for number, line in enumerate(file, 1):
                row = line.rstrip("\r\n").split("|")
                if len(row) != columns + 1:
                    raise KnowledgeError(f"{file.name}, line {number}: {len(row) - 1} columns; {table} has {columns}")
                yield row

    def _open(self, table: str) -> IO[str]:
        path = self.folder / f"{table}.RRF"
        if path.exists():
            return path.open(encoding="utf-8", newline="\n")
        zipped = path.with_name(path.name + ".gz")
        if zipped.exists():
            return gzip.open(zipped, "rt", encoding="utf-8", newline="\n")
        raise FileNotFoundError(f"{self.folder} has no {path.name} or {zipped.name}; give the folder META of a release")
