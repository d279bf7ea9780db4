"""`Statement`: what a report will say of one finding, decided before any word of it is chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from numpy.random import Generator

from medvlp.data.phantom.findings import FINDINGS, Lesion
from medvlp.data.phantom.findings.rib_fracture import fractured_ribs
from medvlp.data.phantom.patients import Study
from medvlp.data.phantom.phrases import choose, phrases

Assertion = Literal["present", "absent", "uncertain"]

_ORDINALS = (
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
)
_LINES = {
    "jugular": ["internal jugular central venous catheter", "IJ central line", "internal jugular catheter"],
    "subclavian": ["subclavian central venous catheter", "subclavian line", "subclavian catheter"],
    "picc": ["PICC", "PICC line", "peripherally inserted central catheter"],
}
_LEADS = {
    "single": ["single-lead", "single chamber"],
    "dual": ["dual-lead", "dual chamber"],
    "triple": ["biventricular", "three-lead"],
}
_WHERE = {
    "lower_left_lobe": ["left lower lobe"],
    "lower_right_lobe": ["right lower lobe"],
    "svc": ["superior vena cava", "SVC", "mid SVC", "lower SVC"],
    "cavoatrial_junction": ["cavoatrial junction", "superior cavoatrial junction"],
}


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
        """One of the 51 places, or None."""
        if self.side == "bilateral":
            return "pleural_unspec" if self.finding == "pleural_effusion" else None
        return self.lesions[0].place if self.lesions else None

    @property
    def severity(self) -> str | None:
        """Of the worst lesion: `mild`, `moderate` or `severe`."""
        return max(self.lesions, key=lambda lesion: lesion.level).severity if self.lesions else None


def plan(rng: Generator, study: Study) -> list[Statement]:
    """What this report says: most of what is there, some denials, the rest left unmentioned."""
    statements = []
    for finding in FINDINGS:
        lesions = tuple(lesion for lesion in study.lesions if lesion.finding == finding)
        gone = tuple(lesion for lesion in study.gone if lesion.finding == finding)
        chance = rng.random()
        if lesions:
            subtle = max(lesion.level for lesion in lesions) < 0.25
            doubt = 0.22 if subtle else 0.08
            if chance < 0.03:
                continue  # overlooked, as it happens
            assertion: Assertion = "uncertain" if chance < 0.03 + doubt else "present"
            statements.append(Statement(finding, assertion, lesions, study.course.get(finding)))
        elif gone and chance < 0.75:
            statements.append(Statement(finding, "absent", gone, "resolved"))
        elif chance < 0.012 and finding in (
            "pleural_effusion",
            "consolidation",
            "atelectasis",
            "edema",
            "pneumothorax",
        ):
            statements.append(Statement(finding, "uncertain"))
        elif chance < phrases(finding)["deny"]:
            statements.append(Statement(finding, "absent"))
    return statements


def slots(rng: Generator, statement: Statement) -> dict[str, str]:
    """The words for a statement's slots; empty where there is nothing to say."""
    book, common = phrases(statement.finding), phrases("report")
    lesion = max(statement.lesions, key=lambda x: x.level) if statement.lesions else None
    both = statement.side == "bilateral"
    words = dict.fromkeys(
        (
            "sev",
            "sevfx",
            "adv",
            "side",
            "where",
            "wherea",
            "whereof",
            "size",
            "tip",
            "line",
            "leads",
            "ordinal",
            "change",
        ),
        "",
    )
    words |= {
        "a": "" if both else "a ",
        "s": "s" if both else "",
        "is": "are" if both else "is",
        "has": "have" if both else "has",
    }
    words["where"] = words["wherea"] = "lung base"
    words["side"] = statement.side or ""
    if statement.course in common["change"]:
        key = "position" if statement.finding in ("endotracheal_tube", "central_venous_catheter") else "change"
        words["change"] = choose(rng, common[key].get(statement.course, common[key]["unchanged"]))
    if lesion is None:
        return words
    words["sev"] = choose(rng, book["severity"][lesion.severity])
    words["adv"] = book.get("adverb", {}).get(lesion.severity, "")
    words["where"] = words["wherea"] = _where(rng, lesion)
    words["whereof"] = (
        f"over the {words['where']}" if lesion.kind == "apical" else f"along the {lesion.side} lateral chest wall"
    )
    words["size"] = _size(rng, lesion)
    words["tip"] = _length(rng, lesion.size_mm or 0) if statement.finding == "endotracheal_tube" else ""
    words["line"] = choose(rng, _LINES.get(lesion.kind, ["central venous catheter"]))
    words["leads"] = choose(rng, _LEADS.get(lesion.kind, [""]))
    if statement.finding == "rib_fracture":
        count = fractured_ribs(lesion)
        first = int(lesion.spot[1])
        words["ordinal"] = " and ".join(_ORDINALS[first - 1 : first - 1 + count][:: max(1, count - 1)])
        words |= {"s": "s" if count > 1 else "", "is": "are" if count > 1 else "is"}
        words["sevfx"] = "healed" if lesion.kind == "healed" else words["sev"]
        if count > 2:
            words["ordinal"] = f"{_ORDINALS[first - 1]} through {_ORDINALS[first + count - 2]}"
    return words


def _where(rng: Generator, lesion: Lesion) -> str:
    if lesion.place in _WHERE:
        return choose(rng, _WHERE[lesion.place])
    side, down = lesion.side, lesion.spot[1]
    if lesion.finding == "pleural_thickening":
        return f"{side} apical" if lesion.kind == "apical" else choose(rng, [f"{side}", f"{side} lateral"])
    if lesion.place.endswith("_lower_lung"):
        return choose(rng, [f"{side} lower lung", f"{side} lung base", f"{side} lower lung zone", f"{side} base"])
    if lesion.place.endswith("_upper_lung"):
        return choose(rng, [f"{side} upper lung", f"{side} upper lung zone"])
    if lesion.place.endswith("_mid_lung"):
        return choose(rng, [f"{side} mid lung", f"{side} mid lung zone", f"{side} midlung"])
    return f"{side} lung" if side and down else "lung"


def _size(rng: Generator, lesion: Lesion) -> str:
    from medvlp.data.phantom.findings import DRAWINGS
    from medvlp.data.phantom.findings.focal import Focal

    drawing = DRAWINGS[lesion.finding]
    if not isinstance(drawing, Focal):
        return ""
    return _length(rng, drawing.extent(lesion.level))


def _length(rng: Generator, mm: float) -> str:
    return f"{mm:.0f} mm" if mm < 30 and rng.random() < 0.6 else f"{mm / 10:.1f} cm"


def merged(statement: Statement, **changes: object) -> Statement:
    """A copy with some fields replaced."""
    return replace(statement, **changes)  # type: ignore[arg-type]
