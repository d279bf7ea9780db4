"""What is known of findings and places: names, texts, label spaces, relations, prompts. Text only; no torch."""

from medvlp.knowledge.book import FACETS, BookText, KnowledgeBook
from medvlp.knowledge.errors import KnowledgeError, UnknownNameError
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
    mirror,
    mirror_permutation,
    place_sentence,
)
from medvlp.knowledge.prompts import Prompts, PromptSet
from medvlp.knowledge.validation import validate

__all__ = [
    "ASPECTS",
    "FACETS",
    "NOT_PRESENT_SENTENCE",
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
    "UnknownNameError",
    "get_finding",
    "get_place",
    "id_of",
    "load_findings",
    "load_places",
    "mirror",
    "mirror_permutation",
    "name_of",
    "place_sentence",
    "validate",
]
