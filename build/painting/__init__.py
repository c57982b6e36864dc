"""Pixels: layers painted on a canvas."""
