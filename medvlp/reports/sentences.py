"""`find_sentences`: sentence boundaries in report text, with offsets into the raw text.

One regular expression proposes boundaries and cheap local tests refuse the false ones, so the cost is linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from medvlp.reports.report import Section, Sentence

_ABBREVIATIONS = frozenset(
    [
        "dr",
        "drs",
        "mr",
        "mrs",
        "ms",
        "prof",
        "st",
        "vs",
        "approx",
        "ca",
        "cf",
        "e.g",
        "i.e",
        "eg",
        "ie",
        "etc",
        "fig",
        "figs",
        "ref",
        "a.m",
        "p.m",
        "al",
        "resp",
        "min",
        "max",
        "dept",
        "jr",
        "sr",
        "inc",
        "incl",
        "excl",
        "s.p",
    ]
)
_STARTS = (
    "The|There|No|Heart|Lungs?|Mild|Moderate|Small|Large|Stable|Unchanged|Right|Left|Bilateral|Cardiac|Cardiomediastinal"
    "|Pulmonary|Pleural|Mediastinal|Normal|Low|This|These|Again|Interval|New|Degenerative|Bony|Osseous|Surgical|Status"
)
_BOUNDARY = re.compile(
    r"(?P<stop>[.!?]+[\"')\]]*)(?=\s|$|[A-Z][a-z])"  # a full stop, also without a blank after it
    r"|(?P<blank>\n[ \t]*\n\s*)"
    r"|(?P<item>(?:(?<=[.;:!?)\s]\s)|(?<=\n))\(?\d{1,2}[.)]\s*(?=[A-Z_]))"  # a numbered item begins
    r"|(?P<bullet>\n[ \t]*[-*•][ \t]+)"
    r"|(?P<line>\n[ \t]*(?=[A-Z0-9(]))"
    rf"|(?P<missing>(?<=[a-z)]) +(?=(?:{_STARTS}) [a-z]))"
)
_LIST_NUMBER = re.compile(r"\(?\d{1,2}[.)]\s*")
_LAST_WORD = re.compile(r"[\w.]+$")


def find_sentences(text: str, section: Section) -> Iterator[Sentence]:
    """The sentences of a section, in order, without the blanks and the list numbers around them."""
    start, end = section.start, section.end
    width = max(map(len, text[start:end].split("\n")))
    if number := _LIST_NUMBER.match(text, start, end):
        start = number.end()
    for found in _BOUNDARY.finditer(text, start, end):
        if found.start() < start or not _is_boundary(text, start, found, width):
            continue
        stop = found.end() if found.lastgroup == "stop" else found.start()
        yield from _trimmed(text, start, stop, section.name)
        start = found.end()
    yield from _trimmed(text, start, end, section.name)


def _is_boundary(text: str, start: int, found: re.Match[str], width: int) -> bool:
    kind, at = found.lastgroup, found.start()
    if kind == "stop":
        if text[at] != "." or found.end() - at > 1:
            return True
        word = _LAST_WORD.search(text, max(start, at - 12), at)
        return not (word and word[0].lower() in _ABBREVIATIONS)
    if kind == "line":  # a wrapped line is as long as the others; a short one ends its sentence
        line_start = max(text.rfind("\n", start, at), start)
        return at - line_start < 0.6 * width
    return True


def _trimmed(text: str, start: int, end: int, section: str) -> Iterator[Sentence]:
    body = text[start:end]
    left = start + len(body) - len(body.lstrip())
    right = left + len(body.strip())
    if any(map(str.isalnum, text[left:right])):
        yield Sentence(left, right, section)
