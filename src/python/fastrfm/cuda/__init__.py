"""The room of `_cuda`: the ops on a CUDA device, and the memory that they find there."""

from fastrfm.cuda.memory import CupyMemory, Memory
from fastrfm.cuda.room import Cuda

__all__ = ["Cuda", "CupyMemory", "Memory"]
