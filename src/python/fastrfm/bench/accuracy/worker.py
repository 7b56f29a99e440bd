"""A child process: ``python -m fastrfm.bench.accuracy.worker`` does the task on its standard input.

It writes a line of JSON for each split as soon as that is done. What contenders print goes to
standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from fastrfm.bench.accuracy import reference
from fastrfm.bench.accuracy.contenders import CONTENDERS, PACKAGES, REFERENCE, Fitted
from fastrfm.bench.accuracy.data import Split, load_split, load_tuning
from fastrfm.bench.accuracy.scores import score
from fastrfm.bench.accuracy.tasks import Task, task_from_json

__all__ = ["measure"]

# Linux ends the process with the highest one first when memory is short: this, not the parent.
OOM_SCORE = "1000"


def measure(task: Task) -> Iterator[dict[str, Any]]:
    """Yield the result of each split: scores, seconds and sizes, or the failure's text."""
    folder = Path(task.folder)
    for package in PACKAGES[task.contender]:  # or the first fit is charged for it
        importlib.import_module(package)
    fit: Callable[[Split], Fitted]
    chosen_in = 0.0
    if task.contender == REFERENCE:
        start = perf_counter()
        choice = reference.choose(load_tuning(folder, task.set, task.caps))
        chosen_in = perf_counter() - start
        fit = reference.fitter(choice)
    else:
        function = CONTENDERS[task.contender]

        def fit(split: Split) -> Fitted:
            return function(split, task.threads)

    for number in task.splits:
        split = load_split(folder, task.set, number, task.caps)
        try:
            result = _measured(split, fit)
        except Exception:  # a contender may fail in any way
            yield {"failure": traceback.format_exc(limit=-3)}
        else:
            # The reference chooses once for all splits; each fit is charged its share.
            result["seconds"]["fit"] += chosen_in / len(task.splits)
            yield result


def _measured(split: Split, fit: Callable[[Split], Fitted]) -> dict[str, Any]:
    start = perf_counter()
    fitted = fit(split)
    fit_end = perf_counter()
    prediction = fitted.predict(split.test.X)
    end = perf_counter()
    return {
        "n_train": len(split.train.y),
        "n_test": len(split.test.y),
        "d": split.train.X.shape[1],
        "n_classes": split.n_classes,
        "scores": score(split, prediction),
        "seconds": {"fit": fit_end - start, "predict": end - fit_end},
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "chosen": fitted.chosen,
        "failure": None,
    }


def main() -> None:
    """Do one task."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    except OSError:
        pass  # not Linux
    warnings.simplefilter("ignore")
    for result in measure(task_from_json(sys.stdin.read())):
        answers.write(json.dumps(result) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
