"""The supervisor's parts, each alone: addresses, run directory, file watch, restarts, the banner."""

import fcntl
import hashlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
import pytest

from edgeroute._native import WorkerStatus
from edgeroute.config import Address, Config
from edgeroute.config.schema import VirtualKey
from edgeroute.config.values import KeyHash
from edgeroute.errors import StartError
from edgeroute.supervisor.addresses import accepts, reserve
from edgeroute.supervisor.banner import DEMO_KEY, banner
from edgeroute.supervisor.child import RESTARTS, restart_delay
from edgeroute.supervisor.handover import with_allocator
from edgeroute.supervisor.main import shortages, unserved
from edgeroute.supervisor.run_directory import RunDirectory
from edgeroute.supervisor.watch import Watch

# Addresses.


@pytest.fixture
def address() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    return Address(f"127.0.0.1:{port}")


def worker_socket(address: Address) -> socket.socket:
    """As granian's workers bind."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((address.host, address.port))
    bound.listen()
    return bound


def refusal(address: Address) -> str:
    with pytest.raises(StartError) as caught:
        reserve(address, "listen").close()
    return str(caught.value)


def test_a_reserved_address_is_ours_alone_but_our_workers_share_it(address: Address):
    with reserve(address, "listen"):
        assert not accepts(address), "reserved is not listening"
        with worker_socket(address), worker_socket(address):
            assert accepts(address)
        assert "the port is in use" in refusal(address), "a second router is refused while no worker listens"


def test_a_port_in_use_is_refused_even_if_its_owner_shares_it(address: Address):
    with worker_socket(address):
        text = refusal(address)
    assert str(address) in text
    assert "`listen`" in text
    assert f"ss -ltnp 'sport = :{address.port}'" in text


def test_connections_of_a_previous_run_are_in_nobodys_way(address: Address):
    with reserve(address, "listen"), socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((address.host, address.port))
        listener.listen()
        client = socket.create_connection((address.host, address.port))
        served, _ = listener.accept()
    served.close()  # the server closes first: its end waits in TIME_WAIT
    client.close()
    reserve(address, "listen").close()


def test_addresses_that_cannot_be_had():
    assert "this machine has no such address" in refusal(Address("192.0.2.1:4000"))
    assert "cannot listen on no-such-host.invalid:4000 (`listen`)" in refusal(Address("no-such-host.invalid:4000"))


# Run directory.


def test_a_run_directory_is_private_and_goes_away():
    with RunDirectory.create({}) as directory:
        directory.write_generation(1, b"{}")
        directory.cells.touch()
        assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
        assert stat.S_IMODE((directory.path / "generation-1.json").stat().st_mode) == 0o600
    assert not directory.path.exists()


def test_old_generations_are_forgotten(tmp_path: Path):
    with RunDirectory.create({"EDGEROUTE_RUN_DIR": str(tmp_path)}) as directory:
        for number in range(1, 12):
            directory.write_generation(number, b"%d" % number)
        directory.forget_before(10)
        assert sorted(path.name for path in tmp_path.glob("gen*")) == [
            "generation-10.json",
            "generation-11.json",
        ]
        assert (tmp_path / "generation-11.json").read_bytes() == b"11"


def test_two_that_start_at_once_do_not_share_a_run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The first takes it between the second's look at the directory and its opening of the lock."""
    environ = {"EDGEROUTE_RUN_DIR": str(tmp_path)}
    first: list[RunDirectory] = []
    opened = os.open

    def open_late(path: Path, *rest: int) -> int:
        if not first and path.name.startswith("lock"):
            monkeypatch.undo()
            first.append(RunDirectory.create(environ))
        return opened(path, *rest)

    monkeypatch.setattr(os, "open", open_late)
    with pytest.raises(StartError, match="is in use by another edgeroute"):
        RunDirectory.create(environ)
    first[0].cells.touch()
    first[0].remove()


def test_a_lock_that_its_owner_removes_meanwhile_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    environ = {"EDGEROUTE_RUN_DIR": str(tmp_path)}
    first = RunDirectory.create(environ)
    flock = fcntl.flock

    def lock_late(descriptor: int, operation: int) -> None:
        monkeypatch.undo()
        first.remove()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with RunDirectory.create(environ), pytest.raises(StartError, match="is in use by another edgeroute"):
        RunDirectory.create(environ)


