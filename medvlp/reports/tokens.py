"""`tokenize`: the words of a sentence, with the answers of structured reports as words of their own.

"Pleural effusion: None.", "Edema = neg", "[x] Nodule", "PTX (-)" state a finding by an answer beside it. Each answer
becomes one symbol, which the lexicon lists as a cue like any other: after the finding U+2296 (no), U+2295 (yes), U+00B1
(open); before it U+2610 (no), U+2611 (yes). An answer is a whole field: in "Effusion: no change" "no" stays a word.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import NamedTuple

NO, YES, OPEN, UNTICKED, TICKED = "⊖⊕±☐☑"

_SEEN = r"(?: (?:seen|present|identified|detected|visuali[sz]ed|evident|noted|found|demonstrated|apparent|visible))?"
_NONE = rf"no{_SEEN}|no (?:evidence|sign|signs|indication)|none{_SEEN}|not{_SEEN[:-1]}"
_SAYS_NO = rf"{_NONE}|nil|nill|neg(?:ative)?|absent|false|n|0|-ve|[-\u2013\u2212]"
_SAYS_YES = r"yes|pos(?:itive)?|present|true|y|1|\+ve|\+{1,4}|seen"
_LEAVES_OPEN = r"yes ?/ ?no|y ?/ ?n|\+/-|\+-|±|not (?:assessed|assessable|evaluated|evaluable)|n/a|indeterminate"
_PLAIN_NO = r"neg(?:ative)?|nil|-ve|none|[-\u2013\u2212]"  # these need no sign between the finding and them
_PLAIN_YES = r"pos(?:itive)?|\+ve|\+{1,4}"
_END = r"(?=[ \t]*(?:[.,;)\]|\n\t]|$|[ ]{2,}))"
_BETWEEN = r"(?:\s*[:=|?]+\s*|\s*[-=]>\s*|\s+[-\u2013\u2014]{1,2}\s+|\t+|[ ]{3,}|\s*\.{3,}\s*|\s*[(\[]\s*)"
_TICK = r"(?:\[\s*[xX✓✔*]\s*\]|\(\s*[xX✓✔*+]\s*\)|[☑☒✓✔✅])"
_EMPTY = r"(?:\[\s*-?\s*\]|\(\s*[-\u2013\u2212]?\s*\)|[☐□])"
_PAIRS = (
    (NO, rf"(?:yes|y) *{_EMPTY} *(?:no|n) *{_TICK}|{_EMPTY} *(?:yes|y) *{_TICK} *(?:no|n)\b"),
    (YES, rf"(?:yes|y) *{_TICK} *(?:no|n) *{_EMPTY}|{_TICK} *(?:yes|y) *{_EMPTY} *(?:no|n)\b"),
)
_GROUPS = (
    *((symbol, rf"(?:{_BETWEEN}|\s+)(?:{pair})") for symbol, pair in _PAIRS),
    (OPEN, rf"(?:{_BETWEEN}|\s+)(?:{_LEAVES_OPEN}){_END}|(?:^|(?<=\s))(?:\+/-|\+-|±)(?=\s)"),
    (NO, rf"{_BETWEEN}(?:{_SAYS_NO}){_END}|(?<=\w)\s+(?:{_PLAIN_NO}){_END}"),
    (YES, rf"{_BETWEEN}(?:{_SAYS_YES}){_END}|(?<=\w)\s+(?:{_PLAIN_YES}){_END}"),
    (TICKED, rf"{_TICK}|^\s*\+(?=\s*[a-zA-Z])"),
    (UNTICKED, _EMPTY),
)
_ANSWER = "|".join(f"(?P<a{k}>{pattern})" for k, (_, pattern) in enumerate(_GROUPS))
_SIGNS = re.compile(
    r"[:=|?>\[\]+±☑☒✓✔✅☐□\t\u2013\u2014\u2212]|\([-+xX ]?\)|\([nN]|- | -|   |\.\.\.|[nN]eg|NEG|[nN]il|[nN]one|[pP]os"
)
_BROKEN = r"(?P<broken>[^\W\d_]+-\s+[^\W\d_]+)"  # "pneumo-\nthorax"
_PLAIN = r"[^\W\d_]+|\d+(?:\.\d+)?|[,;:?()/]"
_WORDS = re.compile(_PLAIN)
_WORDS_AND_ANSWERS = re.compile(rf"{_ANSWER}|{_BROKEN}|{_PLAIN}", re.IGNORECASE)


class Token(NamedTuple):
    """A word in lower case and where it stands in the text."""

    word: str
    start: int
    end: int


def tokenize(text: str, known: Container[str] = ()) -> list[Token]:
    """The words, numbers, signs and answers of a sentence, in order.

    Args:
        text: one sentence.
        known: words that a hyphen at the end of a line may have divided.

    Examples:
        >>> [token.word for token in tokenize("Pleural effusion: None.")]
        ['pleural', 'effusion', '⊖']
        >>> [token.word for token in tokenize("pneumo-\\nthorax", {"pneumothorax"})]
        ['pneumothorax']
    """
    tokens: list[Token] = []
    if not (_SIGNS.search(text) or "-\n" in text):
        return [Token(found[0].lower(), found.start(), found.end()) for found in _WORDS.finditer(text)]
    ticks_lead = None
    for found in _WORDS_AND_ANSWERS.finditer(text):
        kind = found.lastgroup
        if kind is None:
            tokens.append(Token(found[0].lower(), found.start(), found.end()))
        elif kind == "broken":
            tokens += _joined(found, known)
        else:
            symbol = _GROUPS[int(kind[1:])][0]
            if symbol in (TICKED, UNTICKED):
                if ticks_lead is None:
                    ticks_lead = not tokens
                if not ticks_lead:
                    symbol = YES if symbol == TICKED else NO
            tokens.append(Token(symbol, found.start(), found.end()))
    return tokens


def _joined(found: re.Match[str], known: Container[str]) -> list[Token]:
    """One word where the lexicon has it without its hyphen, else the two parts."""
    first, second = re.split(r"-\s+", found[0].lower())
    if first + second in known:
        return [Token(first + second, found.start(), found.end())]
    middle, last = found.start() + len(first), found.end() - len(second)
    return [Token(first, found.start(), middle), Token(second, last, found.end())]
