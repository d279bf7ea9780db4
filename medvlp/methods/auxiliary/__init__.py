"""Losses and augmentations that any method may be trained with besides; `auxiliary:` of a recipe names them.

Imports what methods import, and `medvlp.methods.base`. Begin with `base.py`, then read `filip.py`.
"""
