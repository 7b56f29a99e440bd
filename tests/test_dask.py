"""Fits of Dask arrays and frames on a cluster of processes: the results of a single process."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import joblib
import numpy as np
import pytest

import fastrfm
from backends import CUDA_BACKENDS, Backend
from cases import Array
from fastrfm import backend
from fastrfm.kernels import Kernel

pytest.importorskip("distributed")
pytest.importorskip("dask.dataframe")

import dask
import dask.array as da
import dask.dataframe as dd
import pandas as pd
from distributed import Client, LocalCluster

from fastrfm.dask import ClusterError, cluster, collections, tasks
from fastrfm.dask import rows as sharded_rows
from fastrfm.dask.cluster import Cluster
from fastrfm.dask.collections import CollectionRows, partitions
from fastrfm.dask.rows import ShardedRows
from fastrfm.preprocessing import TableEncoder
from fastrfm.ridge.nystrom import FEWEST_LANDMARKS, largest_rank
from fastrfm.ridge.plan import make_remote_plan

# distributed closes sockets and loops late, and says when a worker was killed.
pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

N, TEST = 1_400, 200
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N + TEST, 6))
Y = np.stack([np.sin(2 * X[:, 0]) * X[:, 1], np.cos(X[:, 2]) + X[:, 3]], axis=1)
LABELS = np.array(["low", "mid", "top"])[np.digitize(Y[:, 0], [-0.3, 0.3])]
# To a residual of 1e-7, in float64: what differs then is the order of sums.
OPTIONS: dict[str, Any] = {
    "norm": 2,
    "exponent": 1,
    "bandwidth": 5.0,
    "alpha": 1.0,
    "n_iter": 1,
    "solver": "pcg",
    "tol": 1e-7,
    "validation_fraction": None,
    "random_state": 0,
}
ALLOWED = 1e-5


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Three processes of one thread."""
    options = {"n_workers": 3, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as local, Client(local) as client:
        yield client


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide the few rows of a test into three blocks."""
    monkeypatch.setattr(cluster, "FEWEST_BLOCK_ROWS", N // 3)


def close(actual: Array, expected: Array) -> None:
    """Compare by the spread of what is expected."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= ALLOWED * expected.std()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param(
            {"norm": 1, "diagonal": True, "center_gradients": True, "agop_samples": 500},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"bandwidth": "2*median", "diagonal": True, "early_stopping": False},
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
@pytest.mark.usefixtures("client")
def test_regression_as_in_one_process(options: dict[str, Any]) -> None:
    model = fastrfm.RFMRegressor(**OPTIONS | options).fit(X[:N], Y[:N])
    rows = da.from_array(X[:N], chunks=(450, 4))
    shared = fastrfm.RFMRegressor(**OPTIONS | options)
    shared.fit(rows, da.from_array(Y[:N], chunks=(600, 2)))
    assert shared.history_[-1]["solver"] == "pcg"
    close(shared.predict(X[N:]), model.predict(X[N:]))
    close(shared.metric_, model.metric_)
    close(shared.agop_, model.agop_)
    assert np.array_equal(shared.X_fit_, model.X_fit_)
    lazy = shared.predict(da.from_array(X[N:], chunks=(150, 3)))
    assert isinstance(lazy, da.Array)
    assert lazy.shape == (TEST, 2)
    close(np.asarray(lazy), model.predict(X[N:]))
    assert abs(shared.score(X[N:], Y[N:]) - model.score(X[N:], Y[N:])) < ALLOWED


