"""Rows of a recipe release from the user's own photos."""
