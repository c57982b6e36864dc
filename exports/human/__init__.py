"""Scores of people on the questions of a human baseline."""
