"""What this installation is: `show_config`."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from threadpoolctl import threadpool_info

from fastrfm import _version, backend

__all__ = ["Config", "show_config"]


class Config(dict[str, Any]):
    """A configuration, as a dict that shows itself one entry a line."""

    def __repr__(self) -> str:
        """Return the entries as aligned lines."""
        width = max(len(key) for key in self)
        return "\n".join(f"{key:<{width}}  {_text(value)}" for key, value in self.items())


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def show_config() -> Config:
    """Version, instruction-set levels, threads, BLAS and devices of this installation.

    Returns
    -------
    config : Config
        A dict that prints as a table: version, isa_level (in use; FASTRFM_ISA forces one),
        isa_levels_supported, isa_levels_compiled, openmp, threads, blas, cuda (this build's
        runtime and GPU architectures; the driver and its devices), cupy.

    Notes
    -----
    fastrfm's own passes run on OpenMP threads, factorisations on BLAS's; a fit does both by
    turns, never at once. `threads` and `blas` say how many. They follow the cores that the
    process may use, OMP_NUM_THREADS and the BLAS's own variables (all read at import), joblib's
    ``inner_max_num_threads``, and, at any time, ``threadpoolctl.threadpool_limits``. That sets
    OpenMP's number for the Python thread that calls it, and each Python thread that runs fits has
    OpenMP threads of its own. For a moment now and then a fit holds the BLAS of the whole process
    to one thread, so that what it learns does not depend on their number.

    After a fork both processes make themselves new threads and go on. Where the OpenMP runtime is
    not libgomp, or older than that of GCC 9, the child goes on with one: `threads` is 1 there.

    Examples
    --------
    >>> import fastrfm
    >>> config = fastrfm.show_config()
    >>> config["isa_level"] in config["isa_levels_compiled"]
    True
    """
    blas = [
        f"{pool.get('internal_api')} {pool.get('version')} ({pool['num_threads']} threads)"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    return Config(
        version=_version.__version__,
        isa_level=backend.isa_level(),
        isa_levels_supported=backend.supported_isa_levels(),
        isa_levels_compiled=backend.compiled_isa_levels(),
        openmp=backend.has_openmp(),
        threads=backend.max_threads(),
        blas=blas,
        cuda=_cuda(),
        cupy=_cupy(),
    )


def _cuda() -> str:
    try:
        build = backend.cuda_build()
    except ImportError as error:
        return f"built, but it does not load: {error}"
    if build is None:
        return "not built"
    driver, devices = build.driver_version(), build.device_count()
    return (
        f"{_version_text(build.runtime_version())} for {build.architectures}, "
        + (f"driver {_version_text(driver)}, " if driver else "no driver, ")
        + ("1 device" if devices == 1 else f"{devices} devices")
    )


def _version_text(version: int) -> str:
    """CUDA counts 1000 major + 10 minor."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _cupy() -> str:
    # The import itself takes a second, and the name of the distribution says for which CUDA it is.
    # More than one of them in an environment spoil each other: all are told.
    found = []
    for name in ("cupy-cuda13x", "cupy-cuda12x", "cupy"):
        try:
            found.append(f"{importlib.metadata.version(name)} ({name})")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found) or "not installed"
