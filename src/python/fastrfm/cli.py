"""The command ``fastrfm``; it only parses, the work is done elsewhere.

``typer`` and ``rich`` come with the extra ``demo``. Without them the module can still be
imported, and `main` says what to install.
"""

# Annotations are evaluated here, not postponed: typer reads them, and it is imported late.

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

if TYPE_CHECKING:
    import typer

NEEDED = ("typer", "rich", "matplotlib")


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["info"]:  # what one looks at first should not need the extra
        import fastrfm

        sys.stdout.write(f"{fastrfm.show_config()!r}\n")
        return
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f'the command fastrfm needs {", ".join(missing)}: pip install "fastrfm[demo]"\n'
        )
        raise SystemExit(1)
    build_app()()


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
        from fastrfm.demo.data import DataError

        if (data is None) != (target is None):
            raise typer.BadParameter("--data and --target belong together")
        if quick:
            repeats, folds = 1, 2
        options = DemoOptions(output, data, target, folds, repeats, alpha)
        try:
            run_demo(options, Console())
        except DataError as error:
            typer.echo(f"fastrfm demo: {error}", err=True)
            raise typer.Exit(1) from error

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
