"""How far the people in Label Studio are, and what waits for whom."""
