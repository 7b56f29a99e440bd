"""The command ``fastrfm``; it only parses, the work is done elsewhere.

``typer`` and ``rich`` come with the extra ``cli``. Without them the module can still be
imported, and `main` says what to install.
"""

# Annotations are evaluated here, not postponed: typer reads them, and it is imported late.

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

if TYPE_CHECKING:
    import typer

# What all commands need, and what some need besides; and the extra that has it.
NEEDED = ("typer", "rich")
NEEDED_BY = {
    "fit": (("pandas",), "cli"),
    "predict": (("pandas",), "cli"),
    "demo": (("matplotlib",), "demo"),
    "bench": (("matplotlib",), "bench"),
}


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["info"]:  # what one looks at first should not need the extra
        import fastrfm

        sys.stdout.write(f"{fastrfm.show_config()!r}\n")
        return
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    besides, extra = NEEDED_BY.get(command, ((), "cli"))
    missing = [name for name in NEEDED + besides if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f'the command fastrfm needs {", ".join(missing)}: pip install "fastrfm[{extra}]"\n'
        )
        raise SystemExit(1)
    build_app()()


@contextmanager
def in_a_sentence(command: str) -> Iterator[None]:
    """End with a sentence on standard error, not a traceback, where the user's files are wrong."""
    import typer

    from fastrfm.persistence import ModelFileError
    from fastrfm.table_files import DataError

    try:
        yield
    except (DataError, ModelFileError) as error:
        message = str(error)
        cause: Exception = error
    except OSError as error:
        of_file = error.filename is not None and error.strerror is not None
        message = f"{error.filename}: {error.strerror}" if of_file else str(error)
        cause = error
    else:
        return
    typer.echo(f"fastrfm {command}: {message}", err=True)
    raise typer.Exit(1) from cause


