"""What sets are put to work for. Knows no concrete method."""

from potstill.applications.architecture_search import SPACES, Found, search

__all__ = ["SPACES", "Found", "search"]
