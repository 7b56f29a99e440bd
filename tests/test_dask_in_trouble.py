"""Lost workers and schedulers, interrupted fits, and collections that cannot be fitted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import numpy as np
import pytest

import fastrfm
from cases import Array

pytest.importorskip("distributed")
pytest.importorskip("dask.dataframe")

import dask
import dask.array as da
import dask.dataframe as dd
import pandas as pd
from distributed import Client

from dask_cases import (
    OPTIONS,
    QUIETLY,
    N,
    X,
    Y,
    client,
    close,
    small_blocks,
)
from fastrfm.dask import ClusterError
from fastrfm.dask.collections import partitions

__all__ = ["client", "small_blocks"]  # fixtures

pytestmark = QUIETLY


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


def no_tasks_but(of_others: set[Any], all_tasks: Any) -> None:
    """Wait until the scheduler has no other tasks than those."""
    deadline = time.perf_counter() + 20
    while set(all_tasks) - of_others and time.perf_counter() < deadline:
        time.sleep(0.02)
    assert not set(all_tasks) - of_others


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
    no_tasks_but(of_others, all_tasks)


def test_workers_give_up_counting_rows(client: Client, tmp_path: Path) -> None:
    """Of a frame they are not known; reading it may be most of the fit."""
    read, parts = tmp_path / "read", 200  # of which 3 workers read 15 a second

    def part(number: int) -> pd.DataFrame:
        (read / str(number)).touch()
        time.sleep(0.2)
        return pd.DataFrame(X[:10])

    def interrupt() -> None:
        while not any(read.iterdir()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    read.mkdir()
    rows = dd.from_map(part, range(parts), meta=pd.DataFrame(X[:0]))
    all_tasks = client.cluster.scheduler.tasks
    of_others = set(all_tasks)
    # A process that was started in the background may ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt) as error:
            fastrfm.RFMRegressor(**OPTIONS).fit(rows, np.zeros(10 * parts))
    finally:
        signal.signal(signal.SIGINT, before)
    assert error.traceback
    no_tasks_but(of_others, all_tasks)
    time.sleep(0.5)  # those that ran
    begun = len(list(read.iterdir()))
    time.sleep(0.6)
    assert len(list(read.iterdir())) == begun < parts
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


@pytest.mark.usefixtures("client")
def test_an_error_of_the_data_is_passed_on(tmp_path: Path) -> None:
    @dask.delayed
    def part() -> Array:
        return np.load(tmp_path / "missing.npy")

    rows = da.from_delayed(part(), shape=(N, 6), dtype=np.float64)
    with pytest.raises(FileNotFoundError, match=r"missing\.npy"):
        fastrfm.RFMRegressor(**OPTIONS).fit(rows, Y[:N])


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
