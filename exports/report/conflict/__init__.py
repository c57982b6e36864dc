"""Cue conflict of results: read again from stored answers, as tables and pictures."""
