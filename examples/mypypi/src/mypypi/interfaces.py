"""What the parts of the application know of each other."""

from zope.catalog.interfaces import INoAutoIndex, INoAutoReindex
from zope.interface import Attribute


class ISearchable(INoAutoIndex, INoAutoReindex):
    """Something that the search finds.

    Not indexed when it is added or changed, but by jobs: see `search.index`.
    """

    title = Attribute("What it is called (str).")
    text = Attribute("What it says (str), without the title.")
    searchable_text = Attribute("What it is found by (str).")
