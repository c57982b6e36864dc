"""Near-duplicates among the photos of workspaces, releases and datasets: by bytes, by perceptual hash, by embedding."""
