"""`find_sections`: the headed parts of a free-text report."""

from __future__ import annotations

import re

from medvlp.reports.report import Section

# What headings mean. Keys are heading words, lower case, letters and single spaces only.
_NAMES = {
    "examination": "examination|exam|study|procedure|type of examination|type of exam|examination type|title",
    "indication": "indication|indications|clinical indication|reason for examination|reason for exam|reason for study"
    "|reason for this examination|clinical question|ndication|idication",
    "history": "history|clinical history|patient history|clinical information|clinical data|clinical details",
    "technique": "technique|techniques|protocol|technical factors|dose|contrast",
    "comparison": "comparison|comparisons|comparison exam|comparison film|comparison study|comparision|comparsion"
    "|comparrison|comparisions|reference exam|prior studies|prior study|prior",
    "findings": "findings|finding|reference findings|report|observations|findins|findindgs|findgings|findngs|findnings"
    "|finidngs|description|result|results",
    "impression": "impression|impressions|conclusion|conclusions|opinion|summary|findings and impression"
    "|findings impression|impression and recommendation|impression and recommendations|impresson|imprression|imoression"
    "|impressoin|imprssion|impresion|imperssion|mpression|impession|diagnosis",
    "addendum": "addendum|addenda",
    "recommendation": "recommendation|recommendations|recommendation s",
    "other": "notification|wet read|wetread|comment|comments|note|notes|date|final report|pfi|pfi report"
    "|provisional findings|attestation|critical results|communication",
}
_HEADINGS = {heading: name for name, headings in _NAMES.items() for heading in headings.split("|")}

# Headings of anatomy and of views open a part of the findings.
_ORGANS = re.compile(
    r"\b(chest|lungs?|pleura|pleural|heart|cardiac|cardiovascular|mediastin\w+|hila|airways?|aorta|vessels?|vasculature"
    r"|bones?|osseous|musculoskeletal|soft tissues?|chest wall|diaphragm|abdomen|upper abdomen|liver|spleen|kidneys?"
    r"|adrenals?|pancreas|lymph nodes?|thyroid|neck|esophagus|lines?|tubes?|devices?|support devices"
    r"|views?|portable|frontal|lateral|radiographs?|ct|pericardium|great vessels|lower neck|spine|ribs?)\b"
)
_HEADING = re.compile(
    r"^[ \t]*(?P<line>[A-Z][A-Z0-9 ()/,&._'-]{1,60}?|[A-Z][a-z]+(?: [A-Za-z/]+){0,4})[ \t]*:"
    r"|(?P<inline>\b[A-Z][A-Z]{3,}(?: (?:AND|FOR|OF|[A-Z]{3,})){0,3}):",
    re.MULTILINE,
)


def heading_name(words: str) -> str | None:
    """The section name for a heading's words, or None where they are no heading that is known.

    `findings` also stands for headings of organs and of views ("LUNGS", "CHEST, TWO VIEWS").
    """
    key = " ".join(re.sub(r"[^a-z ]+", " ", words.lower()).split())
    if key in _HEADINGS:
        return _HEADINGS[key]
    if words.isupper() or len(key.split()) <= 3:
        for main in ("impression", "findings", "history", "comparison", "addendum"):
            if main in key:
                return main
        if _ORGANS.search(key):
            return "findings"
    return None


def find_sections(text: str) -> tuple[Section, ...]:
    """Split a report at its headings.

    The text before the first heading is `preamble`; a report without any heading is one preamble.
    """
    sections: list[Section] = []
    name, start = "preamble", 0
    for found in _HEADING.finditer(text):
        following = heading_name(found["line"] or found["inline"])
        if following is None:
            continue
        _close(text, sections, name, start, found.start())
        name, start = following, found.end()
    _close(text, sections, name, start, len(text))
    return tuple(sections)


def _close(text: str, sections: list[Section], name: str, start: int, end: int) -> None:
    """Append a section without the blanks at its ends; an empty preamble is none."""
    body = text[start:end]
    left = start + len(body) - len(body.lstrip())
    right = left + len(body.strip())
    if name != "preamble" or right > left:
        sections.append(Section(name, left, right))
