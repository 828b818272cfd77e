"""What `deploy/` offers is valid, and what it configures passes `edgeroute check`."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from router_answers import STATUS, RouterAdmin

from edgeroute.config import Secret, load
from edgeroute.config.values import parse_quantity

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"


def run(*command: str | Path) -> None:
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile() -> None:
    run(Path(sys.executable).with_name("hadolint"), DEPLOY / "Dockerfile")


def test_the_image_builds_with_the_locked_maturin() -> None:
    """The lines that the Dockerfile takes from the lock file are a requirement with hashes."""
    command = re.search(r"(sed --quiet .*) > /tmp/maturin.txt", (DEPLOY / "Dockerfile").read_text())
    assert command is not None
    found = subprocess.run(shlex.split(command[1]), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    first, *hashes = found.replace("\\\n", "").split()
    assert first.startswith("maturin==")
    assert hashes
    assert all(each.startswith("--hash=sha256:") for each in hashes)


def test_the_image_is_healthy_while_it_is_ready() -> None:
    health = re.search(r"HEALTHCHECK .* CMD (\[.*?\])$", (DEPLOY / "Dockerfile").read_text(), re.DOTALL | re.MULTILINE)
    assert health is not None
    _, *arguments = json.loads(health[1].replace("\\\n", ""))
    with RouterAdmin(Secret("letmein")) as router:
        arguments = [each.replace("9400", router.address.partition(":")[2]) for each in arguments]
        run(sys.executable, *arguments)
        router.answers.now = STATUS | {"reason": "no worker lives"}
        assert subprocess.run([sys.executable, *arguments], check=False).returncode == 1


def test_the_image_has_what_the_build_needs() -> None:
    kept = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {
        "Cargo.toml",
        "Cargo.lock",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "python",
        "rust",
        "requirements",
    } <= kept
    assert all((ROOT / each).exists() for each in kept)


def test_the_kubernetes_manifest(tmp_path: Path) -> None:
    run(Path(sys.executable).with_name("kubernetes-validate"), "--strict", DEPLOY / "kubernetes.yaml")
    resources = {each["kind"]: each for each in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}
    path = tmp_path / "edgeroute.yaml"
    path.write_text(resources["ConfigMap"]["data"]["edgeroute.yaml"])
    config = load(path, {"OPENAI_API_KEY": "sk-x", "EDGEROUTE_ADMIN_KEY": "admin"}).config
    pod = resources["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] * 1000 > config.drain_delay + config.drain
    ports = {each["name"]: each["containerPort"] for each in pod["containers"][0]["ports"]}
    assert (ports["http"], ports["admin"]) == (config.listen.port, config.admin.port)
    assert config.drain_delay > pod["containers"][0]["readinessProbe"]["periodSeconds"] * 1000


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)")
def test_the_systemd_unit(tmp_path: Path) -> None:
    unit = tmp_path / "edgeroute.service"
    text = (DEPLOY / "edgeroute.service").read_text()
    unit.write_text(text.replace("/opt/edgeroute/bin/edgeroute", "/bin/true"))
    run("systemd-analyze", "verify", unit)
    seconds = next(line for line in text.splitlines() if line.startswith("TimeoutStopSec=")).partition("=")[2]
    assert int(seconds) * 1000 > parse_quantity("30s", "milliseconds"), "longer than the default of drain"
