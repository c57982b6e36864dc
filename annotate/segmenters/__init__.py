"""Models that propose masks, their weights, and how they are loaded."""
