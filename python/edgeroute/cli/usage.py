"""Exit statuses, and what to say of wrong use."""

import sys
from enum import IntEnum
from typing import NoReturn

import click


class ExitStatus(IntEnum):
    """What every command exits with."""

    DONE = 0
    FAILED = 1
    """It could not be done, or a running router refused it."""
    WRONG_USE = 2
    """The command line, an input file or the configuration is wrong."""
    INTERRUPTED = 130
    """By Ctrl-C."""


def refuse(text: str, status: ExitStatus, advice: str | None = None) -> NoReturn:
    """Say why on standard error, what to do, and exit."""
    click.echo(text if advice is None else f"{text}\n  help: {advice}", err=True)
    sys.exit(status)


def describe(error: click.ClickException) -> str:
    """What click found wrong with the command line."""
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return message
    text = f"error: {message[:1].lower()}{message[1:]}"
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return text
    usage = context.get_usage().replace("Usage:", "usage:")
    return f"{text}\n  {usage}\n  help: {context.command_path} --help"
