"""Report text -> sections, sentences, mentions, states. No torch."""

from medvlp.reports.lexicon import load_lexicon
from medvlp.reports.parse import parse_report
from medvlp.reports.place import PLACES
from medvlp.reports.report import Mention, Report, Section, Sentence
from medvlp.reports.states import FindingState

__all__ = ["PLACES", "FindingState", "Mention", "Report", "Section", "Sentence", "load_lexicon", "parse_report"]
