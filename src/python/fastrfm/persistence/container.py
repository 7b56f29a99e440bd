"""The file: a safetensors file that carries its own length and checksum.

A safetensors file is the length of a header (8 bytes), the header (JSON) and the arrays, all
little-endian. The header may hold strings of its writer's own, ``__metadata__``; here that is one,

    {"__metadata__":{"fastrfm":"<sha256> <length> <document>"}, ...

at the very beginning, so that length and checksum lie at fixed places and are checked before
anything is interpreted. The checksum is of the whole file with zeros in its own place: no byte of
the file is outside it. The document is JSON; what it says, and what the arrays mean, is for
`fastrfm.persistence.models`.

Any program that reads safetensors reads the arrays. They are parsed by that library; written they
are here, since its writer renames a file of its own into place (its mode 0600, its errors without
a number) and would have to be followed by a second pass for the checksum.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray

from fastrfm.persistence.atomic import replacing
from fastrfm.persistence.errors import ModelFileError

__all__ = [
    "CHECKPOINT_KIND",
    "CHECKPOINT_WORDS",
    "MODEL_WORDS",
    "Words",
    "read_container",
    "write_container",
]


@dataclass(frozen=True)
class Words:
    """What messages call such a file, and advise.

    Attributes
    ----------
    kind : str
    source : str
        Where one comes from.
    remedy : str
        What to do with a damaged one.
    """

    kind: str
    source: str
    remedy: str


# The "kind" in the document of a checkpoint; a model has none.
CHECKPOINT_KIND = "checkpoint"
MODEL_WORDS = Words(
    "fastrfm model",
    "give the path of a file that the method save of a fastrfm model wrote",
    "copy it again from where it was saved, or save it again",
)
CHECKPOINT_WORDS = Words(
    "checkpoint of a fastrfm fit",
    "give the path that was the checkpoint of a fit",
    "copy it again from where it was written, or fit anew without resume_from",
)

Arrays = dict[str, NDArray[Any]]

_START = b'{"__metadata__":{"fastrfm":"'
_HEADER_AT = 8
_DIGEST_AT = _HEADER_AT + len(_START)
_DIGEST_END = _DIGEST_AT + 64
_LENGTH_DIGITS = 20  # of 2^64
_DOCUMENT_AT = _DIGEST_END + 1 + _LENGTH_DIGITS + 1
# The safetensors library refuses longer ones.
_LONGEST_HEADER = 100_000_000

_NAMES = {
    np.dtype(np.bool_): "BOOL",
    np.dtype(np.int8): "I8",
    np.dtype(np.uint8): "U8",
    np.dtype(np.int16): "I16",
    np.dtype(np.uint16): "U16",
    np.dtype(np.float16): "F16",
    np.dtype(np.int32): "I32",
    np.dtype(np.uint32): "U32",
    np.dtype(np.float32): "F32",
    np.dtype(np.int64): "I64",
    np.dtype(np.uint64): "U64",
    np.dtype(np.float64): "F64",
}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}


def write_container(
    path: str | PathLike[str], document: Any, arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write a document and its arrays, and replace `path` by that as a whole.

    The same content gives the same bytes. Beside the arrays only those that are not contiguous are
    held in memory.

    Parameters
    ----------
    path : str or path-like
    document : JSON-able
        Without NaN and infinities.
    arrays : mapping of str to ndarray
        Of booleans, integers and floats of at most 64 bits.

    Raises
    ------
    OSError
        If the file cannot be written; what was there stays.
    ValueError
        If the document is too long.
    """
    # The wider first: then each is aligned where it lies.
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    layout, end = "", 0
    for name in names:
        array = arrays[name]
        entry = {
            "dtype": _NAMES[array.dtype.newbyteorder("=")],
            "shape": array.shape,
            "data_offsets": (end, end := end + array.nbytes),
        }
        layout += f",{_compact(name)}:{_compact(entry)}"
    own = _compact(_compact(document))[1:]  # as a string in a string; its opening quote is earlier
    header_length = len(_START) + _DOCUMENT_AT - _DIGEST_AT + len(own) + len("}") + len(layout) + 1
    header_length += -header_length % 8
    if header_length > _LONGEST_HEADER:
        raise ValueError(
            f"the model has too much beside its arrays: {header_length:,} bytes, where a "
            f"safetensors file has room for {_LONGEST_HEADER:,}"
        )
    length = _HEADER_AT + header_length + end
    header = _START + f"{'0' * 64} {length:0{_LENGTH_DIGITS}d} {own}}}{layout}}}".encode("ascii")
    header = header.ljust(header_length)

    digest = hashlib.sha256()
    with replacing(path) as temporary, open(temporary, "r+b") as file:
        for block in (header_length.to_bytes(_HEADER_AT, "little"), header):
            digest.update(block)
            file.write(block)
        for name in names:
            array = arrays[name]
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            if little.size:
                digest.update(little.data)
                file.write(little.data)
        file.seek(_DIGEST_AT)
        file.write(digest.hexdigest().encode("ascii"))


