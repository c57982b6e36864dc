"""Sources of photos: one reader for each kind."""
