"""Pages that people are shown in Label Studio."""
