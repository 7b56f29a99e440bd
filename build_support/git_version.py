"""The version of the package, for scikit-build-core: from an sdist's own file, or from git's tags.

pyproject.toml names this module as provider of the version. It stands between scikit-build-core
and setuptools_scm because a build must also work where setuptools_scm, git or the tags are missing:
on a machine without a network, in a copy of the folder without ``.git``. In this order, the first
that knows:

1. ``PKG-INFO`` beside pyproject.toml: this folder is an unpacked sdist, whatever repository it lies
   in.
2. setuptools_scm: the last tag, and the commits since; without any tag it counts all commits:
   0.1.dev88+g4df9a9817. Or what SETUPTOOLS_SCM_PRETEND_VERSION_FOR_FASTRFM says.
3. `UNKNOWN`, which sorts before every release.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

__all__ = ["UNKNOWN", "dynamic_metadata", "find_version", "get_requires_for_dynamic_metadata"]

ROOT = Path(__file__).resolve().parent.parent

# "+unknown" is a local version (PEP 440), which PyPI refuses: it cannot be published by mistake.
UNKNOWN = "0.1.0.dev0+unknown"

SETUPTOOLS_SCM = "setuptools-scm>=8"
PRETENDED = ("SETUPTOOLS_SCM_PRETEND_VERSION_FOR_FASTRFM", "SETUPTOOLS_SCM_PRETEND_VERSION")


def find_version(root: Path = ROOT) -> str:
    """Return the version of the source tree `root`.

    Raises
    ------
    ValueError
        If `root` is an unpacked sdist whose PKG-INFO names no version, or git's last tag is none.
    """
    if (root / "PKG-INFO").exists():
        return _of_sdist(root / "PKG-INFO")
    return (_of_git(root) if _has_history(root) else None) or UNKNOWN


def _of_sdist(path: Path) -> str:
    version = HeaderParser().parsestr(path.read_text(encoding="utf-8"))["Version"]
    if not version:
        raise ValueError(f"{path} names no version: unpack the sdist again")
    return str(version)


def _has_history(root: Path) -> bool:
    # A worktree's .git is a file.
    return (root / ".git").exists() or any(os.environ.get(name) for name in PRETENDED)


def _of_git(root: Path) -> str | None:
    try:
        import setuptools_scm
    except ImportError:
        return None
    try:
        return str(setuptools_scm.get_version(root=str(root), dist_name="fastrfm"))
    except LookupError:  # no git, or not a repository that it can read
        return None


# ---- what scikit-build-core calls, in the root of the source tree


def dynamic_metadata(field: str, settings: Mapping[str, Any] | None = None) -> str:
    """Return the version; `field` must be "version", and there are no settings."""
    if field != "version" or settings:
        raise ValueError(
            f"build_support/git_version.py gives the version, without settings; got {field!r} and "
            f"{settings!r} from pyproject.toml"
        )
    return find_version()


def get_requires_for_dynamic_metadata(_settings: Mapping[str, Any] | None = None) -> list[str]:
    """Return what pip's own build environment needs for it: nothing where there is no history."""
    if (ROOT / "PKG-INFO").exists() or not _has_history(ROOT):
        return []
    return [SETUPTOOLS_SCM]
