"""`report_remark`: what kept a text from being read as a report; `states_normal`: whether it says that all is well.

Nothing is made out of nothing: without a finding, a denial or a sentence that says so, a text is no normal report.
"""

from __future__ import annotations

import re

from medvlp.reports.report import Report

OK = "ok"
_BLANKS = frozenset(
    ("", "nan", "none", "null", "na", "n/a", "nil", "-", "--", ".", "?", "missing", "no report", "no text", "empty")
)
_ENGLISH_WORDS = (
    "the of is are no and with in there was has have not to for on at or from without this seen which been by be "
    "normal right left lung lungs heart"
)
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_OTHERS = {  # function words that English reports do not have
    "German": "der die das und kein keine keinen nicht mit im ist ein eine des den dem zeigt auf sowie bei zum ohne",
    "Spanish": "el los las del se sin con por para una en que y es son hay al derecho izquierdo ambos",
    "French": "le les des du et pas de la un une dans est sont aux avec sans ni au il droite gauche",
    "Italian": "il lo gli della delle dei di non si con nel nella e sono del alla destra sinistra",
    "Portuguese": "o os as do da dos das em sem com não uma um nos nas sinais direito esquerdo",
    "Dutch": "de het een geen en van niet op met aan bij zijn wordt links rechts beide",
    "Turkish": "ve bir bu ile da olarak her iki yok izlenmedi izlendi saptanmadı akciğer sağ sol",
    "Polish": "w nie i na z do bez po oraz jest prawego lewego płuca",
}
_BY_LANGUAGE = {name: frozenset(words.split()) - _ENGLISH for name, words in _OTHERS.items()}
_FOREIGN = frozenset().union(*_BY_LANGUAGE.values())
_LETTERS = re.compile(r"[^\W\d_]+")
_OTHER_SCRIPT = re.compile(r"[\u0370-\u1fff\u2e80-\ud7ff]")
_WHOLE = r"(?:chest|study|examination|exam|(?:chest )?(?:radiograph|film|x ?ray|ct)s?|cxr|thorax|scan)"
_WORST = r"(?:process|disease|abnormalit\w+|findings?|patholog\w+|disorder|changes?|problem|illness|condition)"
_NORMAL = re.compile(
    r"\bno (?:\w+ ){0,4}?(?:acute|active|significant|cardiopulmonary|intrathoracic|radiographic|pathological|abnormal)"
    rf" (?:\w+ ){{0,3}}?{_WORST}\b|\bno (?:abnormal\w+|patholog\w+|disease)\b"
    rf"|\b(?:normal|unremarkable|negative|clear) (?:\w+ ){{0,3}}?{_WHOLE}\b"
    rf"|\b(?:{_WHOLE}|findings|everything|lungs?|it|all) (?:\w+ ){{0,3}}?(?:normal|unremarkable|negative|clear)\b"
    r"|\bnothing (?:acute|abnormal|remarkable|of note)\b|\bwithin normal limits\b"
    r"|^\W*(?:normal|unremarkable|negative)\W*$"
    r"|\b(?:without|free of|absence of) (?:\w+ ){0,3}?(?:acute |active )?(?:cardiopulmonary|disease|abnormalit\w+)",
    re.I,
)
_DOUBTED = re.compile(r"\b(?:not|cannot|if|abnormal|prior|previous|history|should|would|was|otherwise)\b", re.I)


def foreign_language(text: str) -> str | None:
    """The language that a text seems to be written in where that is not English, by its function words or its script.

    Examples:
        >>> foreign_language("Kein Pleuraerguss und keine Infiltrate. Das Herz ist nicht vergrößert.")
        'German'
        >>> foreign_language("No pleural effusion. The heart is not enlarged.")
    """
    if not text.isascii() and len(_OTHER_SCRIPT.findall(text)) > 0.3 * len(text):
        return "a language of another script"
    words = set(_LETTERS.findall(text[:4000].lower()))
    strange = words & _FOREIGN
    if len(strange) < 2:
        return None
    counts = {name: len(words & theirs) for name, theirs in _BY_LANGUAGE.items()}
    name = max(counts, key=lambda language: counts[language])
    return name if counts[name] >= 2 and counts[name] > len(words & _ENGLISH) else None


def report_remark(report: Report) -> str:
    """`ok`, or why nothing could be read: no text, another language, no section of findings, no finding in it.

    Examples:
        >>> from medvlp.reports import parse_report
        >>> report_remark(parse_report("No effusion.")), report_remark(parse_report("nan"))
        ('ok', 'no text')
    """
    if report.text.strip().lower() in _BLANKS:
        return "no text"
    language = foreign_language(report.text)
    if language:
        return f"not English, it looks like {language}"
    if not any(sentence.section in report.sections_read for sentence in report.sentences):
        return "no findings or impression"
    if not report.mentions and not states_normal(report):
        return "no finding is named, and nothing is called normal"
    return OK


def states_normal(report: Report) -> bool:
    """Whether a sentence says that the examination is normal: "No acute cardiopulmonary process.", "Normal chest."."""
    for sentence in report.sentences:
        if sentence.section in report.sections_read:
            words = report.words(sentence)
            found = _NORMAL.search(words)
            if found and not _DOUBTED.search(words, 0, found.end()):
                return True
    return False
