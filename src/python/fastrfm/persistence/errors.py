"""What is wrong with a model file."""

from __future__ import annotations

__all__ = ["ModelFileError"]


class ModelFileError(ValueError):
    """A file is not a model that `load` can read: foreign, truncated, altered or inconsistent.

    Nothing in it has been run. The message says what is wrong and what to do.
    """
