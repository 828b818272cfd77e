"""A name server on loopback whose answers a test chooses, over UDP and TCP (RFC 1035)."""

import socketserver
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from waiting import free_port

_LARGEST_DATAGRAM = 512


class NameServer:
    """Answers with `records`, by name and type; what is not there does not exist. Use it as a context manager."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.broken: set[str] = set()
        """Types for which it answers SERVFAIL."""
        self.asked: list[str] = []
        """`name type` of each question."""
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        server = self

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                query, sender = self.request
                sender.sendto(server.answer(query, _LARGEST_DATAGRAM), self.client_address)

        class Stream(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                answer = server.answer(self.rfile.read(int.from_bytes(self.rfile.read(2))), 65_535)
                self.wfile.write(len(answer).to_bytes(2) + answer)

        self._servers = [
            socketserver.ThreadingUDPServer(("127.0.0.1", port), Datagram),
            socketserver.ThreadingTCPServer(("127.0.0.1", port), Stream),
        ]
        self._threads = [threading.Thread(target=each.serve_forever, args=(0.01,)) for each in self._servers]

    def __enter__(self) -> "NameServer":
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    def answer(self, query: bytes, most: int) -> bytes:
        """The answer; without records and marked so if it is longer than `most` bytes."""
        answer = self._answer(query)
        if len(answer.to_wire()) > most:
            answer.answer.clear()
            answer.flags |= dns.flags.TC
        return answer.to_wire()

    def _answer(self, query: bytes) -> dns.message.Message:
        question = dns.message.from_wire(query)
        name, kind = question.question[0].name, dns.rdatatype.to_text(question.question[0].rdtype)
        text = name.to_text(omit_final_dot=True)
        self.asked.append(f"{text} {kind}")
        answer = dns.message.make_response(question)
        if kind in self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif records := self.records.get((text, kind)):
            answer.answer.append(dns.rrset.from_text(name, 0, "IN", kind, *records))
        elif not any(of == text for of, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer
