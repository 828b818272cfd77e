"""TLS for clients, over real workers: the handshake, and another certificate while requests are under way."""

import contextlib
import http.client
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from router_process import Router
from waiting import PATIENCE, wait_for

MakeRouter = Callable[..., Router]
FIRST = Path(__file__).parent.parent / "config" / "tls" / "localhost.crt"
RENEWED = Path(__file__).parent / "tls" / "renewed.crt"


def put(folder: Path, certificate: Path) -> None:
    """As an ACME client does it: the key first, so that for a moment the two do not fit."""
    for suffix in (".key", ".crt"):
        draft = folder / "draft.pem"
        draft.write_bytes(certificate.with_suffix(suffix).read_bytes())
        draft.chmod(0o600)
        draft.rename(folder / f"server{suffix}")


@pytest.fixture
def router(make_router: MakeRouter) -> Router:
    """A router whose clients speak TLS."""
    made = make_router(tls="{certificate: server.crt, key: server.key}", workers=2)
    put(made.folder, FIRST)
    made.start().ready()
    wait_for(lambda: len(made.workers()) == 2)
    return made


def ask(router: Router, context: ssl.SSLContext) -> int:
    connection = http.client.HTTPSConnection("127.0.0.1", router.listen, timeout=PATIENCE, context=context)
    with contextlib.closing(connection):
        connection.request("GET", "/v1/models", headers={"authorization": "Bearer sk-test"})
        return connection.getresponse().status


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def test_clients_speak_tls(router: Router) -> None:
    assert ask(router, trusting(FIRST)) == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(router, trusting(RENEWED))
    with socket.create_connection(("127.0.0.1", router.listen), PATIENCE) as plain:
        plain.sendall(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert not plain.makefile("rb").read().startswith(b"HTTP/")
    wait_for(lambda: f"edgeroute is ready: https://127.0.0.1:{router.listen}" in router.said())


def test_tls_1_2_is_spoken(router: Router) -> None:
    context = trusting(FIRST)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert ask(router, context) == 200


def test_a_renewed_certificate_is_served_without_a_restart(router: Router) -> None:
    workers = set(router.workers())
    put(router.folder, RENEWED)

    def all_new() -> bool:
        return len(router.workers()) == 2 and not workers & set(router.workers())

    wait_for(all_new)
    for _ in range(10):
        assert ask(router, trusting(RENEWED)) == 200
    assert "the certificate is replaced: workers start anew" in router.said()
    assert router.metric("edgeroute_worker_deaths_total") == 0
    assert "died" not in router.said()
    assert router.status()["generation"] == 1


def test_a_certificate_that_does_not_fit_changes_nothing(router: Router) -> None:
    workers = router.workers()
    damaged = router.folder / "server.key"
    damaged.write_bytes(RENEWED.with_suffix(".key").read_bytes())
    wait_for(lambda: "reload refused" in router.said())
    assert ask(router, trusting(FIRST)) == 200
    assert router.workers() == workers


def test_the_copy_of_the_key_is_private_and_goes_with_the_router(router: Router) -> None:
    copy = router.folder / "run" / "tls.pem"
    assert copy.stat().st_mode & 0o777 == 0o600
    router.send(signal.SIGTERM)
    assert router.wait() == 0
    assert not copy.exists()
