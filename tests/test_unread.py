"""What clients have not taken: how the kernel's tables are read, and how a stream waits for them."""

import asyncio
import socket
from contextlib import closing
from pathlib import Path

import pytest
from waiting import wait_for

from edgeroute.unread import Pace, SendQueues, queue_sizes

TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
ROW = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
FEW, MANY = 1 << 10, 1 << 20


def row(local: str, remote: str, unread: int) -> str:
    return f"   0: {local} {remote} 01 {unread:08X}:00000000 00:00000000 00000000     0        0 1 1 x\n"


@pytest.mark.parametrize(
    ("peer", "written"),
    [
        ("127.0.0.1:57632", "0100007F:E120"),
        ("10.1.2.3:80", "0302010A:0050"),
        ("[::1]:4711", "00000000000000000000000001000000:1267"),
        ("::ffff:10.1.2.3:80", "0000000000000000FFFF00000302010A:0050"),
    ],
)
def test_a_row_is_found_by_its_remote_address(tmp_path: Path, peer: str, written: str) -> None:
    table = tmp_path / "tcp"
    ours = written.partition(":")[0] + ":0FA0"
    # The client's own socket, on the same machine, is no answer.
    table.write_text(ROW + row(written, ours, 77) + row(ours, written, 1234) + row(ours, written[:-1] + "F", 5))
    assert queue_sizes([table, tmp_path / "absent"], [peer, "192.0.2.1:1"]) == {peer: 1234}


def test_what_is_no_address_is_nowhere(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    table.write_text(ROW)
    assert queue_sizes([table], ["", "unix:", "/run/socket", "localhost:80"]) == {}


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_kernel_shows_what_is_unread(family: socket.AddressFamily) -> None:
    try:
        listener = socket.create_server(("localhost", 0), family=family)
    except OSError:
        pytest.skip("the machine lacks this family")
    with closing(listener), closing(socket.create_connection(listener.getsockname()[:2])) as client:
        server, (host, port, *_) = listener.accept()
        with closing(server):
            peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            server.setblocking(False)
            sent = 0
            while True:
                try:
                    sent += server.send(bytes(65536))
                except BlockingIOError:
                    break
            assert queue_sizes(TABLES, [peer])[peer] > 16 << 10
            client.settimeout(60)
            while sent:
                sent -= len(client.recv(1 << 20))
            wait_for(lambda: queue_sizes(TABLES, [peer]) == {peer: 0})
    wait_for(lambda: queue_sizes(TABLES, [peer]).get(peer, 0) == 0)


def test_a_stream_goes_two_portions_ahead_of_its_client(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    portion = 256 << 10

    async def main() -> None:
        queues = SendQueues(asyncio.get_running_loop(), [table])
        pace = Pace(queues, "127.0.0.1:57632", 3 * portion + 5)

        def unread(size: int) -> None:
            table.write_text(row("0100007F:0FA0", "0100007F:E120", size))

        async def look_until(task: "asyncio.Task[int]") -> int:
            async with asyncio.timeout(60):
                while not task.done():
                    queues.look()
                    await asyncio.sleep(0.001)
            return await task

        unread(MANY)
        assert pace.first == portion
        assert await pace.go_on(-7) == portion - 7, "the second portion waits for nobody"
        third = asyncio.create_task(pace.go_on(-1))
        for _ in range(50):
            queues.look()
            await asyncio.sleep(0.001)
        assert not third.done()
        unread(FEW)
        assert await look_until(third) == portion - 1
        unread(MANY)
        fourth = asyncio.create_task(pace.go_on(-3))
        await asyncio.sleep(0)
        assert not fourth.done()
        table.unlink()  # the connection is gone
        assert await look_until(fourth) == 5 - 3
        assert await pace.go_on(-1) == -1, "the stream is too large"
        pace.close()
        table.write_text("")

        waits = queues.taken("127.0.0.1:57632")
        queues.close()
        assert waits.done()

    asyncio.run(main())