def read_container(path: str | PathLike[str], words: Words = MODEL_WORDS) -> tuple[Any, Arrays]:
    """Return the document and the arrays of a file whose checksum is right.

    What is verified are the very bytes that are parsed after that.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ModelFileError
        If it is not such a file, or not as it was written.
    """
    with open(os.fspath(path), "rb") as file:  # not a descriptor, which would be closed here
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(f"it is not a regular file; {words.source}")
        _check_start(file.read(_DOCUMENT_AT), status.st_size, words)
        file.seek(0)
        data = file.read()
    _check_digest(data, words)
    return _parse(data)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _check_start(start: bytes, size: int, words: Words) -> None:
    """Refuse what is foreign or of another length, before the rest is read."""
    if start[_HEADER_AT:_DIGEST_AT] != _START:
        raise ModelFileError(_what_else(start, size, words))
    length = start[_DIGEST_END + 1 : _DOCUMENT_AT - 1]
    if len(start) < _DOCUMENT_AT or (length.isdigit() and size < int(length)):
        whole = f" of {int(length):,} bytes" if len(start) == _DOCUMENT_AT else ""
        raise ModelFileError(f"it is truncated: {size:,} bytes are there{whole}; {words.remedy}")


def _what_else(start: bytes, size: int, words: Words) -> str:
    advice = f"; {words.source}"
    if not size:
        return f"it is empty{advice}"
    if _START.startswith(start[_HEADER_AT:]) and _HEADER_AT < len(start) < _DIGEST_AT:
        return f"it is truncated: {size:,} bytes are there; {words.remedy}"
    if start.startswith(b"\x80"):
        return (
            "it is a pickle, which runs code when it is read, and fastrfm reads none; if you trust "
            "it, load it with what wrote it, and save the model by its method save"
        )
    known = {b"PK": "a zip file (such as .npz)", b"PAR1": "a parquet table", b"\x93NUMPY": ".npy"}
    kind = next((f", but {name}" for magic, name in known.items() if start.startswith(magic)), "")
    if start[_HEADER_AT:].lstrip().startswith(b"{"):
        kind = ", but a safetensors file of another program"
    return f"it is not a {words.kind}{kind}{advice}"


def _check_digest(data: bytes, words: Words) -> None:
    digest = hashlib.sha256(data[:_DIGEST_AT])
    digest.update(b"0" * 64)
    digest.update(memoryview(data)[_DIGEST_END:])
    if digest.hexdigest().encode("ascii") != data[_DIGEST_AT:_DIGEST_END]:
        raise ModelFileError(
            f"it is altered: its content does not match its checksum; {words.remedy}"
        )


def _parse(data: bytes) -> tuple[Any, Arrays]:
    """Return what verified bytes hold. Whoever computes a checksum may still write nonsense."""
    try:
        tensors = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
        end = _HEADER_AT + int.from_bytes(data[:_HEADER_AT], "little")
        header = json.loads(data[_HEADER_AT:end])
        document = json.loads(header["__metadata__"]["fastrfm"][_DOCUMENT_AT - _DIGEST_AT :])
    except (
        safetensors.SafetensorError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelFileError(
            f"it cannot be parsed, although its checksum is right: {error}; save did not write it"
        ) from error
    arrays = {}
    for name, tensor in tensors:
        if tensor["dtype"] not in _DTYPES:
            raise ModelFileError(
                f"the array {name!r} is of the type {tensor['dtype']}, which save does not write"
            )
        dtype = _DTYPES[tensor["dtype"]]
        flat = np.frombuffer(tensor["data"], dtype.newbyteorder("<")).astype(dtype, copy=False)
        if dtype == np.bool_ and (flat.view(np.uint8) > 1).any():
            raise ModelFileError(f"the array {name!r} is of booleans, but some are neither 0 nor 1")
        arrays[name] = flat.reshape(tensor["shape"])
    return document, arrays
