"""What is known of findings and places: names, texts, label spaces, relations, prompts. Text only; no torch.

Imports from the package: `medvlp.errors`, `medvlp.io` and `medvlp.reports`. The knowledge itself is in the YAML files.
Begin reading at `finding.py` and `label_space.py`; `study_labels.py` turns a parsed report into labels.
"""

from medvlp.knowledge.book import FACETS, BookText, KnowledgeBook
from medvlp.knowledge.finding import ASPECTS, Finding, get_finding, id_of, load_findings, name_of
from medvlp.knowledge.graph import ConceptGraph, Relation
from medvlp.knowledge.label_map import LabelMap
from medvlp.knowledge.label_space import LabelSpace
from medvlp.knowledge.places import (
    NOT_PRESENT_SENTENCE,
    PLACES,
    Place,
    get_place,
    load_places,
    mirror_permutation,
    mirror_place,
    place_sentence,
)
from medvlp.knowledge.prompts import Prompts, PromptSet
from medvlp.knowledge.report_tables import label_reports
from medvlp.knowledge.study_labels import NO_FINDING, counts_as, study_labels
from medvlp.knowledge.umls import Umls
from medvlp.knowledge.validation import validate_knowledge
from medvlp.knowledge.yaml_files import KnowledgeError, UnknownNameError

__all__ = [
    "ASPECTS",
    "FACETS",
    "NOT_PRESENT_SENTENCE",
    "NO_FINDING",
    "PLACES",
    "BookText",
    "ConceptGraph",
    "Finding",
    "KnowledgeBook",
    "KnowledgeError",
    "LabelMap",
    "LabelSpace",
    "Place",
    "PromptSet",
    "Prompts",
    "Relation",
    "Umls",
    "UnknownNameError",
    "counts_as",
    "get_finding",
    "get_place",
    "id_of",
    "label_reports",
    "load_findings",
    "load_places",
    "mirror_permutation",
    "mirror_place",
    "name_of",
    "place_sentence",
    "study_labels",
    "validate_knowledge",
]
