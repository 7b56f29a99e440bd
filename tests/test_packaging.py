"""Places that must name the same things: pyproject.toml, the Makefile and the workflows."""

from __future__ import annotations

import fnmatch
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parent.parent
PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
TAGS = ["cp" + version.replace(".", "") for version in PYTHONS]

CONFIG: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, BUILD = CONFIG["project"], CONFIG["build-system"]


def test_classifiers_and_lower_bound_name_the_pythons() -> None:
    prefix = "Programming Language :: Python :: 3."
    named = [line.removeprefix(prefix) for line in PROJECT["classifiers"] if prefix in line]
    assert [f"3.{minor}" for minor in named] == PYTHONS
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert CONFIG["tool"]["ruff"]["target-version"] == "py" + TAGS[0].removeprefix("cp")


def test_wheels_are_built_for_the_pythons_and_glibc_alone() -> None:
    settings = CONFIG["tool"]["cibuildwheel"]
    kinds = [*TAGS, "cp39", "cp313t", "cp314t", "cp315", "pp311"]
    built = [
        identifier
        for identifier in (f"{k}-{s}_x86_64" for k in kinds for s in ("manylinux", "musllinux"))
        if any(fnmatch.fnmatch(identifier, pattern) for pattern in settings["build"])
        and not any(fnmatch.fnmatch(identifier, pattern) for pattern in settings["skip"])
    ]
    assert built == [f"{tag}-manylinux_x86_64" for tag in TAGS]


def test_the_workflow_builds_each_of_the_wheels() -> None:
    path = ROOT / ".github" / "workflows" / "wheels.yml"
    if not path.exists():
        pytest.skip("an sdist has no workflows")
    assert f"python: [{', '.join(TAGS)}]" in path.read_text()


def test_the_makefile_installs_what_the_build_requires() -> None:
    line = re.search(r"^BUILD_REQUIRES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert line is not None
    cmake = "cmake" + CONFIG["tool"]["scikit-build"]["cmake"]["version"]
    assert shlex.split(line[1]) == [*BUILD["requires"], cmake, "ninja", "setuptools-scm>=8"]


def test_the_developers_have_what_the_version_is_made_with() -> None:
    provider = runpy.run_path(str(ROOT / "build_support" / "git_version.py"))
    assert provider["SETUPTOOLS_SCM"] in PROJECT["optional-dependencies"]["dev"]
    assert provider["SETUPTOOLS_SCM"] == "setuptools-scm>=8"


def test_every_requirement_has_a_lower_bound_that_can_be_tested() -> None:
    path = ROOT / ".ci" / "oldest_versions"
    if not path.exists():
        pytest.skip("an sdist has no checks")
    pytest.importorskip("packaging")
    script = runpy.run_path(str(path))
    oldest = script["oldest"](PROJECT, ["test"])
    assert str(oldest["numpy"]) == "1.26"
    assert {"scikit-learn", "pandas", "hypothesis"} <= set(oldest)
    extras = {"x": ["p[y]", "a>=1.5"], "y": ["c>=4; python_version < '3'"]}
    project = {"name": "p", "dependencies": ["a>=1", "b>=2,<3"], "optional-dependencies": extras}
    bounds = {name: str(version) for name, version in script["oldest"](project, ["x"]).items()}
    assert bounds == {"a": "1.5", "b": "2"}
    with pytest.raises(SystemExit, match=r"^d<3: give one lower bound, with >=, in pyproject"):
        script["oldest"]({**project, "dependencies": ["d<3"]}, [])
