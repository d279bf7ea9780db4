"""Training: ONE engine for pretraining and fine-tuning; a recipe and a prepared store become a model folder.

May import every room before it (up to methods); tasks, evaluation and experiments build on it.
Begin with `task` (what is trained), then `engine.train` and the one step in `loop.Trainer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medvlp.lazy import lazy_names

_LAZY = {
    "FinetuneRecipe": "finetune_recipe",
    "FinetunedModel": "finetuning",
    "ModelFolder": "model_folder",
    "ModelFolderError": "model_folder",
    "PretrainingTask": "pretraining",
    "Recipe": "recipe",
    "RecipeError": "recipe_errors",
    "RunPlan": "plan",
    "TrainedModel": "model_folder",
    "TrainingTask": "task",
    "finetune": "finetuning",
    "load_finetuned": "finetuning",
    "load_model": "model_folder",
    "pretrain": "pretraining",
    "train": "engine",
}

if TYPE_CHECKING:
    from medvlp.training.engine import train
    from medvlp.training.finetune_recipe import FinetuneRecipe
    from medvlp.training.finetuning import FinetunedModel, finetune, load_finetuned
    from medvlp.training.model_folder import ModelFolder, ModelFolderError, TrainedModel, load_model
    from medvlp.training.plan import RunPlan
    from medvlp.training.pretraining import PretrainingTask, pretrain
    from medvlp.training.recipe import Recipe
    from medvlp.training.recipe_errors import RecipeError
    from medvlp.training.task import TrainingTask

__all__ = [
    "FinetuneRecipe",
    "FinetunedModel",
    "ModelFolder",
    "ModelFolderError",
    "PretrainingTask",
    "Recipe",
    "RecipeError",
    "RunPlan",
    "TrainedModel",
    "TrainingTask",
    "finetune",
    "load_finetuned",
    "load_model",
    "pretrain",
    "train",
]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
