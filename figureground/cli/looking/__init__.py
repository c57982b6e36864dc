"""Verbs for whoever looks: results side by side, and a dataset in a browser."""
