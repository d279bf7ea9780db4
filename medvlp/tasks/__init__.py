"""Using a trained model: label, segment, retrieve, ground. `medvlp.load(folder)` gives a `Model` with all verbs."""

from medvlp.tasks.build_index import index_store, index_table
from medvlp.tasks.inference import TaskError
from medvlp.tasks.model import Model, load
from medvlp.tasks.report_index import ReportIndex

__all__ = ["Model", "ReportIndex", "TaskError", "index_store", "index_table", "load"]
