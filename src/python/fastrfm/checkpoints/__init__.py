"""The state of a fit in a file, from which `fit` goes on: `checkpoint` and `resume_from`."""

from fastrfm.checkpoints.identity import CheckpointError, Identity, identity_of

__all__ = ["CheckpointError", "Identity", "identity_of"]
