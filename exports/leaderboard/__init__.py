"""Scored models that a dataset carries: which results are of it, their table, and the Hub's files for them."""
