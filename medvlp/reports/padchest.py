"""`padchest_report`: a row of PadChest's table as a report, by the mentions that its readers and its network made.

PadChest (Bustos et al., Medical Image Analysis 2020) holds Spanish reports in lower case, stemmed, their sentences set
apart by full stops, beside English labels and places by sentence. The labels are read here, not the Spanish.
"""

from __future__ import annotations

import ast
import re

from medvlp.reports.parse import parse_sentence
from medvlp.reports.report import Mention, Report, Section, Sentence

_SENTENCE = re.compile(r"[^\s.][^.]*")


def padchest_report(text: str, labels_by_sentence: str | list[list[str]]) -> Report:
    """A report whose mentions are the labels of its sentences.

    Args:
        text: the column `Report`.
        labels_by_sentence: the column `LabelsLocalizationsBySentence`: for each sentence its labels, and after each
            label its places with the prefix "loc ", as in `[['pleural effusion', 'loc left'], ['normal']]`.

    Returns:
        A report of one section. A mention spans its whole sentence, because the table does not say which words it rests
        on. Labels that are no finding ("normal", "unchanged", "exclude") give no mention.

    Raises:
        ValueError: the labels are not of this form.
    """
    labels = _parsed(labels_by_sentence)
    spans = [(m.start(), m.start() + len(m[0].rstrip())) for m in _SENTENCE.finditer(text)]
    if len(spans) < len(labels):  # more labelled sentences than full stops: all of them speak of the whole text
        spans = [(0, len(text))] * len(labels)
    sentences = tuple(Sentence(start, end, "findings") for start, end in spans)
    mentions = [
        Mention(m.finding, "present", *spans[k], k, m.place, m.side, m.severity)
        for k, sentence in enumerate(labels)
        for phrase in _phrases(sentence)
        for m in parse_sentence(phrase)
    ]
    return Report(text, (Section("findings", 0, len(text)),), sentences, tuple(mentions))


def _parsed(labels: str | list[list[str]]) -> list[list[str]]:
    if isinstance(labels, str):
        try:
            labels = ast.literal_eval(labels) if labels.strip() else []
        except (ValueError, SyntaxError) as error:
            raise ValueError(f"labels by sentence cannot be read: {labels[:80]!r}") from error
    if not isinstance(labels, list) or not all(isinstance(sentence, list) for sentence in labels):
        raise ValueError("labels by sentence must be a list of lists of words")
    return labels


def _phrases(sentence: list[str]) -> list[str]:
    """Each label with its places as one English phrase: "pleural effusion in the left"."""
    phrases: list[str] = []
    for word in map(str.strip, map(str, sentence)):
        if word.startswith("loc ") and phrases:
            phrases[-1] += ("" if " in the " in phrases[-1] else " in the") + " " + word.removeprefix("loc ")
        elif word and not word.startswith("loc "):
            phrases.append(word)
    return phrases
