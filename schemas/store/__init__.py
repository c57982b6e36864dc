"""The workspace database and the frozen releases."""
