"""Models side by side: paired differences, ranks, and the images that it takes to see a difference."""
