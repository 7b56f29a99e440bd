"""Fits of Dask arrays and frames on a Dask cluster: the extra ``dask``.

`RFMRegressor` and `RFMClassifier` take them as `X`; nothing here need be called. The fit runs in
the client as always, and every pass over the rows is tasks on the workers that hold them.
"""

from __future__ import annotations

from fastrfm.dask.cluster import ClusterError

__all__ = ["ClusterError"]
