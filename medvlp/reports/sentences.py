"""`find_sentences`: sentence boundaries in report text, with offsets into the raw text.

One regular expression proposes boundaries and cheap local tests refuse the false ones, so the cost is linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from medvlp.reports.report import Section, Sentence

LONGEST = 1500  # characters; nobody writes longer sentences, and what the parser does within one is not linear
_ABBREVIATION = re.compile(
    r"\b(?:dr|drs|mr|mrs|ms|prof|st|vs|approx|ca|cf|e\.g|i\.e|eg|ie|figs?|ref|[ap]\.m|resp|min|max|dept|incl?|s\.p)$",
    re.I,
)
# Words that open a sentence although the full stop before them is missing.
_OPENINGS = (
    "The|There|No|Heart|Lungs?|Mild|Moderate|Small|Large|Stable|Unchanged|Right|Left|Bilateral|Cardiac|Cardiomediastinal"
    "|Pulmonary|Pleural|Mediastinal|Normal|Low|This|These|Again|Interval|New|Degenerative|Bony|Osseous|Surgical|Status"
)
_BOUNDARY = re.compile(
    r"(?P<stop>[.!?]+[\"')\]]*)(?=\s|$|[A-Z][a-z])"  # a full stop, also without a blank after it
    r"|(?P<blank>\n[ \t]*\n\s*)"
    r"|(?P<item>(?:(?<=[.;:!?)\s]\s)|(?<=\n))\(?\d{1,2}[.)]\s*(?=[A-Z_]))"  # a numbered item begins
    r"|(?P<loose>(?<=[a-z] )\d{1,2}[.)] +(?=[A-Z_]))"  # the same without a full stop before it, or a number at the end
    r"|(?P<bullet>\n[ \t]*[-*•][ \t]+)"
    r"|(?P<line>\n[ \t]*(?=[A-Z0-9(]))"
    rf"|(?P<missing>(?<=[a-z)]) +(?=(?:{_OPENINGS}) [a-z]))"
)
_LIST_NUMBER = re.compile(r"\(?\d{1,2}[.)]\s*(?=\D)|[-*•][ \t]+")


def find_sentences(text: str, section: Section) -> Iterator[Sentence]:
    """The sentences of a section, in order, without the blanks and the list numbers around them.

    Survives decimals ("2.5 cm"), abbreviations ("Dr. ___"), numbered lists, de-identification blanks, capitals only,
    missing full stops and lines that were wrapped at a fixed width. Nothing longer than `LONGEST` is returned.
    """
    start, end = section.start, section.end
    width = max(map(len, text[start:end].split("\n")))
    number = _LIST_NUMBER.match(text, start, end)
    start = number.end() if number else start
    for found in _BOUNDARY.finditer(text, start, end):
        if found.start() < start or not _is_boundary(text, section.start, start, found, width):
            continue
        ends = found.lastgroup == "stop" or (found.lastgroup == "loose" and not number)  # "measures 5. The heart ..."
        stop = found.end() if ends else found.start()
        yield from _pieces(text, start, stop, section.name)
        start = found.end()
    yield from _pieces(text, start, end, section.name)


def _is_boundary(text: str, first: int, start: int, found: re.Match[str], width: int) -> bool:
    """Whether a proposed boundary is one, in a section that begins at `first` and a sentence that begins at `start`."""
    kind, at = found.lastgroup, found.start()
    if kind == "stop":
        if found.end() - at > 1 or text[at] != ".":
            return not text[at : found.end()].startswith("?") or _ends_question(text, found.end())
        return not _ABBREVIATION.search(text, max(start, at - 12), at)
    if kind == "line":  # a wrapped line is as long as the others; a short one ends its sentence
        return at - max(text.rfind("\n", first, at), first) < 0.6 * width
    return True


def _ends_question(text: str, at: int) -> bool:
    """Whether a question mark ends a sentence: "left effusion? right is clear" goes on in lower case."""
    following = text[at : at + 3].lstrip()
    return not following[:1].islower()


def _pieces(text: str, start: int, end: int, section: str) -> Iterator[Sentence]:
    """A sentence without blanks around it, cut where it is too long; none where it holds neither letter nor digit."""
    while end - start > LONGEST:
        cut = text.rfind(" ", start + LONGEST // 2, start + LONGEST)
        cut = start + LONGEST if cut < 0 else cut
        yield from _pieces(text, start, cut, section)
        start = cut
    body = text[start:end]
    left = start + len(body) - len(body.lstrip())
    right = left + len(body.strip())
    if any(map(str.isalnum, text[left:right])):
        yield Sentence(left, right, section)
