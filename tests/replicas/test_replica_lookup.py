"""Finding replicas: by addresses, by SRV records, in files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from name_server import NameServer

from edgeroute.config.members import Member
from edgeroute.config.values import Address
from edgeroute.replicas.lookup import Kind, LookupFailedError, Source
from edgeroute.replicas.lookup import find as find_in


@pytest.fixture
def server() -> Iterator[NameServer]:
    with NameServer() as running:
        yield running


def source(kind: Kind, place: str, server: NameServer | None = None) -> Source:
    nameserver = Address(server.address) if server else None
    return Source(provider="vllm", kind=kind, place=place, every=10, nameserver=nameserver)


def find(found: Source) -> list[Member]:
    return find_in(found, {"HOST": "b"})


def names(found: Source) -> list[tuple[str, int]]:
    return [(each.name, each.weight) for each in find(found)]


def test_every_address_is_a_replica(server: NameServer):
    server.records = {
        ("vllm.svc", "A"): ["10.0.0.9", "10.0.0.7", "10.0.0.7"],
        ("vllm.svc", "AAAA"): ["fd00::7"],
    }
    url = "https://vllm.svc:8000/v1"
    expected = [(f"{url}@{each}", 1) for each in ("10.0.0.7", "10.0.0.9", "fd00::7")]
    assert names(source("dns", url, server)) == expected
    assert sorted(server.asked) == ["vllm.svc A", "vllm.svc AAAA"]
    del server.records["vllm.svc", "AAAA"]
    assert len(find(source("dns", url, server))) == 2


def test_an_answer_may_be_longer_than_a_datagram(server: NameServer):
    server.records = {("vllm.svc", "A"): [f"10.0.{n // 250}.{n % 250}" for n in range(1_000)]}
    assert len(find(source("dns", "http://vllm.svc/v1", server))) == 1_000


def test_services_say_hosts_ports_and_weights(server: NameServer):
    server.records = {
        ("_http._tcp.vllm.svc", "SRV"): [
            "10 3 8001 gpu-1.svc.",
            "10 0 8000 gpu-0.svc.",
            "20 9 8000 spare.svc.",
        ]
    }
    expected = [("http://gpu-0.svc:8000/v1", 1), ("http://gpu-1.svc:8001/v1", 3)]
    assert names(source("srv", "http://_http._tcp.vllm.svc/v1", server)) == expected
    server.records = {("_http._tcp.vllm.svc", "SRV"): ["0 0 0 ."]}
    assert names(source("srv", "http://_http._tcp.vllm.svc/v1", server)) == []


def test_a_name_without_records_names_nobody_and_a_failure_is_none_of_these(server: NameServer):
    assert find(source("dns", "http://vllm.svc/v1", server)) == []
    server.records = {("vllm.svc", "TXT"): ["x"]}
    assert find(source("dns", "http://vllm.svc/v1", server)) == []
    server.records = {("vllm.svc", "A"): ["10.0.0.7"]}
    server.broken = {"AAAA"}
    with pytest.raises(LookupFailedError, match="SERVFAIL"):
        find(source("dns", "http://vllm.svc/v1", server))
    with pytest.raises(LookupFailedError):
        find(source("dns", f"http://{'x' * 64}.svc/v1", server))


# Files.


def written(folder: Path, text: str) -> Source:
    (folder / "replicas.yaml").write_text(text)
    return source("file", str(folder / "replicas.yaml"))


def test_a_file_lists_urls_as_the_configuration_does(tmp_path: Path):
    text = 'urls:\n- "http://${HOST}:1/v1/"\n- {url: HTTP://A:1/v1, weight: 3}\n- {url: http://c/v1, drain: true}\n'
    assert names(written(tmp_path, text)) == [("http://a:1/v1", 3), ("http://b:1/v1", 1), ("http://c/v1", 0)]
    assert names(written(tmp_path, '{"urls": ["http://b:1/v1"]}')) == [("http://b:1/v1", 1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("urls: [{url: http://a/v1, wait: 3}]", 'replicas.yaml:1:27: error: unknown setting "wait"'),
        ("urls: [gpu-0:8000]", "replicas.yaml:1:8: error: a provider's URL is http:// or https://"),
        ("urls: [", "replicas.yaml:"),
        ("urls: []", '"urls" is empty'),
        ("", "replicas.yaml:"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(tmp_path: Path, text: str, expected: str):
    with pytest.raises(LookupFailedError) as failed:
        find(written(tmp_path, text))
    assert expected in str(failed.value)
    assert "\n" not in str(failed.value)


def test_no_file(tmp_path: Path):
    with pytest.raises(LookupFailedError, match="cannot read the replicas"):
        find(source("file", str(tmp_path / "none.yaml")))
