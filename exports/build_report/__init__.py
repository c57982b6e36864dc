"""A build as one page: its photos, masks and variants, what was left out and why, and where every row comes from."""
