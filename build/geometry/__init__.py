"""Positions on photos and canvases: views, windows, tiles, and the objects measured by them."""
