"""Where photos come from: one reader a kind of source."""
