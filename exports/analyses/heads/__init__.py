"""Heads trained on one variant of a dataset and tested on all."""
