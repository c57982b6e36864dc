"""Other datasets' own layouts, so that their loaders read what we build."""
