"""What sets are put to work for. Knows no concrete method."""

from potstill.applications.architecture_search import SPACES, SearchResult, search
from potstill.applications.comparison import compare

__all__ = ["SPACES", "SearchResult", "compare", "search"]
