"""Raises when it is imported."""

raise ValueError("this module is broken")
