"""Numbers of options: every command refuses an absurd one in one line, before it does anything."""

import importlib

import click
import pytest
from click.testing import CliRunner

from bench.cli import Bytes, ImageSize

MODULES = (
    "bench.accuracy",
    "bench.all",
    "bench.calls",
    "bench.data.__main__",
    "bench.gpu.__main__",
    "bench.grade",
    "bench.memory.__main__",
    "bench.operators",
    "bench.queue",
    "bench.references",
    "bench.report.__main__",
    "bench.solvers",
    "bench.timing",
)
ABSURD = ("1e400", "inf", "-inf", "nan", "NaN", str(10**26), "-1", "9" * 5000, "", "two", "1_0_", "0x10")


def options_of(command, words=()):
    """Yield each number that a command and its sub-commands take, with the words that lead to it."""
    for parameter in command.params:
        if isinstance(parameter.type, (click.types.IntParamType, click.types.FloatParamType, Bytes, ImageSize)):
            yield words, parameter
    for name in command.list_commands(None) if isinstance(command, click.Group) else ():
        yield from options_of(command.get_command(None, name), (*words, name))


NUMBERS = [
    pytest.param(module, words, parameter, id=f"{module} {' '.join(words)} {parameter.opts[0]}")
    for module in MODULES
    for words, parameter in options_of(importlib.import_module(module).main)
]


@pytest.mark.parametrize(("module", "words", "parameter"), NUMBERS)
def test_no_command_takes_an_absurd_number(module, words, parameter):
    main = importlib.import_module(module).main
    for value in ABSURD:
        answer = CliRunner().invoke(main, [*words, f"{parameter.opts[0]}={value}"], standalone_mode=False)
        assert isinstance(answer.exception, click.ClickException), (value, answer.exception)
        assert "\n" not in answer.exception.format_message()


@pytest.mark.parametrize(
    ("module", "option", "value"),
    [
        ("bench.accuracy", "--batch", "100000000"),
        ("bench.accuracy", "--workers", "100000"),
        ("bench.accuracy", "--steps", "1" + 12 * "0"),
        ("bench.accuracy", "--minutes", "0"),
        ("bench.accuracy", "--seed", str(2**63)),
        ("bench.timing", "--repeats", "1000000"),
        ("bench.memory.__main__", "--image-size", "99999999"),
        ("bench.memory.__main__", "--image-size", "256x99999999"),
        ("bench.memory.__main__", "--cap", "9999999TB"),
    ],
)
def test_what_no_machine_does_is_told_with_the_bounds(module, option, value):
    answer = CliRunner().invoke(importlib.import_module(module).main, [option, value], standalone_mode=False)
    assert isinstance(answer.exception, click.ClickException)
    assert value in answer.exception.format_message()
    assert any(word in answer.exception.format_message() for word in ("range", "to 4096 pixels", "at most"))


def test_what_machines_do_is_taken():
    main = importlib.import_module("bench.accuracy").main
    given = ["--seed", str(2**63 - 1), "--minutes", "0.01", "--batch", "1", "--workers", "0", "--jacobian-weight", "0"]
    values = main.make_context("accuracy", given).params
    assert (values["seeds"], values["minutes"], values["batch"]) == ((2**63 - 1,), 0.01, 1)
    assert ImageSize().convert("4096x16", None, None) == (4096, 16)
    assert Bytes().convert("1024TB", None, None) == 2**50
