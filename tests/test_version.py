"""The version: from an sdist's file, from git's tags, or neither."""

from __future__ import annotations

import importlib.metadata
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fastrfm

BUILD_SUPPORT = Path(__file__).parent.parent / "build_support"
PROVIDER = runpy.run_path(str(BUILD_SUPPORT / "git_version.py"))


@pytest.fixture(autouse=True)
def _no_version_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROVIDER["PRETENDED"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a git repository of one commit, without a tag."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "somebody@example.org")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
        ).stdout
    except FileNotFoundError:
        pytest.skip("there is no git")


def commit(folder: Path) -> str:
    """Commit nothing, and return the commit."""
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "change")
    return git(folder, "rev-parse", "--short=7", "HEAD").strip()


def find_version(root: Path) -> str:
    version: str = PROVIDER["find_version"](root)
    return version


@pytest.mark.core
def test_the_core_and_the_installation_say_the_same() -> None:
    assert fastrfm.__version__ == importlib.metadata.version("fastrfm")


def test_a_tag_is_the_version(repository: Path) -> None:
    pytest.importorskip("setuptools_scm")
    git(repository, "tag", "v1.2.3")
    assert find_version(repository) == "1.2.3"


def test_commits_after_a_tag_lead_to_the_next_version(repository: Path) -> None:
    pytest.importorskip("setuptools_scm")
    git(repository, "tag", "v1.2.3")
    commit(repository)
    last = commit(repository)
    assert find_version(repository).startswith(f"1.2.4.dev2+g{last}")


def test_without_a_tag_the_commits_are_counted(repository: Path) -> None:
    pytest.importorskip("setuptools_scm")
    last = commit(repository)
    assert find_version(repository).startswith(f"0.1.dev2+g{last}")


def test_a_version_in_the_environment_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("setuptools_scm")
    monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION_FOR_FASTRFM", "4.5.6")
    assert find_version(tmp_path) == "4.5.6"


def test_an_sdist_carries_its_version_into_any_repository(repository: Path) -> None:
    git(repository, "tag", "v1.2.3")
    (repository / "PKG-INFO").write_text("Metadata-Version: 2.4\nVersion: 7.8.9\n\nVersion: 0\n")
    assert find_version(repository) == "7.8.9"


def test_an_sdist_without_a_version_is_broken(tmp_path: Path) -> None:
    (tmp_path / "PKG-INFO").write_text("Metadata-Version: 2.4\n")
    with pytest.raises(ValueError, match=r"PKG-INFO names no version: unpack the sdist again$"):
        find_version(tmp_path)


def test_without_setuptools_scm_the_version_is_unknown(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repository, "tag", "v1.2.3")
    monkeypatch.setitem(sys.modules, "setuptools_scm", None)  # importing it fails
    assert find_version(repository) == PROVIDER["UNKNOWN"] == "0.1.0.dev0+unknown"


def test_without_git_the_version_is_unknown(tmp_path: Path) -> None:
    assert find_version(tmp_path) == PROVIDER["UNKNOWN"]


def test_with_a_broken_repository_the_version_is_unknown(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: nowhere\n")
    assert find_version(tmp_path) == PROVIDER["UNKNOWN"]


def test_only_a_checkout_asks_for_setuptools_scm(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = load(repository)
    assert provider["get_requires_for_dynamic_metadata"]() == ["setuptools-scm>=8"]
    (repository / "PKG-INFO").write_text("Version: 1\n")
    assert provider["get_requires_for_dynamic_metadata"]({}) == []
    assert provider["dynamic_metadata"]("version") == "1"


def test_a_copy_without_history_asks_for_nothing(tmp_path: Path) -> None:
    provider = load(tmp_path)
    assert provider["get_requires_for_dynamic_metadata"]() == []
    assert provider["dynamic_metadata"]("version", {}) == PROVIDER["UNKNOWN"]


@pytest.mark.parametrize("arguments", [("readme",), ("version", {"input": "here"})])
def test_it_gives_the_version_alone(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"gives the version, without settings; got"):
        PROVIDER["dynamic_metadata"](*arguments)


def load(root: Path) -> dict[str, Any]:
    """Run the provider from another source tree, as scikit-build-core does."""
    copy = root / "build_support" / "git_version.py"
    copy.parent.mkdir()
    copy.write_text((BUILD_SUPPORT / "git_version.py").read_text())
    return runpy.run_path(str(copy))
