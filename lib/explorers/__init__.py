"""Widgets: each explorer is a class with a pure `update`, tested without a browser."""
