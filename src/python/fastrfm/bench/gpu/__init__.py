"""What `bench/gpu.py` measures on a GPU, and how.

One run is a list of entries (an operation at a size, a fit, a tool's verdict), each written as soon
as it is there: see `run`. Nothing is imported here.
"""
