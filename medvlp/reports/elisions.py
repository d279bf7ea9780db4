"""`with_elisions`: findings of which a list names one half: "pleural or pericardial effusion", "pleural fluid, air"."""

from __future__ import annotations

from collections.abc import Sequence

from medvlp.reports.lexicon import Lexicon, Match

_JOINS = frozenset(("and", "or", ",", "/", "nor"))


def with_elisions(matches: list[Match], words: Sequence[str], lexicon: Lexicon) -> list[Match]:
    """The matches with one more for each finding whose first or last word is shared with its neighbor in a list.

    Examples:
        >>> from medvlp.reports import load_lexicon
        >>> words = "no pleural or pericardial effusion".split()
        >>> lexicon = load_lexicon()
        >>> [m.term.finding for m in with_elisions(lexicon.match(words), words, lexicon)]
        [None, 'pleural_effusion', None, 'pericardial_effusion']
    """
    found: dict[int, Match] = {}
    for match in matches:
        if match.term.finding and match.last > match.first:
            for elided in (*_before(match, words, lexicon), *_after(match, words, lexicon)):
                found[elided.first] = elided
    if not found:
        return matches
    named = {k for m in matches if m.term.finding and m.term.finding[0] != "_" for k in range(m.first, m.last + 1)}
    kept = [m for k, m in found.items() if named.isdisjoint(range(m.first, m.last + 1))]
    taken = {k for m in kept for k in range(m.first, m.last + 1)}
    rest = [m for m in matches if taken.isdisjoint(range(m.first, m.last + 1))]
    return sorted([*rest, *kept], key=lambda m: m.first)


def _before(match: Match, words: Sequence[str], lexicon: Lexicon) -> list[Match]:
    """Words before a finding that share its end: "pleural, hilar or mediastinal mass"."""
    found = []
    at, end = match.first, words[match.first + 1 : match.last + 1]
    while at >= 2:
        joins = [
            k for k in (at - 1, at - 2) if k > 0 and words[k] in _JOINS
        ]  # "pleural and small pericardial effusion"
        if not joins:
            break
        at = joins[-1] - 1
        two = lexicon.finding_phrase([words[at - 1], words[at], *end]) if at else None
        term = two or lexicon.finding_phrase([words[at], *end])
        if term is None:
            break
        if term.finding != match.term.finding:
            found.append(Match(at - 1 if two else at, at, term))
    return found


def _after(match: Match, words: Sequence[str], lexicon: Lexicon) -> list[Match]:
    """Words after a finding that share its beginning: "pleural effusion, thickening or plaques"."""
    found = []
    at, beginning = match.last, words[match.first : match.last]
    while at + 1 < len(words):
        step = 1
        while at + step < len(words) and step < 3 and words[at + step] in _JOINS:
            step += 1
        at += step
        term = None
        for start in range(len(beginning)):
            term = lexicon.finding_phrase([*beginning[start:], words[at]]) if at < len(words) else None
            if term:
                break
        if term is None:
            break
        if term.finding != match.term.finding:
            found.append(Match(at, at, term))
    return found
