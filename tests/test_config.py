"""show_config's lines on CUDA and CuPy, and that nothing of either loads before someone asks."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import fastrfm
from fastrfm import backend


def fake_build(driver: int = 13000, devices: int = 1) -> Any:
    """Return a module with what `_cuda` says of itself."""
    module: Any = ModuleType("fastrfm._cuda")
    module.architectures = "80-real;90a-real;90-virtual"
    module.runtime_version = lambda: 13020
    module.driver_version = lambda: driver
    module.device_count = lambda: devices
    return module


class Broken:
    """A finder of modules whose `_cuda` does not load."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == "fastrfm._cuda":
            raise ImportError("libfoo.so.1: cannot open shared object file")


@pytest.fixture
def broken_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a `_cuda` there that does not load."""
    monkeypatch.delitem(sys.modules, "fastrfm._cuda", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])


def versions_of(found: dict[str, str]) -> Callable[[str], str]:
    """Return a stand-in for importlib.metadata.version."""

    def version(name: str) -> str:
        if name not in found:
            raise importlib.metadata.PackageNotFoundError(name)
        return found[name]

    return version


def test_import_loads_neither_cuda_nor_cupy() -> None:
    program = """
import sys
import fastrfm
fastrfm.kernel_matrix([[1.0], [2.0]])
print([name for name in sys.modules if name.split(".")[0] == "cupy" or "_cuda" in name])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_build_without_cuda_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastrfm._cuda", None)
    assert fastrfm.show_config()["cuda"] == "not built"


@pytest.mark.parametrize(
    ("driver", "devices", "expected"),
    [
        (13000, 1, "13.2 for 80-real;90a-real;90-virtual, driver 13.0, 1 device"),
        (12040, 8, "13.2 for 80-real;90a-real;90-virtual, driver 12.4, 8 devices"),
        (0, 0, "13.2 for 80-real;90a-real;90-virtual, no driver, 0 devices"),
    ],
)
def test_a_build_with_cuda_says_for_what(
    monkeypatch: pytest.MonkeyPatch, driver: int, devices: int, expected: str
) -> None:
    monkeypatch.setitem(sys.modules, "fastrfm._cuda", fake_build(driver, devices))
    assert fastrfm.show_config()["cuda"] == expected


@pytest.mark.usefixtures("broken_build")
def test_a_broken_build_is_told() -> None:
    expected = "built, but it does not load: libfoo.so.1: cannot open shared object file"
    assert fastrfm.show_config()["cuda"] == expected
    with pytest.raises(ImportError, match=r"libfoo\.so\.1"):
        backend.cuda_room()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, "not installed"),
        ({"cupy-cuda13x": "14.1.0"}, "14.1.0 (cupy-cuda13x)"),
        ({"cupy": "14.0.1"}, "14.0.1 (cupy)"),
        (
            {"cupy-cuda12x": "13.6.0", "cupy-cuda13x": "14.1.0"},
            "14.1.0 (cupy-cuda13x), 13.6.0 (cupy-cuda12x)",
        ),
    ],
)
def test_cupy_and_its_cuda_are_told(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", versions_of(found))
    assert fastrfm.show_config()["cupy"] == expected


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (None, r"this build of fastrfm has no CUDA: its module fastrfm\._cuda is missing"),
        (
            fake_build(devices=0),
            "there is no CUDA device that this process can use: see that nvidia-smi lists one",
        ),
        (fake_build(0, 0), "no NVIDIA driver is loaded: install one for CUDA 13 or newer"),
        (
            fake_build(12080, 0),
            r"the NVIDIA driver is for CUDA 12\.8, and this build of fastrfm for 13\.2: install a "
            "driver for CUDA 13 or newer",
        ),
        (fake_build(), r'CuPy is not installed; pip install "fastrfm\[cuda13\]" has it'),
    ],
    ids=["no build", "no device", "no driver", "old driver", "no CuPy"],
)
def test_what_the_cuda_room_lacks_is_told(
    monkeypatch: pytest.MonkeyPatch, build: Any, message: str
) -> None:
    monkeypatch.setitem(sys.modules, "fastrfm._cuda", build)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(RuntimeError, match=message):
        backend.cuda_room()
