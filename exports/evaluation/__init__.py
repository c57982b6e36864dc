"""Scores of classifiers on a dataset."""
