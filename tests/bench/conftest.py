"""What the tests of the benchmark share."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Has these tests come last: while crates are compiled for their own tests, `load_binary` has to wait."""
    items.sort(key=lambda item: item.path.is_relative_to(Path(__file__).parent))


@pytest.fixture(scope="session")
def load_binary() -> Path:
    """`edgeroute-load` of the debug profile, as `make test-rust` builds it too."""
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--package", "edgeroute-load"], cwd=ROOT, check=True)
    binary = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "edgeroute-load"
    os.environ["EDGEROUTE_LOAD"] = str(binary)
    return binary
