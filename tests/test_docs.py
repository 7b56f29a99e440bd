"""The code of docs/ and of docstrings prints what they say, and docstrings are numpydoc's."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.rst")) + sorted((DOCS / "guide").glob("*.rst"))
# Another instruction set or BLAS may choose another of two ridges that are nearly as good.
TOLERANCE = 0.05

NUMBER = re.compile(r"-?\d+\.\d*(?:e[-+]?\d+)?")


class NearlyEqual(doctest.OutputChecker):
    """Lets numbers with a decimal point differ a little, and nothing else."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        if super().check_output(want, got, optionflags):
            return True
        if super().check_output(NUMBER.sub("?", want), NUMBER.sub("?", got), optionflags):
            numbers = [np.array(NUMBER.findall(text), float) for text in (want, got)]
            return np.allclose(*numbers, rtol=TOLERANCE, atol=TOLERANCE)
        return False


def run(test: doctest.DocTest) -> None:
    """Run the examples of a page or a docstring and fail with doctest's report."""
    report: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(NearlyEqual(), verbose=False, optionflags=flags)
    runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_on_pages(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # for what it writes
    run(doctest.DocTestParser().get_doctest(page.read_text(), {}, page.stem, str(page), 0))


def is_own(function: Any) -> bool:
    """Return whether fastrfm defines it: not what C does, nor scikit-learn."""
    return (getattr(inspect.unwrap(function), "__module__", None) or "").startswith("fastrfm")


def public_objects() -> Iterator[tuple[str, Any]]:
    """Yield what the API reference shows: what `__all__` of its modules names, and the methods."""
    for module_name in re.findall(r"^   (fastrfm\S*)$", (DOCS / "api.rst").read_text(), re.M):
        if module_name == "fastrfm.neural" and importlib.util.find_spec("torch") is None:
            continue  # the extra torch
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isroutine(value) or inspect.isclass(value):
                yield f"{module_name}.{name}", value
            if inspect.isclass(value):
                for method, function in inspect.getmembers(value, inspect.isroutine):
                    if not method.startswith("_") and is_own(function):
                        yield f"{module_name}.{name}.{method}", function


OBJECTS = dict(public_objects())


@pytest.mark.parametrize("name", OBJECTS)
def test_examples_in_docstrings(name: str) -> None:
    text = inspect.getdoc(OBJECTS[name]) or ""
    run(doctest.DocTestParser().get_doctest(text, {}, name, None, 0))


# What numpydoc finds, but for: sections that not every object needs (extended summary, See Also,
# Examples); descriptions that a name, a type and a shape make needless, or that begin with a symbol
# or a dtype; the four arguments that "as for kernel_matrix" describes; names of what is returned.
LEFT_OUT = {"ES01", "SA01", "EX01", "PR07", "PR08", "RT03", "RT04", "PR04", "RT02"}


@pytest.mark.parametrize("name", OBJECTS)
def test_numpydoc_is_content(name: str) -> None:
    numpydoc = pytest.importorskip("numpydoc.validate", reason="needs the extra docs")
    errors = dict(numpydoc.validate(name)["errors"])
    assert not {code: text for code, text in errors.items() if code not in LEFT_OUT}
