"""The recipes that are shipped, as YAML files."""