def build_app() -> "typer.Typer":
    """Return the commands."""
    import typer

    app = typer.Typer(
        help="Recursive Feature Machines at hardware speed.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )

    @app.command()
    def fit(
        data: Annotated[Path, typer.Argument(help="The table, .csv or .parquet.", metavar="DATA")],
        target: Annotated[str, typer.Option(help="The column to predict.", metavar="COLUMN")],
        model: Annotated[
            Path, typer.Option(help="The file to save the model in.", metavar="FILE")
        ] = Path("model.frfm"),
        task: Annotated[
            str,
            typer.Option(
                help="auto, regression or classification. auto: numbers with fractions or with "
                "more than 20 different values are a regression's target.",
                metavar="TASK",
            ),
        ] = "auto",
        report: Annotated[
            Path | None,
            typer.Option(help="Write what was learned as an HTML page.", metavar="FILE"),
        ] = None,
        test_fraction: Annotated[
            float,
            typer.Option(
                min=0.0,
                max=0.9,
                help="Part of the rows held out to score a model of the others; 0: no scores.",
            ),
        ] = 0.2,
        drop: Annotated[
            list[str] | None,
            typer.Option(help="Columns that are no features: A,B or repeated.", metavar="COLUMNS"),
        ] = None,
        weights: Annotated[
            str | None, typer.Option(help="The column of sample weights.", metavar="COLUMN")
        ] = None,
        seed: Annotated[
            int,
            typer.Option(min=0, max=2**32 - 1, help="Of the rows held out, and of the model."),
        ] = 0,
        time_limit: Annotated[
            float | None,
            typer.Option(min=0.1, help="Seconds for each of the two fits.", metavar="SECONDS"),
        ] = None,
        device: Annotated[
            str,
            typer.Option(
                help="auto, cpu or cuda. auto: CUDA where it can be used and pays.",
                metavar="DEVICE",
            ),
        ] = "auto",
        force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    ) -> None:
        """Fit a model to a table and save it.

        Nothing is to be prepared: text is taken as categories, and values may be missing. The
        scores are those of a model that has not seen the rows held out; the saved one is fitted to
        all rows.
        """
        from rich.console import Console

        from fastrfm.commands.fit import FitOptions, run_fit
        from fastrfm.commands.task import TASKS

        if task not in TASKS:
            raise typer.BadParameter(f"--task is one of {', '.join(TASKS)}")
        if device not in ("auto", "cpu", "cuda"):
            raise typer.BadParameter("--device is one of auto, cpu, cuda")
        options = FitOptions(
            data,
            target,
            model,
            task,
            report,
            test_fraction,
            tuple(drop or ()),
            weights,
            seed,
            time_limit,
            device,
            force,
        )
        with in_a_sentence("fit"):
            run_fit(options, Console())

    @app.command()
    def predict(
        model: Annotated[Path, typer.Argument(help="A saved model.", metavar="MODEL")],
        data: Annotated[Path, typer.Argument(help="The table, .csv or .parquet.", metavar="DATA")],
        output: Annotated[
            Path,
            typer.Option(
                "--output", "-o", help="The table to write, .csv or .parquet.", metavar="FILE"
            ),
        ],
        proba: Annotated[
            bool, typer.Option("--proba", help="Also a column for each class's probability.")
        ] = False,
        device: Annotated[str, typer.Option(help="cpu or cuda.", metavar="DEVICE")] = "cpu",
        force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
    ) -> None:
        """Predict the rows of a table with a saved model.

        Columns are found by their names, whatever their order; others are ignored.
        """
        from rich.console import Console

        from fastrfm.commands.predict import PredictOptions, run_predict

        if device not in ("cpu", "cuda"):
            raise typer.BadParameter("--device is one of cpu, cuda")
        with in_a_sentence("predict"):
            run_predict(PredictOptions(model, data, output, proba, device, force), Console())

    @app.command()
    def demo(
        data: Annotated[
            Path | None,
            typer.Option(help="Your own table, .csv or .parquet.", metavar="FILE"),
        ] = None,
        target: Annotated[
            str | None, typer.Option(help="The column of it to predict.", metavar="COLUMN")
        ] = None,
        output: Annotated[Path, typer.Option(help="Folder for the figures.", metavar="DIR")] = Path(
            "fastrfm-demo"
        ),
        repeats: Annotated[int, typer.Option(min=1, help="Repeats of the cross-validation.")] = 2,
        folds: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")] = 5,
        alpha: Annotated[
            float, typer.Option(min=0.0, help="Ridge of the two with fixed parameters.")
        ] = 1e-3,
        quick: Annotated[bool, typer.Option("--quick", help="One repeat of two folds.")] = False,
    ) -> None:
        """Compare an RFM with its rivals on real data, and show what it learned.

        Rivals: one RFM and a kernel ridge regression with the papers' parameters, and
        HistGradientBoosting.

        Data: digits, breast cancer, diabetes and wine from scikit-learn, or yours.
        """
        from rich.console import Console

        from fastrfm.demo import DemoOptions, run_demo

        if (data is None) != (target is None):
            raise typer.BadParameter("--data and --target belong together")
        if quick:
            repeats, folds = 1, 2
        options = DemoOptions(output, data, target, folds, repeats, alpha)
        with in_a_sentence("demo"):
            run_demo(options, Console())

    @app.command()
    def bench(
        quick: Annotated[
            bool, typer.Option("--quick", help="2,000 rows, few cases, half a minute.")
        ] = False,
        fits: Annotated[
            bool, typer.Option("--fits", help="Whole fits instead of operations; some minutes.")
        ] = False,
        data: Annotated[
            Path | None,
            typer.Option(
                help="For --fits: folder with reg/uci_pol.npz and reg/uci_elevators.npz "
                "(arrays X, y, fold).",
                metavar="FOLDER",
            ),
        ] = None,
        rows: Annotated[
            int | None,
            typer.Option(min=100, help="For --fits: at most N training rows.", metavar="N"),
        ] = None,
        output: Annotated[
            Path | None,
            typer.Option(
                help="Folder for the results. [default: bench/results in a checkout, "
                "else fastrfm-bench]",
                metavar="DIR",
                show_default=False,
            ),
        ] = None,
        peers: Annotated[
            str | None,
            typer.Option(
                help='Some of "xRFM,PyTorch,PyKeOps,scikit-learn"; "" for none.',
                metavar="NAMES",
                show_default="all that are installed",
            ),
        ] = None,
        only: Annotated[
            str | None,
            typer.Option(
                help='Cases whose name has all these words, such as "agop d=100".', metavar="WORDS"
            ),
        ] = None,
        threads: Annotated[
            int | None,
            typer.Option(min=1, help="Of every contender.", show_default="all cores", metavar="N"),
        ] = None,
    ) -> None:
        """Measure the operations against other packages and against this machine's limits.

        Others: xRFM, plain PyTorch, PyKeOps and scikit-learn, where installed
        (pip install "fastrfm[bench]").
        """
        from rich.console import Console

        from fastrfm.bench.run import BenchOptions, default_output, run_bench

        if quick and fits:
            raise typer.BadParameter("--quick and --fits exclude each other")
        if not fits and (data is not None or rows is not None):
            raise typer.BadParameter("--data and --rows belong to --fits")
        options = BenchOptions(
            output or default_output(),
            "quick" if quick else "fits" if fits else "ops",
            None if peers is None else tuple(filter(None, map(str.strip, peers.split(",")))),
            only,
            data,
            rows,
            threads,
        )
        try:
            right = run_bench(options, Console())
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        if not right:
            raise typer.Exit(1)

    @app.command()
    def info() -> None:
        """Show the version, the instruction sets, the threads and the devices in use."""
        import fastrfm

        typer.echo(repr(fastrfm.show_config()))

    return app
