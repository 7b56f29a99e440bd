"""What modules of CuPy's, or the stand-in's, have; run, it prints what the real ones have, as JSON.

Each name has the parameters that its signature tells, or, of what Cython compiled, its docstring.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from typing import Any

import numpy as np

Parameters = dict[str, Any]
OF_ANY_CLASS = {*dir(type("Empty", (), {})), "__annotations__"}


def described(modules: dict[str, Any]) -> dict[str, Any]:
    """Return what the modules and their classes hold: parameters, or a value's text, or None."""
    found: dict[str, Any] = {}
    for module_name, module in modules.items():
        for name, value in vars(module).items():
            if not name.startswith("_") and not inspect.ismodule(value):
                found[f"{module_name}.{name}"] = _described(value)
                if inspect.isclass(value) and not issubclass(value, np.generic | Exception):
                    found |= {
                        f"{module_name}.{name}.{member}": known
                        for member, known in _members(value).items()
                    }
    return found


def _members(class_: type) -> dict[str, Any]:
    """Return the public members; of special methods, which are called by operators, the names."""
    special = {name for name in dir(class_) if name.startswith("__")} - OF_ANY_CLASS
    public = {name for name in dir(class_) if not name.startswith("_")}
    return dict.fromkeys(special) | {name: _described(getattr(class_, name)) for name in public}


def _described(value: Any) -> Parameters | str | None:
    if not callable(value):
        return repr(value) if isinstance(value, int | float | str) else None
    try:
        return _of_signature(inspect.signature(value))
    except (TypeError, ValueError):
        first_line = (value.__doc__ or "").partition("\n")[0]
        return _of_text(first_line) if re.match(r"[\w.]+\(", first_line) else None


def _parameters(positional: dict[str, str], keyword: dict[str, str], any_: bool) -> Parameters:
    return {"positional": positional, "keyword": keyword, "any": any_}


def _of_signature(signature: inspect.Signature) -> Parameters:
    positional, keyword, any_ = {}, {}, False
    for name, parameter in signature.parameters.items():
        default = "" if parameter.default is parameter.empty else repr(parameter.default)
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            any_ = True
        elif parameter.kind is parameter.KEYWORD_ONLY:
            keyword[name] = default
        elif name not in ("self", "cls"):
            positional[name] = default
    return _parameters(positional, keyword, any_)


def _of_text(line: str) -> Parameters:
    """Return the parameters of a line such as "get(self, stream=None, int order='C') -> x"."""
    inside = re.split(r"\)(?: ->.*)?$", line.partition("(")[2])[0]
    positional: dict[str, str] = {}
    keyword: dict[str, str] = {}
    current, any_ = positional, False
    for part in filter(None, map(str.strip, inside.split(","))):
        if part in (r"\*", "*"):
            current = keyword
        elif part.startswith("*"):
            any_ = True
        elif part != "/":
            declaration, _, default = part.partition("=")
            name = declaration.split()[-1]
            if name not in ("self", "cls"):
                current[name] = default
    return _parameters(positional, keyword, any_)


if __name__ == "__main__":
    print(json.dumps(described({name: importlib.import_module(name) for name in sys.argv[1:]})))
