"""Scores of classifiers on a dataset; joined into the one file ``exports/evaluate.py`` that is published with it."""
