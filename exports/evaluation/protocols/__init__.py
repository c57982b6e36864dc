"""The protocols: one module each, listed in the registry."""
