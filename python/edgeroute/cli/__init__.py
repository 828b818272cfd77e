"""The `edgeroute` command: one file per subcommand, imported only when it is called."""

import sys
from importlib import import_module
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from edgeroute import __version__
from edgeroute.cli.streams import complete_streams
from edgeroute.cli.usage import ExitStatus, describe

PROGRAM = "edgeroute"
COMMANDS = {
    "run": "Start the router.",
    "check": "Check a configuration file, offline.",
    "explain": "Show how a request would be routed, and why.",
    "test": "Run policy tests: requests, and what is expected of each.",
    "rules": "Show how the rules of a configuration are searched.",
    "models": "List the models of a configuration, with who serves them.",
    "keys": "Make and hash virtual keys.",
    "status": "Show workers, targets and limits of a running router.",
    "replicas": "Show and change the replicas of a running router.",
    "cache": "Show the cache of a running router, and remove answers from it.",
    "reload": "Make a running router read its configuration again.",
    "import": "Translate the configuration of another gateway.",
    "mock": "Start the mock provider on its own.",
    "schema": "Print the JSON Schema of the configuration file.",
    "completion": "Print the completion script of a shell.",
    "version": "Print the version.",
}
"""As `edgeroute --help` lists them; each is the function `command` of the module of its name."""

_MODULES = {"import": "import_configuration"}
"""Modules that cannot have the name of their command, because Python reserves it."""


def module(name: str) -> str:
    """The module of a command."""
    return f"edgeroute.cli.{_MODULES.get(name, name)}"


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return import_module(module(cmd_name)).command if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands by their table, so that none is imported, and the options."""
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=COMMANDS[name]) for name in COMMANDS if name.startswith(incomplete)] + options


@click.group(
    PROGRAM,
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def commands() -> None:
    """edgeroute: an LLM edge router. Example: edgeroute run -c edgeroute.yaml"""


def main() -> NoReturn:
    """Run a command of `sys.argv`, and exit with its status: without a traceback, whatever becomes of the output."""
    complete_streams()
    try:
        sys.exit(_run())
    except (KeyboardInterrupt, click.Abort):
        sys.exit(ExitStatus.INTERRUPTED)
    except OSError:  # errors cannot be written either
        sys.exit(ExitStatus.FAILED)


def _run() -> int:
    try:
        # What a command returns is no status: it calls `refuse`, or `sys.exit`.
        status = commands.main(prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        click.echo(describe(error), err=True)
        return error.exit_code
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        what = f"cannot write: {error.strerror}" if error.filename is None else error
        click.echo(f"error: {what}", err=True)
        return ExitStatus.FAILED
    return status if isinstance(status, int) else ExitStatus.DONE
