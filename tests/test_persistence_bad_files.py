"""Files that are no models: foreign, truncated, altered, or forged with a right checksum."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastrfm
from cases import plain_regressor
from fastrfm import ModelFileError, RFMClassifier, RFMRegressor
from fastrfm.persistence import atomic
from fastrfm.persistence.container import read_container, write_container

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "size": RNG.standard_normal(30),
        "few": RNG.integers(0, 4, 30),
        "colour": np.array(["red", "green", "blue"])[RNG.integers(0, 3, 30)],
        "flag": RNG.random(30) < 0.5,
    }
)
DIGEST_AT = 8 + len('{"__metadata__":{"fastrfm":"')


@pytest.fixture(autouse=True, scope="module")
def _no_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "_to_disk", lambda path, flags: None)
        yield


def _fitted(name: str) -> Any:
    if name == "regressor":
        return RFMRegressor(random_state=0).fit(FRAME, FRAME["size"] ** 2 + FRAME["few"])
    if name == "plain regressor":
        return plain_regressor(n_iter=1).fit(FRAME[["size", "few"]], FRAME["few"])
    return RFMClassifier(random_state=0, norm=1.0).fit(FRAME, FRAME["few"].map(str))


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("regressor", "plain regressor", "classifier"):
        _fitted(name).save(folder / name)
    return folder


@pytest.fixture(name="whole", scope="module")
def _whole(folder: Path) -> bytes:
    return (folder / "plain regressor").read_bytes()


def refused(path: Path, data: bytes, message: str | None = None) -> str:
    """Return the message, without the path, with which a file of these bytes is refused."""
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=message) as caught:
        fastrfm.load(path)
    return str(caught.value).removeprefix(f"{path} cannot be loaded: ")


def resealed(data: bytes) -> bytes:
    """Return the bytes with the length and the checksum that belong to them."""
    length = f"{len(data):020d}".encode()
    data = data[:DIGEST_AT] + b"0" * 64 + b" " + length + data[DIGEST_AT + 85 :]
    digest = hashlib.sha256(data).hexdigest().encode()
    return data[:DIGEST_AT] + digest + data[DIGEST_AT + 64 :]


# ---- by accident


@given(st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_truncated(folder: Path, whole: bytes, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(whole) - 1) | st.integers(0, 200))
    message = refused(folder / "bad", whole[:size])
    if size > 40:
        assert message.startswith(f"it is truncated: {size:,} bytes are there")
    assert len(message) < 400


@given(st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_byte_altered(folder: Path, whole: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(whole) - 1) | st.integers(0, 200))
    flip = data.draw(st.integers(1, 255))
    altered = bytearray(whole)
    altered[place] ^= flip
    message = refused(folder / "bad", bytes(altered))
    if place > 200:
        assert message == (
            "it is altered: its content does not match its checksum; copy it again from where it "
            "was saved, or save it again"
        )


def test_more_than_there_was(folder: Path, whole: bytes) -> None:
    refused(folder / "bad", whole + b"\0", "it is altered")
    refused(folder / "bad", whole + whole, "it is altered")


def test_the_checksum_is_what_the_documentation_says(whole: bytes) -> None:
    assert resealed(whole) == whole


# ---- of other programs


class Bomb:
    """Says so if it is unpickled."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("a pickle was run",)


def _zipped() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.ones(3))
    return file.getvalue()