def test_what_a_killed_run_left_is_swept_and_one_that_just_starts_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def nothing_is_writable(*_: object) -> bool:
        return False

    monkeypatch.setattr(os, "access", nothing_is_writable)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, content in (("edgeroute-killed", "locked\n"), ("edgeroute-starting", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock").write_text(content)
    with RunDirectory.create({}) as living, RunDirectory.create({}) as other:
        found = {path.name for path in tmp_path.iterdir()}
        assert found == {"edgeroute-starting", living.path.name, other.path.name}


def test_a_named_run_directory_stays_with_what_is_not_ours(tmp_path: Path):
    named = tmp_path / "deep" / "run"
    with RunDirectory.create({"EDGEROUTE_RUN_DIR": str(named)}) as directory:
        directory.cells.touch()
        (named / "notes.txt").touch()
    assert [path.name for path in named.iterdir()] == ["notes.txt"]


def test_a_named_run_directory_is_cleared_of_a_killed_run(tmp_path: Path):
    for name in ("cells", "generation-7.json", "generation-8.json.new", "lock"):
        (tmp_path / name).touch()
    with RunDirectory.create({"EDGEROUTE_RUN_DIR": str(tmp_path)}):
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o720, 0o777])
def test_a_named_run_directory_must_be_private(tmp_path: Path, mode: int):
    tmp_path.chmod(mode)
    with pytest.raises(StartError, match=f"is open to other users .mode {mode:o}.; chmod 700 it"):
        RunDirectory.create({"EDGEROUTE_RUN_DIR": str(tmp_path)})
    assert not list(tmp_path.iterdir())


def test_a_named_run_directory_must_be_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(StartError, match="belongs to another user"):
        RunDirectory.create({"EDGEROUTE_RUN_DIR": str(tmp_path)})


def test_a_generation_is_not_written_through_what_stands_in_its_place(tmp_path: Path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    with RunDirectory.create({"EDGEROUTE_RUN_DIR": str(run)}) as directory:
        (run / "generation-1.json.new").symlink_to(elsewhere)
        directory.write_generation(1, b"{}")
        assert (run / "generation-1.json").read_bytes() == b"{}"
    assert not elsewhere.exists()


def test_a_run_directory_that_cannot_be_removed_hides_no_cause(caplog: pytest.LogCaptureFixture):
    directory = RunDirectory.create({})
    shutil.rmtree(directory.path)
    directory.remove()
    assert f"the run directory {directory.path} is not removed whole" in caplog.text


def test_what_can_be_removed_is(tmp_path: Path):
    with RunDirectory.create({"EDGEROUTE_RUN_DIR": str(tmp_path)}) as directory:
        for number in (1, 3):
            directory.write_generation(number, b"{}")
        (tmp_path / "generation-2.json").mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["generation-2.json"]


def test_two_routers_do_not_share_a_run_directory(tmp_path: Path):
    environ = {"EDGEROUTE_RUN_DIR": str(tmp_path)}
    with RunDirectory.create(environ), pytest.raises(StartError, match="in use by another edgeroute"):
        RunDirectory.create(environ)
    RunDirectory.create(environ).remove()


def test_an_impossible_run_directory_says_why(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="cannot make the run directory"):
        RunDirectory.create({"EDGEROUTE_RUN_DIR": str(tmp_path / "file" / "run")})


def test_what_a_killed_run_left_is_swept_and_what_lives_stays():
    script = (
        "from edgeroute.supervisor.run_directory import RunDirectory; import os, signal\n"
        "print(RunDirectory.create({}).path, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    left = Path(killed.stdout.strip())
    assert left.exists()
    with RunDirectory.create({}) as living, RunDirectory.create({}):
        assert living.path.exists()
        assert not left.exists()


# File watch.


def settled(watch: Watch) -> bool:
    """One change is seen at the second look: the first sees it, the second sees that it is still."""
    return [watch.changed(), watch.changed()] == [False, True] and not watch.changed()


def test_new_content_counts_once_it_is_still(tmp_path: Path):
    file = tmp_path / "a"
    file.write_text("one")
    watch = Watch([file])
    assert not watch.changed()
    file.write_text("two, longer")
    assert settled(watch)
    file.write_text("t")
    assert not watch.changed()
    file.write_text("three, still being written")
    assert not watch.changed()
    assert watch.changed()


def test_a_file_that_appears_in_a_folder_is_a_change(tmp_path: Path):
    watch = Watch([tmp_path])
    assert not settled(watch)
    (tmp_path / "rules.yaml").write_text("one")
    assert settled(watch)
    (tmp_path / "rules.yaml").write_text("another")
    assert not settled(watch), "the file itself is watched for that"


def test_touching_is_not_changing(tmp_path: Path):
    file = tmp_path / "a"
    file.write_text("one")
    watch = Watch([file])
    os.utime(file, (1, 1))
    assert not any(watch.changed() for _ in range(3))


def test_a_symlink_swap_is_a_change(tmp_path: Path):
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "edgeroute.yaml").write_text(version)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "edgeroute.yaml").symlink_to("..data/edgeroute.yaml")
    watch = Watch([tmp_path / "edgeroute.yaml"])
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "..data")
    assert settled(watch)


