"""Lint: what may be wrong with masks, found by rules; waived with a reason, or mended by steps that leave a record."""