FOREIGN = {
    "empty": (b"", "it is empty; give the path of a file that the method save of a fastrfm model"),
    "pickle": (pickle.dumps(Bomb()), "it is a pickle, which runs code when it is read"),
    "npz": (
        _zipped(),
        r"it is not a fastrfm model, but a zip file \(such as .npz\); give",
    ),
    "safetensors": (
        safetensors.numpy.save({"a": np.ones(3)}, {"fastrfm_": "1"}),
        "it is not a fastrfm model, but a safetensors file of another program",
    ),
    "parquet": (b"PAR1" + bytes(100), "it is not a fastrfm model, but a parquet table"),
    "csv": (b"size,few\n1,2\n" * 20, "it is not a fastrfm model; give the path of"),
    "zeros": (bytes(1000), "it is not a fastrfm model; give the path of"),
    "short": (b"a", "it is not a fastrfm model; give the path of"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign(name: str, tmp_path: Path) -> None:
    data, message = FOREIGN[name]
    refused(tmp_path / "bad", data, message)


def test_a_descriptor_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with open(tmp_path / "a", "rb") as file:
        with pytest.raises(TypeError, match="not int"):
            fastrfm.load(file.fileno())  # type: ignore[arg-type]
        assert file.read() == b"a"


def test_a_device(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="/dev/zero cannot be loaded: it is not a regular"):
        fastrfm.load("/dev/zero")


@given(st.binary(max_size=300))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes(folder: Path, data: bytes) -> None:
    refused(folder / "bad", data)


# ---- forged: the checksum is right, the rest is not


def test_a_later_schema(folder: Path) -> None:
    document, arrays = read_container(folder / "regressor")
    document.update(schema=7, fastrfm="9.9", something="new")
    write_container(folder / "bad", document, arrays)
    message = refused(folder / "bad", (folder / "bad").read_bytes())
    assert "it was written by fastrfm 9.9, in schema 7; this is fastrfm" in message
    assert "which reads schemas up to 1: update fastrfm" in message


def header_of(whole: bytes) -> tuple[dict[str, Any], bytes]:
    end = 8 + int.from_bytes(whole[:8], "little")
    return json.loads(whole[8:end]), whole[end:]


def with_header(header: dict[str, Any] | bytes, data: bytes) -> bytes:
    text = header
    if isinstance(text, dict):
        text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return resealed(len(text).to_bytes(8, "little") + text + data)


def test_headers_that_lie(folder: Path, whole: bytes) -> None:
    header, data = header_of(whole)
    assert with_header(header, data) == whole
    bad = folder / "bad"
    name = next(name for name in header if name.endswith("X_fit_"))
    for shape in ([10**18, 2], [2**63, 2**63], [-1, 2], [30], [2**64, 0], "30"):
        lie = {**header, name: {**header[name], "shape": shape}}
        refused(bad, with_header(lie, data), "although its checksum is right|of shape")
    for offsets in ([0, 10**18], [10, 5], [0, 0], [-8, 0], None):
        lie = {**header, name: {**header[name], "data_offsets": offsets}}
        refused(bad, with_header(lie, data), "it cannot be parsed, although its checksum is right")
    for dtype in ("BF16", "F32", "I64", "object", "O"):
        refused(bad, with_header({**header, name: {**header[name], "dtype": dtype}}, data))
    lie = {key: value for key, value in header.items() if key != name}
    refused(bad, with_header(lie, data), "it cannot be parsed")
    refused(bad, resealed((2**63).to_bytes(8, "little") + whole[8:]), "it cannot be parsed")
    refused(bad, resealed((200).to_bytes(8, "little") + whole[8:]), "it cannot be parsed")
    start = whole[8:DIGEST_AT]
    refused(bad, with_header(start + b"x" * 86 + b'{}"', data), "it cannot be parsed")
    twice = b',"__metadata__":{"fastrfm":7}}'
    refused(bad, with_header(start + b"x" * 86 + b'{}"}' + twice, b""), "it cannot be parsed")
    deep = start + b"x" * 86 + b"[" * 100_000 + b"]" * 100_000 + b'"}}'
    refused(bad, with_header(deep, b""), "it cannot be parsed")


def test_documents_that_nest_deeply(folder: Path) -> None:
    document, arrays = read_container(folder / "regressor")
    nested: Any = 1
    for _ in range(400):
        nested = {"tuple": [nested]}
    document["members"][0]["history"] = nested
    write_container(folder / "bad", document, arrays)
    refused(folder / "bad", (folder / "bad").read_bytes(), "its checksum is right, but")


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the container and the key of everything in a document."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in list(items):
        yield content, key
        if isinstance(value, (dict, list)):
            yield from places(value)


JUNK = [
    None,
    True,
    -1,
    0,
    10**18,
    10**400,
    -1.5,
    0.0,
    1e308,
    "",
    "float64",
    "RFMClassifier",
    [],
    {},
    [[1]],
    {"array": "none"},
    {"array": 3},
    {"array": "members.0.X_fit_"},
    {"array": "member_weights_"},
    {"objects": "members.0.X_fit_"},
    {"strings": "members.0.X_fit_"},
    {"times": "targets.n_samples_seen", "dtype": "datetime64[s]"},
    {"times": "targets.n_samples_seen", "dtype": "O"},
    {"narrowed": "members.0.X_fit_", "dtype": "float64"},
    {"dict": [[[], 1]]},
    {"float": "nan"},
    {"tuple": 3},
]
CHANGES: dict[str, Callable[[Any], Any]] = {
    "NaN": lambda a: np.full_like(a, np.nan) if a.dtype.kind == "f" else a[:0],
    "infinity": lambda a: np.full_like(a, -np.inf) if a.dtype.kind == "f" else ~a,
    "largest": lambda a: np.full_like(a, np.finfo(a.dtype).max) if a.dtype.kind == "f" else ~a,
    "negative": lambda a: -a - 1 if a.dtype != bool else ~a,
    "ones": np.ones_like,
    "zeros": np.zeros_like,
    "reversed": lambda a: a[::-1] if a.ndim else a[None],
    "one row less": lambda a: a[:-1] if a.ndim else a[None],
    "one row more": lambda a: np.concatenate([a, a[-1:]]) if a.ndim else a[None],
    "empty": lambda a: a.reshape(-1)[:0],
    "one axis more": lambda a: a[..., None],
    "another dtype": lambda a: a.astype(np.float32 if a.dtype == np.float64 else np.int8),
    "half": lambda a: a.astype(np.float16),
    "transposed": lambda a: a.T.copy() if a.ndim > 1 else np.outer(a, a),
    "wide": lambda a: np.repeat(a, 2, axis=-1) if a.ndim else a[None],
    "shuffled": lambda a: np.random.default_rng(0).permutation(a) if a.ndim else a[None],
    "bits": lambda a: np.frombuffer(np.ones_like(a).tobytes(), np.uint8),
}


def check_forged(path: Path) -> None:
    """The file is refused, or is a model that predicts: some changes are those of other models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = fastrfm.load(path)
        except ModelFileError as error:
            assert len(str(error)) < 1000  # noqa: PT017
            return
        named = hasattr(model, "feature_names_in_")
        X = FRAME[model.feature_names_in_] if named else FRAME
        try:
            assert len(model.predict(X)) == len(FRAME)
            if hasattr(model, "classes_"):
                model.predict_proba(X)
        except ValueError as error:
            assert "infinity" in str(error)  # noqa: PT017  # of finite, but large numbers
        model.save(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["regressor", "classifier"])
@given(data=st.data())
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_forged_documents(folder: Path, name: str, data: st.DataObject) -> None:
    document, arrays = read_container(folder / name)
    content, key = data.draw(st.sampled_from(list(places(document))))
    if data.draw(st.integers(0, 9)) == 0:
        del content[key]
    else:
        content[key] = data.draw(st.sampled_from(JUNK))
    write_container(folder / "bad", document, arrays)
    check_forged(folder / "bad")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["regressor", "classifier"])
@given(data=st.data())
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_forged_arrays(folder: Path, name: str, data: st.DataObject) -> None:
    document, arrays = read_container(folder / name)
    which = data.draw(st.sampled_from(sorted(arrays)))
    change = CHANGES[data.draw(st.sampled_from(sorted(CHANGES)))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arrays[which] = np.ascontiguousarray(change(arrays[which]))
    write_container(folder / "bad", document, arrays)
    check_forged(folder / "bad")


def _set(*path: Any) -> Callable[[Any, Any], None]:
    *way, last, value = path

    def change(document: Any, arrays: Any) -> None:
        for key in way:
            document = document[key]
        document[last] = value

    return change


def _array(name: str, function: Callable[[Any], Any]) -> Callable[[Any, Any], None]:
    def change(document: Any, arrays: Any) -> None:
        arrays[name] = function(arrays[name])

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("estimator", "os.system"), "the model.estimator is 'os.system', but should be one"),
        (_set("schema", 0), "the model.schema is 0, but should be an integer of at least 1"),
        (_set("extra", 0), "the model has an unknown field 'extra'"),
        (_set("parameters", "norm", -3.0), "The 'norm' parameter of RFMRegressor must be"),
        (_set("parameters", "callbacks", ["f"]), "parameters is with 'callbacks' in it"),
        (
            _array("members.0.X_fit_", lambda a: a[:-1]),
            r"members\[0\].dual_coef is of shape \(30, 1\), but should be of shape \(29, 1\)",
        ),
        (
            _array("members.0.X_fit_", lambda a: a[:, :-1]),
            r"members\[0\].X_fit is of shape \(30, \d+\), but should be of shape \(any, \d+\)",
        ),
        (
            _array("members.0.dual_coef_", lambda a: a * np.nan),
            r"members\[0\].dual_coef is not finite everywhere, but should be finite",
        ),
        (
            _array("members.0.X_fit_", lambda a: a.astype(np.float16)),
            r"members\[0\].X_fit is of dtype float16, but should be of dtype float64",
        ),
        (_array("member_weights_", lambda a: -a), "member_weights is -.* but should be at least 0"),
        (
            _set("members", 0, "best_iter", -1),
            r"members\[0\].best_iter is -1, but should be an integer of at least 0",
        ),
        (_set("members", 0, "exponent", 2.5), "exponent must be at most 2|greater than 0 and at"),
        (
            _set("encoders", "compressed", "categories", "2", "width", 10**12),
            r"categories.2.width is 1000000000000, but should be that of codes for 3 levels",
        ),
        (
            lambda document, arrays: document.update(members=document["members"] * 30),
            r"the model.members is \d+ members, but should be at most 4",
        ),
        (
            _array("members.0.agop_", lambda a: np.diag(a) if a.ndim == 2 else np.diagflat(a)),
            r"members\[0\].root is with \d, but should be with \d axes, as agop",
        ),
        (_set("members", []), r"the model.members is not, but should be at least one"),
    ],
)
def test_forgeries_are_named(
    folder: Path, change: Callable[[Any, Any], None], message: str
) -> None:
    document, arrays = read_container(folder / "regressor")
    change(document, arrays)
    write_container(folder / "bad", document, arrays)
    shown = refused(folder / "bad", (folder / "bad").read_bytes())
    assert re.search(message, shown), shown
    assert shown.startswith("its checksum is right, but")
    assert shown.endswith("; save did not write it")
