"""Masks and answers made elsewhere, read into the workspace."""
