"""Rendered rows to people: the dataset repository, its card, the evaluation script."""
