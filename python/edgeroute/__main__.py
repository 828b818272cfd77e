"""The command `edgeroute`, and `python -m edgeroute`."""

import os
import signal


def main() -> None:
    """Run the command line; it ends the process. Ctrl-C is quiet also while modules are imported."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # else it is ignored, and stays so
        signal.signal(signal.SIGINT, _leave)

    from edgeroute.cli import main as command_line  # noqa: PLC0415

    signal.signal(signal.SIGINT, handler)
    command_line()


def _leave(_number: int, _frame: object) -> None:
    os._exit(130)


if __name__ == "__main__":
    main()
