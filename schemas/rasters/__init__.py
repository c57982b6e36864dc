"""Masks, photos and their codecs."""
