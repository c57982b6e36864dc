"""Sheets: pages of machine masks that people accept or reject in any browser, without a server."""