@pytest.mark.slow
@pytest.mark.usefixtures("client")
def test_classification_with_weights() -> None:
    weight = RNG.uniform(0.2, 2.0, N)
    weight[::9] = 0
    options = OPTIONS | {"class_weight": "balanced", "norm": 2}
    model = fastrfm.RFMClassifier(**options).fit(X[:N], LABELS[:N], weight)
    shared = fastrfm.RFMClassifier(**options).fit(
        da.from_array(X[:N], chunks=(500, 6)), LABELS[:N], da.from_array(weight, chunks=400)
    )
    close(shared.decision_function(X[N:]), model.decision_function(X[N:]))
    rows = da.from_array(X[N:], chunks=(90, 6))
    assert (np.asarray(shared.predict(rows)) == model.predict(X[N:])).all()
    probabilities = shared.predict_proba(rows)
    assert probabilities.shape == (TEST, 3)
    close(np.asarray(probabilities), model.predict_proba(X[N:]))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(OPTIONS, marks=pytest.mark.slow, id="one machine"),
        pytest.param(
            {"n_iter": 1, "random_state": 0, "tol": 1e-8, "solver": "pcg"},
            marks=pytest.mark.slow,
            id="defaults",
        ),
    ],
)
@pytest.mark.usefixtures("client")
def test_a_frame_with_categories_and_missing_numbers(options: dict[str, Any]) -> None:
    frame = pd.DataFrame(X[:, :3], columns=["a", "b", "c"])
    frame.loc[::7, "b"] = np.nan
    frame["kind"] = pd.Categorical(np.where(X[:, 3] > 0, "x", np.where(X[:, 4] > 0, "y", "z")))
    y = Y[:, 0] + (frame["kind"] == "x")
    model = fastrfm.RFMRegressor(**options).fit(frame[:N], y[:N])
    rows = dd.from_pandas(frame[:N], npartitions=3)
    shared = fastrfm.RFMRegressor(**options).fit(rows, dd.from_pandas(y[:N], npartitions=3))
    assert list(shared.feature_names_in_) == list(frame.columns)
    close(shared.predict(frame[N:]), model.predict(frame[N:]))
    lazy = shared.predict(dd.from_pandas(frame[N:], npartitions=2))
    close(np.asarray(lazy), model.predict(frame[N:]))


@pytest.fixture(scope="module")
def sharded(client: Client) -> tuple[ShardedRows, Array]:
    """Return rows on the workers, and the same rows here."""
    assert client.status == "running"
    rows = np.ascontiguousarray(X[:600])
    blocks = [(0, 150), (150, 390), (390, 600)]
    here = Cluster()
    futures = here.map(tasks.same, [rows[begin:end] for begin, end in blocks])
    return ShardedRows(here, futures, blocks, 6, rows.dtype, "cpu"), rows


ROOTS = {"none": None, "diagonal": RNG.uniform(0.5, 2, 6), "full": RNG.standard_normal((6, 4))}


def test_landmarks_take_a_part_of_the_workers_memory(
    client: Client, sharded: tuple[ShardedRows, Array]
) -> None:
    remote, _ = sharded
    total = sum(w.memory_limit for w in client.cluster.scheduler.workers.values())
    assert remote.column_bytes == total // 4
    n, most = 10**6, largest_rank(10**6)
    assert make_remote_plan(n, 1, "float32", None, None).max_rank == most
    assert make_remote_plan(n, 1, "float32", 4 * n * 500, None).max_rank == 500
    assert make_remote_plan(n, 1, "float32", 0, None).max_rank == FEWEST_LANDMARKS
    here = make_remote_plan(n, 1, "float32", None, 80_000_000)
    assert FEWEST_LANDMARKS < here.max_rank < most
    assert here.bytes <= 80_000_000
    with pytest.raises(MemoryError, match="memory_limit=70,000,000"):
        make_remote_plan(n, 1, "float32", None, 70_000_000)


