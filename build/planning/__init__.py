"""Who is drawn with whom: the plan, made before any pixel."""
