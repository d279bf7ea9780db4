"""What a report says of each finding, and the templates that put it into words.

Templates are read from `wording/*.yaml`. `[a|b|c]` is one of several, nested as needed. `{slot}` is filled in; empty
slots vanish with their spaces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from numpy.random import Generator

from medvlp.phantom.findings import FINDING_MODELS, FINDINGS, Lesion
from medvlp.phantom.patients import Study

_CHOICE = re.compile(r"\[([^\[\]]*)\]")

Assertion = Literal["present", "absent", "uncertain"]

OMITTED_FRACTION = 0.03  # fraction of what is there and not mentioned
HEDGED_FRACTION = {True: 0.22, False: 0.08}  # fraction of what is there and hedged, for subtle findings and others
FALSE_POSITIVE_FRACTION = 0.012  # fraction of what is not there and hedged
_FALSE_POSITIVES = ("pleural_effusion", "pneumothorax", "consolidation", "edema", "atelectasis")


@dataclass(frozen=True)
class ReportedFinding:
    """One finding in one report: its assertion, the lesions behind it, and their progression."""

    finding: str
    assertion: Assertion
    lesions: tuple[Lesion, ...] = ()
    progression: str | None = None

    @property
    def side(self) -> str | None:
        """`left`, `right`, `bilateral` or None."""
        sides = {lesion.side for lesion in self.lesions if lesion.side}
        return "bilateral" if len(sides) == 2 else next(iter(sides), None)

    @property
    def place(self) -> str | None:
        """One of the 51 anatomical places; None where unknown or where two sides differ."""
        places = {lesion.place for lesion in self.lesions}
        if places == {"left_pleural", "right_pleural"}:
            return "pleural_unspec"
        return places.pop() if len(places) == 1 else None

    @property
    def worst(self) -> Lesion | None:
        """The most severe lesion."""
        return max(self.lesions, key=lambda lesion: lesion.level) if self.lesions else None


def sample_reported_findings(rng: Generator, study: Study) -> list[ReportedFinding]:
    """Sample what a report mentions: most present findings, some as absent; the others are left unmentioned."""
    reported = []
    for finding in FINDINGS:
        lesions = tuple(lesion for lesion in study.lesions if lesion.finding == finding)
        resolved = tuple(lesion for lesion in study.resolved if lesion.finding == finding)
        chance = rng.random()
        if lesions:
            doubt = HEDGED_FRACTION[max(lesion.level for lesion in lesions) < 0.25]
            if chance < OMITTED_FRACTION:
                continue
            assertion: Assertion = "uncertain" if chance < OMITTED_FRACTION + doubt else "present"
            reported.append(ReportedFinding(finding, assertion, lesions, study.progression.get(finding)))
        elif resolved and chance < 0.75:
            reported.append(ReportedFinding(finding, "absent", resolved, "resolved"))
        elif chance < FALSE_POSITIVE_FRACTION and finding in _FALSE_POSITIVES:
            reported.append(ReportedFinding(finding, "uncertain"))
        elif chance < phrases(finding)["deny"]:
            reported.append(ReportedFinding(finding, "absent"))
    return reported


def template_slots(rng: Generator, reported: ReportedFinding) -> dict[str, str]:
    """The words for the slots of a finding's templates; slots without content are empty."""
    book, change = phrases(reported.finding), phrases("report")["change"]
    lesion, many = reported.worst, reported.side == "bilateral"
    words = dict.fromkeys(("sev", "adv", "kind", "where", "size", "new"), "")
    words["side"] = reported.side or ""
    words["change"] = choose(rng, change[reported.progression]) if reported.progression in change else ""
    if lesion is not None:
        model = FINDING_MODELS[lesion.finding]
        words["where"] = _where(rng, lesion)
        words["kind"] = choose(rng, book["kinds"][lesion.kind]) if "kinds" in book else ""
        if lesion.severity is not None:
            words["sev"] = choose(rng, book["severity"][lesion.severity])
            words["adv"] = book.get("adverb", {}).get(lesion.severity, "")
        length = model.reported_length(lesion)
        words["size"] = "" if length is None else _length(rng, length)
        words |= model.template_words(lesion)
        many = many or model.is_plural(lesion)
    if reported.progression == "new" and reported.assertion == "present" and rng.random() < 0.6:
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


@cache
def phrases(name: str) -> dict[str, Any]:
    """The templates of a finding, or of the `report` as a whole."""
    return yaml.safe_load((Path(__file__).parent / "wording" / f"{name}.yaml").read_text())


def choose(rng: Generator, options: list[str]) -> str:
    """Choose one at random."""
    return options[int(rng.integers(len(options)))]


def expand(rng: Generator, template: str, template_slots: Mapping[str, str] | None = None) -> str:
    """One sentence from a template, with a capital first letter and `a` or `an` as the next word requires."""
    while match := _CHOICE.search(template):
        template = template[: match.start()] + choose(rng, match.group(1).split("|")) + template[match.end() :]
    text = template.format_map(template_slots or {})
    text = re.sub(r" +([,.])", r"\1", re.sub(r"(?<=\S) +(?=\S)", " ", text)).strip()
    text = re.sub(r"\b([Aa]) (?=[aeiouAEIOU]|8|11 |18 )", r"\1n ", text)
    return text[:1].upper() + text[1:]
