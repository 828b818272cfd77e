"""The `edgeroute` command: one file per subcommand, imported only when it is called."""

import difflib
from importlib import import_module

import click

COMMANDS = {
    "run": "Start the router.",
    "check": "Check a configuration file, offline.",
    "explain": "Show how a request would be routed, and why.",
    "reload": "Make a running router read its configuration again.",
    "mock": "Start the mock provider on its own.",
    "schema": "Print the JSON Schema of the configuration file.",
    "version": "Print the version.",
}
"""As `edgeroute --help` lists them; each is the function `command` of the module of its name."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"edgeroute.cli.{cmd_name}").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COMMANDS)}."
            ctx.fail(f"No such command {args[0]!r}: {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """edgeroute: an LLM edge router."""
