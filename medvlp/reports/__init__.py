"""Report text -> sections, sentences, mentions, states; label files of others read as the same `Report`.

Imports from the package: `medvlp.errors` and `medvlp.io` alone; no torch. Words are in `lexicon_*.yaml`.
Begin reading at `parse.py` (one sentence, step by step), then `assertion.py`.
"""

from medvlp.reports.chexbert import read_chexbert
from medvlp.reports.files import ReportFileError, find_report_files, read_report_file, xml_report_text
from medvlp.reports.lexicon import Lexicon, LexiconError, load_lexicon
from medvlp.reports.padchest import padchest_report
from medvlp.reports.parse import parse_report, parse_sentence
from medvlp.reports.radgraph import radgraph_report, read_radgraph
from medvlp.reports.remark import report_remark, states_normal
from medvlp.reports.report import Assertion, Mention, Report, Section, Sentence, Side, Temporality
from medvlp.reports.sections import find_sections
from medvlp.reports.sentences import find_sentences
from medvlp.reports.states import FindingState, HedgePolicy, resolve_hedge
from medvlp.reports.triples import PLACES, Triple, place_states, report_triples

__all__ = [
    "PLACES",
    "Assertion",
    "FindingState",
    "HedgePolicy",
    "Lexicon",
    "LexiconError",
    "Mention",
    "Report",
    "ReportFileError",
    "Section",
    "Sentence",
    "Side",
    "Temporality",
    "Triple",
    "find_report_files",
    "find_sections",
    "find_sentences",
    "load_lexicon",
    "padchest_report",
    "parse_report",
    "parse_sentence",
    "place_states",
    "radgraph_report",
    "read_chexbert",
    "read_radgraph",
    "read_report_file",
    "report_remark",
    "report_triples",
    "resolve_hedge",
    "states_normal",
    "xml_report_text",
]
