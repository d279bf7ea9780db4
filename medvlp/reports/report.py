"""`Report` and its parts: what is taken out of a report's text. All offsets point into the raw text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Assertion = Literal["present", "absent", "uncertain"]
Side = Literal["left", "right", "bilateral"]
Temporality = Literal["new", "unchanged", "improved", "worsened", "resolved", "prior"]


# The sections that state what is seen now; the others ask, compare or tell how.
MENTION_SECTIONS = frozenset({"findings", "impression", "addendum"})
_WITHOUT_HEADINGS = MENTION_SECTIONS | {"preamble", "wet_read", "recommendation", "other"}
_BODY = 300  # characters before the impression that are findings without a heading


@dataclass(frozen=True, slots=True)
class Section:
    """A headed part of the report: `text[start:end]` is its body, without blanks at its ends.

    `name` is one of `examination, indication, history, technique, comparison, findings, impression, addendum,
    recommendation, wet_read, other`; what comes before the first heading is `preamble`. `heading` holds the heading's
    own words ("LUNGS AND PLEURA" for a part of the findings), or None. The body begins after the heading, except under
    an organ's, which is kept because it is the subject of its sentences ("HEART: Normal.").
    """

    name: str
    start: int
    end: int
    heading: str | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, `text[start:end]`, and the section that it stands in."""

    start: int
    end: int
    section: str


@dataclass(frozen=True, slots=True)
class Mention:
    """One finding as one sentence speaks of it.

    Attributes:
        finding: the finding's id in the knowledge base, such as `pleural_effusion`.
        assertion: `present | absent | uncertain`.
        start, end: the finding's own words in the raw text.
        sentence: index into `Report.sentences`.
        place: one of the 51 places by name, or None.
        side: `left | right | bilateral`, or None.
        severity: the word, lower case (`small`, `moderate`, `large`, `mild`, `severe`, ...), or None.
        size_mm: the largest stated size, in millimetres.
        temporality: `new | unchanged | improved | worsened | resolved | prior`, or None.
        cue: the words that decided the assertion (`no`, `cannot exclude`, `probable`), or None for plain presence.
    """

    finding: str
    assertion: Assertion
    start: int
    end: int
    sentence: int
    place: str | None = None
    side: Side | None = None
    severity: str | None = None
    size_mm: float | None = None
    temporality: Temporality | None = None
    cue: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A parsed report. Sections, sentences and mentions are in the order of the text."""

    text: str
    sections: tuple[Section, ...] = field(default=())
    sentences: tuple[Sentence, ...] = field(default=())
    mentions: tuple[Mention, ...] = field(default=())

    @property
    def sections_read(self) -> frozenset[str]:
        """The sections that state what is seen; where none is headed so, the whole text but its questions."""
        named = {section.name for section in self.sections}
        if "findings" in named:
            return MENTION_SECTIONS
        if "impression" not in named:
            return _WITHOUT_HEADINGS
        body = sum(s.end - s.start for s in self.sections if s.name == "preamble")
        return MENTION_SECTIONS | {"preamble"} if body > _BODY else MENTION_SECTIONS

    def words(self, part: Section | Sentence | Mention) -> str:
        """The words of a section, a sentence or a mention."""
        return self.text[part.start : part.end]

    def section(self, name: str) -> str:
        """The text of all sections of that name, joined by a newline; empty where there is none."""
        return "\n".join(self.words(s).strip() for s in self.sections if s.name == name)