def test_rows_that_are_too_large_for_memory_are_gathered_on_the_disk(
    sharded: tuple[ShardedRows, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, rows = sharded
    in_memory = remote.gathered(None)
    assert not isinstance(in_memory, np.memmap)
    mapped = remote.gathered(rows.nbytes - 1)
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, rows)
    assert np.array_equal(in_memory, rows)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        remote.gathered(0)


@pytest.mark.parametrize("root", ROOTS.values(), ids=ROOTS)
def test_passes(sharded: tuple[ShardedRows, Array], root: Array | None) -> None:
    remote, rows = sharded
    kernel = Kernel(norm=2.0, exponent=1.0, bandwidth=3.0)
    V, law = RNG.standard_normal((600, 3)), (kernel, root)
    close(
        backend.kernel_matmul(remote, remote, V, *law), backend.kernel_matmul(rows, rows, V, *law)
    )
    few = X[N : N + 40]
    close(backend.kernel_matmul(few, remote, V, *law), backend.kernel_matmul(few, rows, V, *law))
    like, factors = np.empty(0), RNG.uniform(0.5, 2, 600)
    C = backend.landmark_columns(remote, few, *law, like=like)
    expected = backend.landmark_columns(rows, few, *law, like=like)
    close(C[np.array([5, 599, 200])], expected[[5, 599, 200]])
    C.scale_rows(factors)
    expected *= factors[:, None]
    close(backend.landmark_gram(C), backend.landmark_gram(expected))
    B, R = RNG.standard_normal((40, 2)), RNG.standard_normal((600, 2))
    close(backend.landmark_matmul(C, B), backend.landmark_matmul(expected, B))
    close(backend.landmark_transposed_matmul(C, R), backend.landmark_transposed_matmul(expected, R))


@pytest.mark.parametrize("root", ROOTS.values(), ids=ROOTS)
@pytest.mark.parametrize("diagonal", [False, True])
def test_sums_of_gradients(
    sharded: tuple[ShardedRows, Array],
    root: Array | None,
    diagonal: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remote, rows = sharded
    monkeypatch.setattr(sharded_rows, "_GRADIENT_BYTES", 8 * 3 * 6 * 130)  # five blocks of rows
    kernel = Kernel(norm=2.0, exponent=1.0, bandwidth=3.0)
    coef, weights = RNG.standard_normal((600, 3)), RNG.uniform(0, 2, 600)
    for center in (False, True):
        options = {"diagonal": diagonal, "center": center, "row_weights": weights}
        expected = backend.gradient_sums(rows, rows, coef, kernel, root, **options)
        for X_rows in (rows, remote):
            close(backend.gradient_sums(X_rows, remote, coef, kernel, root, **options), expected)


def test_random_mixtures_of_outputs_are_unbiased(sharded: tuple[ShardedRows, Array]) -> None:
    remote, rows = sharded
    kernel = Kernel(norm=2.0, exponent=1.0, bandwidth=3.0)
    coef = RNG.standard_normal((600, 8))
    options: dict[str, Any] = {"diagonal": False, "center": False}
    exact = backend.gradient_sums(rows, rows, coef, kernel, None, **options)
    options |= {"output_samples": 2}
    estimates = [
        backend.gradient_sums(rows, remote, coef, kernel, None, **options, seed=seed)
        for seed in range(8)
    ]
    errors = [np.linalg.norm(G - exact) / np.linalg.norm(exact) for G in estimates]
    assert min(errors) > 1e-3
    mean = np.mean(estimates, axis=0)
    assert np.linalg.norm(mean - exact) / np.linalg.norm(exact) < 0.7 * np.mean(errors)


@pytest.mark.parametrize("room", CUDA_BACKENDS)
def test_tasks_of_workers_with_a_device(room: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = room.open_room()
    monkeypatch.setattr(tasks, "_room", lambda device: opened)
    rows, few = X[:40].astype(np.float32), X[40:70].astype(np.float32)
    V, U = Y[40:70].astype(np.float32), Y[:40].astype(np.float32)
    law = (Kernel(norm=2.0, exponent=1.0, bandwidth=3.0), None)

    def allowed(actual: Array, expected: Array) -> None:
        assert np.abs(actual - expected).max() < 2e-5 * np.abs(expected).max()

    allowed(tasks.product(rows, few, V, law, "cuda"), backend.kernel_matmul(rows, few, V, *law))
    both = tasks.product_both_ways(rows, few, V, U, law, "cuda")
    for one, expected in zip(
        both, backend.kernel_matmul_both_ways(rows, few, V, U, *law), strict=True
    ):
        allowed(one, expected)
    C = tasks.columns(rows, few, law, np.dtype(np.float32), "cuda")
    allowed(C, backend.kernel_matrix(rows, few, *law))
    g = tasks.gradients(rows, few, V, law, None, "cuda")
    allowed(g, backend.gradients(rows, few, V, *law))


def test_where_workers_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise RuntimeError("no CUDA here")

    monkeypatch.setattr(backend, "cuda_room", missing)
    room = tasks._room.__wrapped__
    assert room("cpu") is backend.CPU
    assert room("auto") is backend.CPU
    with pytest.raises(RuntimeError, match="no CUDA here"):
        room("cuda")


@pytest.mark.usefixtures("client")
def test_an_error_of_the_data_is_passed_on(tmp_path: Path) -> None:
    @dask.delayed
    def part() -> Array:
        return np.load(tmp_path / "missing.npy")

    rows = da.from_delayed(part(), shape=(N, 6), dtype=np.float64)
    with pytest.raises(FileNotFoundError, match=r"missing\.npy"):
        fastrfm.RFMRegressor(**OPTIONS).fit(rows, Y[:N])


@pytest.mark.slow
@pytest.mark.usefixtures("client")
def test_parts_that_differ_in_their_categories_and_empty_ones() -> None:
    parts = [
        pd.DataFrame({"a": X[:500, 0], "kind": pd.Categorical(np.arange(500) % 2 + 1)}),
        pd.DataFrame({"a": X[500:900, 0], "kind": pd.Categorical(np.arange(400) % 2 * 2 + 1)}),
        pd.DataFrame({"a": X[:0, 0], "kind": pd.Categorical([], categories=[1])}),
    ]
    here = pd.concat([part.astype({"kind": int}) for part in parts]).astype({"kind": "category"})
    rows = dd.from_map(lambda i: parts[i], range(3), meta=parts[0][:0], enforce_metadata=False)
    y = here["a"].to_numpy() + (here["kind"] == 2).to_numpy()
    model = fastrfm.RFMRegressor(**OPTIONS | {"tol": 1e-7}).fit(here, y)
    shared = fastrfm.RFMRegressor(**OPTIONS | {"tol": 1e-7}).fit(rows, y)
    assert shared.X_fit_.shape == model.X_fit_.shape == (900, 4)
    close(np.asarray(shared.predict(rows)), model.predict(here))
    assert abs(shared.score(rows, y) - model.score(here, y)) < ALLOWED


@pytest.mark.slow
@pytest.mark.usefixtures("client")
def test_held_out_rows_leave_the_others_on_the_workers() -> None:
    options = OPTIONS | {"validation_fraction": 0.2}
    model = fastrfm.RFMRegressor(**options).fit(X[:N], Y[:N])
    shared = fastrfm.RFMRegressor(**options).fit(da.from_array(X[:N], chunks=(450, 6)), Y[:N])
    assert shared.best_iter_ == model.best_iter_
    close(shared.predict(X[N:]), model.predict(X[N:]))


@pytest.mark.usefixtures("client")
def test_chunk_sizes_that_are_not_true() -> None:
    rows = da.from_delayed(dask.delayed(X[:N]), shape=(N + 10, 6), dtype=X.dtype)
    with pytest.raises(ValueError, match="1,400 rows where it should have 1,410"):
        fastrfm.RFMRegressor(**OPTIONS).fit(rows, np.ones(N + 10))


def test_what_is_no_table() -> None:
    from dask.bag import from_sequence

    with pytest.raises(TypeError, match="a Dask array or a Dask dataframe; got Bag"):
        partitions(from_sequence([1, 2]))
    with pytest.raises(ValueError, match="its number of columns known"):
        partitions(da.ones((4, 3), chunks=2)[:, da.ones(3, chunks=2) > 0])


@pytest.mark.slow
@pytest.mark.usefixtures("client")
def test_small_integers_stay_small() -> None:
    raw = np.clip(np.rint(30 * X), -128, 127).astype(np.int8)
    options = OPTIONS | {"tol": 1e-4, "n_iter": 1}
    model = fastrfm.RFMRegressor(**options).fit(raw[:N], Y[:N])
    shared = fastrfm.RFMRegressor(**options).fit(da.from_array(raw[:N], chunks=(450, 6)), Y[:N])
    assert shared.X_fit_.dtype == np.int8
    difference = shared.predict(raw[N:]) - model.predict(raw[N:])
    assert np.abs(difference).max() < 1e-3 * Y.std()  # float32


def test_few_rows_are_fitted_here(client: Client) -> None:
    rows = da.from_array(X[:300], chunks=(100, 6))
    options = OPTIONS | {"solver": "auto"}
    shared = fastrfm.RFMRegressor(**options).fit(rows, Y[:300])
    model = fastrfm.RFMRegressor(**options).fit(X[:300], Y[:300])
    assert shared.history_[-1]["solver"] == "cholesky"
    assert np.array_equal(shared.predict(X[N:]), model.predict(X[N:]))
    assert client.status == "running"


@pytest.mark.usefixtures("client")
def test_rows_in_blocks() -> None:
    parts = da.from_array(X[:N].astype(np.float32), chunks=((100, 900, 1, 399), (6,)))
    rows = CollectionRows(parts, Cluster()).keep(np.arange(3, N, 2))
    expected = X[3:N:2].astype(np.float32)
    assert np.array_equal(rows.here(), expected)
    assert np.array_equal(rows.here(np.array([0, 5, 690])), expected[[0, 5, 690]])
    encoder = TableEncoder().fit(expected)
    sharded = rows.encoded(encoder, "cpu")
    assert np.array_equal(sharded[:], encoder.transform(expected))
    some = np.arange(200, 690, 3)
    assert np.array_equal(sharded.keep(some)[:], encoder.transform(expected)[some])
    assert np.array_equal(sharded[[600, 3, 3]], encoder.transform(expected)[[600, 3, 3]])
    # A digest does not see how rows are divided, and sees each of them.
    other = CollectionRows(da.from_array(expected, chunks=(200, 6)), Cluster())
    assert other.encoded(encoder, "cpu").digest() == sharded.digest()
    expected[-1, -1] += 1
    other = CollectionRows(da.from_array(expected, chunks=(200, 6)), Cluster())
    assert other.encoded(encoder, "cpu").digest() != sharded.digest()


def test_columns_are_learned_from_a_sample_of_very_many_rows(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.status == "running"
    monkeypatch.setattr(collections, "SAMPLE_BYTES", 8 * 6 * 700)
    rows = CollectionRows(da.from_array(X[:N], chunks=(450, 6)), Cluster())
    weight = np.arange(N, dtype=np.float64)
    sample, of_sample = rows.sample(weight)
    assert of_sample is not None
    assert len(np.unique(of_sample)) == 700
    assert np.array_equal(sample, X[of_sample.astype(int)])


def test_a_killed_worker_changes_nothing(client: Client) -> None:
    options = OPTIONS | {"n_iter": 2}
    model = fastrfm.RFMRegressor(**options).fit(X[:N], Y[:N])
    pids = list(client.run(os.getpid).values())
    assert len(pids) == 3

    def kill(entry: dict[str, Any]) -> None:
        if entry["iteration"] == 0:  # its blocks are lost, and another's amid a product
            os.kill(pids[0], signal.SIGKILL)
        elif entry["iteration"] == 1:
            Timer(0.2, os.kill, (pids[1], signal.SIGKILL)).start()

    shared = fastrfm.RFMRegressor(**options, callbacks=[kill])
    shared.fit(da.from_array(X[:N], chunks=(450, 6)), Y[:N])
    close(shared.predict(X[N:]), model.predict(X[N:]))
    close(shared.metric_, model.metric_)
    close(shared.agop_, model.agop_)
    assert not set(pids[:2]) & set(client.run(os.getpid).values())


def test_workers_give_up_what_was_interrupted(client: Client) -> None:
    all_tasks = client.cluster.scheduler.tasks
    of_others = set(all_tasks)

    def stop(entry: dict[str, Any]) -> None:
        assert set(all_tasks) - of_others
        raise KeyboardInterrupt

    model = fastrfm.RFMRegressor(**OPTIONS, callbacks=[stop])
    with pytest.raises(KeyboardInterrupt) as error:
        model.fit(da.from_array(X[:N], chunks=(450, 6)), Y[:N])
    # The traceback has the frames of the fit, and they all the futures.
    assert error.traceback
    deadline = time.perf_counter() + 20
    while set(all_tasks) - of_others and time.perf_counter() < deadline:
        time.sleep(0.02)
    assert not set(all_tasks) - of_others


def test_workers_give_up_counting_rows(client: Client, tmp_path: Path) -> None:
    """Of a frame they are not known; reading it may be most of the fit."""
    read = tmp_path / "read"

    def part(number: int) -> pd.DataFrame:
        (read / str(number)).touch()
        time.sleep(0.2)
        return pd.DataFrame(X[:10])

    read.mkdir()
    rows = dd.from_map(part, range(40), meta=pd.DataFrame(X[:0]))
    # A process that was started in the background may ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt) as error:
            fastrfm.RFMRegressor(**OPTIONS).fit(rows, np.zeros(400))
    finally:
        signal.signal(signal.SIGINT, before)
    assert error.traceback
    time.sleep(0.4)
    begun = len(list(read.iterdir()))
    time.sleep(0.6)
    assert len(list(read.iterdir())) == begun < 40
    assert client.status == "running"


@pytest.mark.slow
def test_a_fit_goes_on_from_its_checkpoint(client: Client, tmp_path: Path) -> None:
    assert client.status == "running"
    rows = da.from_array(X[:N], chunks=(450, 6))
    whole = fastrfm.RFMRegressor(**OPTIONS).fit(rows, Y[:N])

    def stop(entry: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    broken = fastrfm.RFMRegressor(**OPTIONS, callbacks=[stop])
    state = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        broken.fit(rows, Y[:N], checkpoint=state, checkpoint_steps=5)
    resumed = fastrfm.RFMRegressor(**OPTIONS).fit(rows, Y[:N], resume_from=state)
    assert np.array_equal(resumed.dual_coef_, whole.dual_coef_)
    other = da.from_array(X[:N] + 1e-6, chunks=(450, 6))
    with pytest.raises(fastrfm.CheckpointError, match="another X"):
        fastrfm.RFMRegressor(**OPTIONS).fit(other, Y[:N], resume_from=state)


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_lost_scheduler_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    at = ["--scheduler-file", str(file)]
    scheduler = _start("distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", *at)
    options = ["--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--death-timeout", "20"]
    worker = _start("distributed.cli.dask_worker", *options, *at)
    try:
        while not file.exists() or not file.read_text():
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        with dask.config.set({"distributed.comm.timeouts.connect": "3s"}):
            client = Client(address, timeout=30)
            client.wait_for_workers(1, timeout=60)
            model = fastrfm.RFMRegressor(**OPTIONS)
            model.set_params(callbacks=[lambda entry: os.kill(scheduler.pid, signal.SIGKILL)])
            began = time.perf_counter()
            with client.as_current(), pytest.raises(ClusterError, match=address) as error:
                model.fit(da.from_array(X[:N], chunks=(450, 6)), Y[:N])
            assert "resume_from" in str(error.value)
            assert time.perf_counter() - began < 60
            assert not hasattr(model, "members_")
            client.close(timeout=1)
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_leaves_are_tasks(client: Client) -> None:
    options = {"max_leaf_size": 500, "norm": 2, "n_iter": 1, "random_state": 0}
    tree = fastrfm.TreeRFMRegressor(**options).fit(X[:N], Y[:N, 0])
    before = client.cluster.scheduler.transition_counter
    with joblib.parallel_config(backend="dask", n_jobs=3):
        shared = fastrfm.TreeRFMRegressor(**options).fit(X[:N], Y[:N, 0])
    assert client.cluster.scheduler.transition_counter > before
    assert len(shared.trees_[0].leaves) == 4
    close(shared.predict(X[N:]), tree.predict(X[N:]))
    lazy = shared.predict(da.from_array(X[N:], chunks=(100, 6)))
    close(np.asarray(lazy), tree.predict(X[N:]))
    gathered = fastrfm.TreeRFMRegressor(**options)
    gathered.fit(da.from_array(X[:N], chunks=(700, 6)), Y[:N, 0])
    close(gathered.predict(X[N:]), tree.predict(X[N:]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["loky", "ray"])
def test_leaves_in_other_backends(name: str) -> None:
    if name == "ray":
        pytest.importorskip("ray")
        from ray.util.joblib import register_ray

        register_ray()
    options = {"max_leaf_size": 400, "norm": 2, "n_iter": 1, "random_state": 0}
    tree = fastrfm.TreeRFMRegressor(**options).fit(X[:700], Y[:700, 0])
    with joblib.parallel_config(backend=name, n_jobs=2):
        other = fastrfm.TreeRFMRegressor(**options).fit(X[:700], Y[:700, 0])
    close(other.predict(X[N:]), tree.predict(X[N:]))


def test_what_cannot_be_fitted_says_so(client: Client) -> None:
    rows = da.from_array(X[:N], chunks=(450, 6))
    model = fastrfm.RFMRegressor(**OPTIONS)
    with pytest.raises(ValueError, match="two-dimensional Dask array"):
        model.fit(da.from_array(X[:N, 0], chunks=450), Y[:N])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(rows, Y[: N - 1])
    bad = X[:N].copy()
    bad[700, 2] = np.inf
    with pytest.raises(ValueError, match="contains infinity in column 'x2'"):
        model.fit(da.from_array(bad, chunks=(450, 6)), Y[:N])
    with pytest.raises(MemoryError, match="memory_limit=1,000"):
        model.set_params(memory_limit=1_000).fit(rows, Y[:N])
    assert not hasattr(model, "members_")
    assert client.status == "running"


@pytest.mark.slow
def test_without_a_client() -> None:
    code = (
        "import numpy as np, dask.array as da, fastrfm\n"
        "try:\n"
        "    fastrfm.RFMRegressor().fit(da.ones((9, 2)), np.ones(9))\n"
        "except RuntimeError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert "there is no Dask client" in done.stdout, done.stderr
    assert "distributed.Client()" in done.stdout
