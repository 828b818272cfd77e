"""`edgeroute completion`."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command(
    "completion", epilog='\b\nExample, in ~/.bashrc:\n  eval "$(edgeroute completion bash)"', no_args_is_help=True
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell: commands, options and files are completed with the tab key."""
    program = ctx.find_root().info_name or ""
    click.echo(SHELLS[shell](ctx.find_root().command, {}, program, f"_{program.upper()}_COMPLETE").source())
