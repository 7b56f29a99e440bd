"""The version, as compiled into the core."""

from fastrfm._cpu import __version__

__all__ = ["__version__"]
