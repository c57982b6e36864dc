"""Analyses of what a classifier looks at, beside its scores: saliency, spurious features, probes, neural features."""
