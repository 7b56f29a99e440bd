"""The command fastrfm."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import fastrfm
from fastrfm import cli, demo


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.build_app(), list(arguments))


def test_info_shows_the_configuration() -> None:
    result = run("info")
    assert result.exit_code == 0
    assert result.output.strip() == repr(fastrfm.show_config()).strip()
    assert fastrfm.__version__ in result.output


def test_the_entry_point_is_installed() -> None:
    command = Path(sys.executable).with_name("fastrfm")
    shown = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    assert "demo" in shown
    assert "info" in shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), {"folds": 5, "repeats": 2, "alpha": 1e-3, "output": Path("fastrfm-demo")}),
        (("--quick", "--folds", "9"), {"folds": 2, "repeats": 1}),
        (
            ("--data", "a.csv", "--target", "y", "--output", "out", "--folds", "4"),
            {"file": Path("a.csv"), "target": "y", "output": Path("out"), "folds": 4},
        ),
        (("--alpha", "1", "--repeats", "7"), {"alpha": 1.0, "repeats": 7}),
    ],
)
def test_demo_options(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], expected: dict[str, Any]
) -> None:
    asked: list[demo.DemoOptions] = []
    monkeypatch.setattr(demo, "run_demo", lambda options, console: asked.append(options))
    assert run("demo", *arguments).exit_code == 0
    for name, value in expected.items():
        assert getattr(asked[0], name) == value


@pytest.mark.parametrize("arguments", [("--data", "a.csv"), ("--target", "y")])
def test_data_and_target_belong_together(arguments: tuple[str, ...]) -> None:
    result = run("demo", *arguments)
    assert result.exit_code == 2
    assert "--data and --target belong together" in result.output


def test_unusable_data_end_with_a_sentence_not_a_traceback(tmp_path: Path) -> None:
    result = run("demo", "--data", str(tmp_path / "none.csv"), "--target", "y")
    assert result.exit_code == 1
    assert result.output.startswith("fastrfm demo: there is no file")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        ("", "typer", "cli"),
        ("--help", "rich", "cli"),
        ("fit", "pandas", "cli"),
        ("predict", "pandas", "cli"),
        ("demo", "matplotlib", "demo"),
        ("bench", "matplotlib", "bench"),
    ],
)
def test_missing_packages_are_named(
    command: str,
    missing: str,
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["fastrfm", *filter(None, [command])])
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else find_spec(name)
    )
    with pytest.raises(SystemExit) as exit_info:
        cli.main()
    assert exit_info.value.code == 1
    expected = f'the command fastrfm needs {missing}: pip install "fastrfm[{extra}]"\n'
    assert capsys.readouterr().err == expected


def test_without_the_extras_the_library_and_the_command_still_import() -> None:
    program = """
import sys
for name in ("typer", "rich", "matplotlib", "pandas"):
    sys.modules[name] = None
import fastrfm, fastrfm.displays, fastrfm.cli
"""
    subprocess.run([sys.executable, "-c", program], check=True)
