"""What `import fastrfm.neural` says where PyTorch is missing."""

import importlib
import sys

import pytest


def test_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("fastrfm.neural")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    message = (
        r"^fastrfm\.neural needs PyTorch, which is not installed: pip install 'fastrfm\[torch\]'$"
    )
    with pytest.raises(ImportError, match=message):
        importlib.import_module("fastrfm.neural")
