"""`Statement`: what a report will say of one finding, decided before its words are; and the words that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from numpy.random import Generator

from medvlp.phantom.findings import DRAWINGS, FINDINGS, Lesion
from medvlp.phantom.patients import Study
from medvlp.phantom.phrases import choose, phrases

Assertion = Literal["present", "absent", "uncertain"]

OVERLOOKED = 0.03  # share of what is there and not mentioned
DOUBTED = {True: 0.22, False: 0.08}  # share of what is there and hedged, for subtle findings and others
IMAGINED = 0.012  # share of what is not there and hedged
_OFTEN_IMAGINED = ("pleural_effusion", "pneumothorax", "consolidation", "edema", "atelectasis")


@dataclass(frozen=True)
class Statement:
    """One finding in one report: its assertion, the lesions it rests on, and how they have changed."""

    finding: str
    assertion: Assertion
    lesions: tuple[Lesion, ...] = ()
    course: str | None = None

    @property
    def side(self) -> str | None:
        """`left`, `right`, `bilateral` or None."""
        sides = {lesion.side for lesion in self.lesions if lesion.side}
        return "bilateral" if len(sides) == 2 else next(iter(sides), None)

    @property
    def place(self) -> str | None:
        """One of the 51 places; None where nothing is known or two sides differ."""
        places = {lesion.place for lesion in self.lesions}
        if places == {"left_pleural", "right_pleural"}:
            return "pleural_unspec"
        return places.pop() if len(places) == 1 else None

    @property
    def worst(self) -> Lesion | None:
        """The most severe lesion."""
        return max(self.lesions, key=lambda lesion: lesion.level) if self.lesions else None


def plan(rng: Generator, study: Study) -> list[Statement]:
    """What this report says: most of what is there, some denials, the rest left unmentioned."""
    statements = []
    for finding in FINDINGS:
        lesions = tuple(lesion for lesion in study.lesions if lesion.finding == finding)
        gone = tuple(lesion for lesion in study.gone if lesion.finding == finding)
        chance = rng.random()
        if lesions:
            doubt = DOUBTED[max(lesion.level for lesion in lesions) < 0.25]
            if chance < OVERLOOKED:
                continue
            assertion: Assertion = "uncertain" if chance < OVERLOOKED + doubt else "present"
            statements.append(Statement(finding, assertion, lesions, study.course.get(finding)))
        elif gone and chance < 0.75:
            statements.append(Statement(finding, "absent", gone, "resolved"))
        elif chance < IMAGINED and finding in _OFTEN_IMAGINED:
            statements.append(Statement(finding, "uncertain"))
        elif chance < phrases(finding)["deny"]:
            statements.append(Statement(finding, "absent"))
    return statements


def slots(rng: Generator, statement: Statement) -> dict[str, str]:
    """The words for a statement's slots; a slot with nothing to say is empty, and one that is missing is an error."""
    book, change = phrases(statement.finding), phrases("report")["change"]
    lesion, many = statement.worst, statement.side == "bilateral"
    words = dict.fromkeys(("sev", "adv", "kind", "where", "size", "new"), "")
    words["side"] = statement.side or ""
    words["change"] = choose(rng, change[statement.course]) if statement.course in change else ""
    if lesion is not None:
        drawing = DRAWINGS[lesion.finding]
        words["where"] = _where(rng, lesion)
        words["kind"] = choose(rng, book["kinds"][lesion.kind]) if "kinds" in book else ""
        if lesion.severity is not None:
            words["sev"] = choose(rng, book["severity"][lesion.severity])
            words["adv"] = book.get("adverb", {}).get(lesion.severity, "")
        length = drawing.length(lesion)
        words["size"] = "" if length is None else _length(rng, length)
        words |= drawing.words(lesion)
        many = many or drawing.many(lesion)
    if statement.course == "new" and statement.assertion == "present" and rng.random() < 0.6:
        words["new"] = "new "
        words["sev"] = f"new {words['sev']}"
    words |= {"a": "" if many else "a ", "s": "s" if many else ""}
    words |= {"is": "are" if many else "is", "has": "have" if many else "has"}
    return words


def _where(rng: Generator, lesion: Lesion) -> str:
    places = phrases("report")["places"]
    place = lesion.place
    name = place if place in places else place.partition("_")[2]
    return choose(rng, places[name]).format(side=lesion.side) if name in places else ""


def _length(rng: Generator, mm: float) -> str:
    return f"{mm:.0f} mm" if mm < 30 and rng.random() < 0.6 else f"{mm / 10:.1f} cm"