def test_a_file_that_vanishes_and_comes_back_the_same_is_two_changes(tmp_path: Path):
    file = tmp_path / "secret"
    file.write_text("one")
    watch = Watch([file])
    file.unlink()
    assert settled(watch)
    file.write_text("one")
    assert settled(watch)


# Children.


def test_pauses_grow_and_end():
    assert [restart_delay(failures) for failures in range(1, RESTARTS + 2)] == [0.5, 1, 2, 4, 8, None]


# The banner.


def test_the_banner_shows_a_line_to_paste_only_for_the_demo_key():
    known = VirtualKey(hash=KeyHash(hashlib.sha256(DEMO_KEY.encode()).hexdigest()))
    other = VirtualKey(hash=KeyHash("0" * 64))
    config = Config(listen=Address("0.0.0.0:4000"), models={"openai/*": "openai/*", "fast": "openai/gpt-5-mini"})
    demo = banner(msgspec.structs.replace(config, virtual_keys={"demo": known}))
    assert "curl http://127.0.0.1:4000/v1/chat/completions -H 'authorization: Bearer sk-edgeroute-demo'" in demo
    assert '"model": "fast"' in demo
    assert "limits are per host" in demo
    assert "curl" not in banner(msgspec.structs.replace(config, virtual_keys={"prod": other}))


# Readiness.


@dataclass(frozen=True)
class Worker:
    generation: int
    heartbeat_ms: int = 100_000
    alive: bool = True


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        ([], "no worker lives"),
        ([Worker(2, alive=False)], "no worker lives"),
        ([Worker(2, heartbeat_ms=90_000)], "no worker has given a sign of life for 10 s"),
        ([Worker(1)], "no worker serves generation 2 of the configuration"),
        ([Worker(1), Worker(2, heartbeat_ms=0)], "no worker serves generation 2 of the configuration"),
        ([Worker(2)], None),
        ([Worker(3)], None),
        ([Worker(1), Worker(2, alive=False), Worker(2, heartbeat_ms=90_001)], None),
    ],
)
def test_one_fresh_worker_with_the_configuration_is_enough(workers: list[Worker], expected: str | None):
    assert unserved(cast(list[WorkerStatus], workers), generation=2, now_ms=100_000) == expected


@pytest.mark.parametrize(
    ("connections", "requests", "limit", "expected"),
    [
        (4096, 2048, 6243, ["the limit is 6243"]),
        (4096, 2048, 6244, []),
        (4096, 2048, -1, []),
        (10, 5, 100, ["the limit is 100"]),
        (1_000_000, 500_000, 1_048_576, ["the limit is 1048576"]),
        (100, 100, 1024, ["max_in_flight (100) is not below max_connections (100)"]),
        (100, 200, 300, ["the limit is 300", "max_in_flight (200) is not below max_connections (100)"]),
    ],
)
def test_what_is_short_is_told_before_it_is_met(connections: int, requests: int, limit: int, expected: list[str]):
    config = Config(max_connections=connections, max_in_flight=requests)
    found = list(shortages(config, limit))
    assert len(found) == len(expected)
    assert all(part in message for part, message in zip(expected, found, strict=True))


# The environment of the server.


def test_the_allocator_keeps_memory_unless_the_operator_has_set_it_up():
    ours = with_allocator({"HOME": "/h"})
    assert ours == {"HOME": "/h", "MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "8388608"}
    for theirs in ({"MALLOC_TRIM_THRESHOLD_": "1"}, {"MALLOC_MMAP_THRESHOLD_": ""}, {"GLIBC_TUNABLES": "x"}):
        assert with_allocator(theirs) == theirs
