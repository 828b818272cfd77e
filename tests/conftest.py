"""Options of the whole suite."""

import gc
import signal

import pytest

# A job in the background of a script ignores Ctrl-C, and so would every process that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing")


@pytest.fixture(scope="module", autouse=True)
def what_is_there_stays() -> None:
    """Some tests call the garbage collector often: it need not look at thousands of tests and what they have left.

    NOTE: the 70 tests of ends of a request, collected with all others, take 20 s of CPU instead of 41.
    """
    gc.collect()
    gc.freeze()
