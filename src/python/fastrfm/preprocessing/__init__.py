"""From a table as people have it to rows of numbers between which a distance makes sense."""

from fastrfm.preprocessing.encoder import TableEncoder
from fastrfm.preprocessing.scaling import Columns

__all__ = ["Columns", "TableEncoder"]
