"""One HTML page of many results."""
