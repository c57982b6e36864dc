"""Figure and ground."""
