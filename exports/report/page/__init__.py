"""The report as one page that any browser shows."""
