"""From arguments to exit code: parses them, runs one command, tells what went wrong."""

import argparse
import contextlib
import inspect
import re
import sys
import traceback
import types
import typing
from collections.abc import Sequence

from absl.flags import argparse_flags

import conveyor
from conveyor.cli.commands import COMMANDS
from conveyor.cli.output import ClosedStdout, Output, own_stdout, say
from conveyor.pipeline.errors import ConveyorError, did_you_mean, from_os_error

INTERRUPTED, CLOSED_PIPE = 130, 141  # 128 + SIGINT, 128 + SIGPIPE, as a shell has it
_OVERRIDE = re.compile(r"[A-Za-z_][\w.-]*=")


class _Parser(argparse_flags.ArgumentParser):
    """An absl-aware parser that answers a misspelt command with the nearest ones."""

    def _check_value(self, action: argparse.Action, value: typing.Any) -> None:
        choices = action.choices
        if isinstance(choices, dict) and value not in choices:
            raise argparse.ArgumentError(action, f"no command {value!r}: {did_you_mean(value, choices)}")
        super()._check_value(action, value)


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the whole command line."""
    parser = _Parser(prog="conveyor", description=inspect.getdoc(conveyor), allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"conveyor {conveyor.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        text = inspect.getdoc(module) or name
        command = commands.add_parser(
            name,
            help=text.partition("\n")[0],
            description=text,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(module=module)
        module.add_arguments(command)
        command.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    return parser


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parses arguments.

    Args:
        words: The arguments, without the name of the program.

    Returns:
        The arguments; `module` is the command's module.

    Raises:
        SystemExit: With 2 where they are wrong, with 0 after `--help` and `--version`.
    """
    return build_parser().parse_args(_spread_overrides(words))


def execute(arguments: argparse.Namespace) -> int:
    """Runs the command that was asked for; returns its exit code."""
    with own_stdout() as stream:
        output = Output(stream)
        try:
            return _execute(arguments, output)
        except ClosedStdout:
            return CLOSED_PIPE
        except KeyboardInterrupt:
            say("conveyor: interrupted")
            return INTERRUPTED


def main(words: Sequence[str]) -> int:
    """Parses arguments and runs the command in this process; returns its exit code."""
    return execute(parse(words))


def _execute(arguments: argparse.Namespace, output: Output) -> int:
    try:
        document = arguments.module.run(arguments)
        if isinstance(document, int):
            return document
        _present(arguments.module, document, arguments.json, output)
        finish = getattr(arguments.module, "finish", None)
        return finish(document) if finish else 0
    except ClosedStdout:
        raise
    except Exception as error:  # the boundary: nothing above it could tell the user
        fields = _tell(error)
        if arguments.json:
            with contextlib.suppress(OSError):  # it may be stdout that cannot be written
                output.json({"error": fields})
        return int(fields["exit_code"])


def _present(module: types.ModuleType, document: typing.Any, as_json: bool, output: Output) -> None:
    if as_json:
        output.json(document if isinstance(document, dict | list) else list(document))
        return
    for item in module.show(document):
        output.show(item)


def _tell(error: Exception) -> dict[str, typing.Any]:
    """Reports an error on stderr; returns its fields for JSON."""
    told = error if isinstance(error, ConveyorError) else from_os_error(error)
    if isinstance(told, ConveyorError):
        say(f"conveyor: {told}")
        return {**told.to_dict(), "exit_code": told.exit_code}
    traceback.print_exception(error, file=sys.stderr)
    return {"kind": type(error).__name__, "what": str(error), "exit_code": 1}


def _spread_overrides(words: Sequence[str]) -> list[str]:
    """Turns `-o a=1 b=2` into `-o a=1 -o b=2`, so that a following argument is not taken for one."""
    spread: list[str] = []
    expects_value = follows_value = False
    for word in words:
        if not expects_value and follows_value and _OVERRIDE.match(word):
            spread.append("-o")
            expects_value = True
        spread.append(word)
        follows_value = expects_value
        expects_value = word == "-o" and not expects_value
    return spread
