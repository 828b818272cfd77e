"""``python -m edgeroute.mock``: the mock provider as a process of its own."""

import argparse

from edgeroute.config.distributions import Distribution
from edgeroute.errors import StartError
from edgeroute.mock import faults
from edgeroute.mock.server import serve
from edgeroute.mock.settings import MockSettings


def main() -> None:
    """Read the command line and serve; the exit status is 1 when the mock provider cannot start."""
    default = MockSettings()
    parser = argparse.ArgumentParser(
        prog="python -m edgeroute.mock",
        description="A mock provider that speaks OpenAI and Anthropic over HTTP.",
        epilog=faults.describe(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--listen", default=default.listen, help="host:port (default: %(default)s)")
    for name, time in (("--first-token", default.first_token), ("--token-interval", default.token_interval)):
        parser.add_argument(name, default=time, help="a time or a distribution (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=default.seed, help="of the replies (default: %(default)s)")
    parser.add_argument("--parent", type=int, help="end when this parent process is gone")
    options = parser.parse_args()
    try:
        settings = MockSettings(
            listen=options.listen,
            first_token=Distribution.parse(options.first_token),
            token_interval=Distribution.parse(options.token_interval),
            seed=options.seed,
            parent=options.parent,
        )
        serve(settings)
    except (ValueError, StartError) as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
