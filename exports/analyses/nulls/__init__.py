"""What looking is worth beyond masks of the same shape that lie elsewhere."""
