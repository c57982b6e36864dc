"""Where things lie: views, windows and tiles."""
