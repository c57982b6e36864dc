"""The whole path on photos that packages ship."""
