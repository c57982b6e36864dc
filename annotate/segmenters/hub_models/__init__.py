"""Segmenters whose code and weights come from Hugging Face: through transformers, from a folder or the Hub."""
