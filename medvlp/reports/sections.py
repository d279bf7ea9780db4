"""`find_sections`: the headed parts of a free-text report, special cases of MIMIC-CXR included."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import yaml

from medvlp.reports.report import MENTION_SECTIONS, Section

_MAIN = ("impression", "findings", "history", "comparison", "addendum")  # wins where a longer heading holds the word

_ORGAN = re.compile(
    r"\b(lungs?|pleura|pleural|heart|cardiac|cardiovascular|mediastin\w+|hila|airways?|aorta|vessels?|vasculature|bones?"
    r"|osseous|musculoskeletal|soft tissues?|chest wall|diaphragm|abdomen|upper abdomen|liver|spleen|kidneys?|adrenals?"
    r"|pancreas|lymph nodes?|thyroid|neck|esophagus|lines?|tubes?|devices?|pericardium|spine|ribs?|trachea|pulmonary)\b"
)
_VIEW = re.compile(r"\b(chest|views?|portable|frontal|lateral|radiographs?|upright|bone window|ct|film)\b")
_HEADING = re.compile(
    r"^[ \t]*(?P<line>[A-Z][A-Z0-9 ()/,&._'-]{1,60}|[A-Z][a-z]+(?: [A-Za-z/]+){0,4})[ \t]*:"
    r"|(?P<inline>\b[A-Z]{4,}(?: (?:AND|FOR|OF|[A-Z]{3,})){0,3}"
    r"|\b(?:Findings|Impression|Conclusion|Comparison|Indication|Technique)):",
    re.MULTILINE,
)
_RULE = re.compile(r"^[ \t]*_{20,}[ \t]*$|^[ \t]*FINAL REPORT[ \t]*$", re.MULTILINE)
_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")


class _Heading(NamedTuple):
    """A heading in the text: the section that it opens, where that section's body begins, and its own words."""

    name: str
    at: int
    body: int
    words: str | None


def find_sections(text: str, study: str | None = None) -> tuple[Section, ...]:
    """Split a report at its headings.

    The text before the first heading is `preamble`; a report without any heading is one preamble. Where no heading
    says "findings", the paragraphs that follow the first one under the last heading before the impression are findings:
    many reports go from "COMPARISON: None." to the body without a heading.

    Args:
        text: the raw report.
        study: its MIMIC-CXR study id (`s50913680` or `50913680`), for the 54 studies whose layout no rule covers.
    """
    special = _special_studies().get(f"s{study.lstrip('s')}") if study else None
    if isinstance(special, list):
        start, end = special
        return tuple(_section(text, *part) for part in (("other", 0, start), ("findings", start, end)) if part[2])
    sections = [s for s in _headed(text) if s.heading or s.end > s.start]
    if isinstance(special, str):
        sections = [_renamed(s, "findings") if s.name == special else s for s in sections]
    return tuple(_with_unheaded_findings(text, sections))


def heading_name(words: str) -> str | None:
    """The section that a heading's words open, or None where they are no known heading.

    `organ` stands for headings of organs ("LUNGS"); headings of views ("CHEST, TWO VIEWS") open findings.
    """
    key = _plain(words)
    known = _headings().get(key)
    if known:
        return known
    if not (words.isupper() or len(key.split()) <= 4):
        return None
    for main in _MAIN:
        if main in key:
            return main
    if _VIEW.search(key):
        return "findings"
    return "organ" if _ORGAN.search(key) else None


def _plain(words: str) -> str:
    return " ".join(re.sub(r"[^a-z ]+", " ", words.lower()).split())


def _headed(text: str) -> list[Section]:
    headings = [_Heading("preamble", 0, 0, None)]
    for found in _HEADING.finditer(text):
        words = (found["line"] or found["inline"]).strip()
        name = heading_name(words)
        if name == "organ":
            start = found.start("line") if found["line"] else found.start("inline")
            headings.append(_Heading("findings", start, start, words))
        elif name:
            headings.append(_Heading(name, found.start(), found.end(), words))
    # A ruled line, or the title of the final report, ends the preliminary report before it.
    headings += [_Heading("preamble", rule.start(), rule.end(), None) for rule in _RULE.finditer(text)]
    headings.sort(key=lambda heading: heading.at)
    ends = [heading.at for heading in headings[1:]] + [len(text)]
    sections = [_section(text, h.name, h.body, end, h.words) for h, end in zip(headings, ends, strict=True)]
    return [_renamed(s, "examination") if _is_bare_view(text, s) else s for s in sections]


def _is_bare_view(text: str, section: Section) -> bool:
    """Whether a heading of views holds a date at most: "CHEST, TWO VIEWS: ___"."""
    named = _plain(section.heading or "") in _headings()
    return section.name == "findings" and not named and not any(map(str.isalpha, text[section.start : section.end]))


def _with_unheaded_findings(text: str, sections: list[Section]) -> list[Section]:
    """Sections in which the paragraphs before the findings of organs, or before the impression, are findings too."""
    if any(s.name == "findings" and s.heading and heading_name(s.heading) == "findings" for s in sections):
        return sections
    first = next((k for k, s in enumerate(sections) if s.name in MENTION_SECTIONS), len(sections))
    head = sections[first - 1] if first else None
    blank = _BLANK_LINE.search(text, head.start, head.end) if head and head.heading else None
    if not (head and blank):
        return sections
    parts = [_section(text, head.name, head.start, blank.start(), head.heading)]
    parts.append(_section(text, "findings", blank.end(), head.end))
    return sections[: first - 1] + parts + sections[first:]


def _section(text: str, name: str, start: int, end: int, heading: str | None = None) -> Section:
    body = text[start:end]
    left = start + len(body) - len(body.lstrip())
    return Section(name, left, left + len(body.strip()), heading)


def _renamed(section: Section, name: str) -> Section:
    return Section(name, section.start, section.end, section.heading)


@lru_cache(maxsize=1)
def _headings() -> dict[str, str]:
    names = yaml.safe_load(Path(__file__).with_name("headings.yaml").read_text(encoding="utf-8"))
    return {heading: name for name, headings in names.items() for heading in headings}


@lru_cache(maxsize=1)
def _special_studies() -> dict[str, str | list[int]]:
    return yaml.safe_load(Path(__file__).with_name("mimic_cxr_sections.yaml").read_text(encoding="utf-8"))
