"""docs/how-to/test-your-application.md: its snippets are a conftest.py and a test file that pass."""

import os
import re
import subprocess
import sys
from pathlib import Path

from mock_client import HANG

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "test-your-application.md"


def test_the_snippets_pass_as_they_are(tmp_path: Path) -> None:
    fixture, *tests = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "conftest.py").write_text(fixture)
    (tmp_path / "test_application.py").write_text("\n\n".join(tests))
    command = tmp_path / "bin" / "edgeroute"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m edgeroute "$@"\n')
    command.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True, text=True, timeout=10 * HANG, cwd=tmp_path,
        env={**os.environ, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sum(text.count('def test_') for text in tests)} passed" in done.stdout
