"""The connection notes how far a request got, over plain TCP and over TLS."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hean.bybit.wire import Connection, DeadlinePassed, Wire
from hean.core.calls import Phase
from tests.bybit.peer import Peer, Talk

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"


@contextmanager
def connection_to(peer: Peer, wire: Wire, **options: str) -> Iterator[Connection]:
    scheme = "https" if options.pop("tls", "") else "http"
    connection = Connection(lambda: f"{scheme}://127.0.0.1:{peer.port}", wire, **options)
    try:
        yield connection
    finally:
        connection.close()


def test_phases_follow_the_request():
    seen: list[Phase] = []
    wire = Wire(lambda: seen.append(wire.phase))

    def script(talk: Talk) -> None:
        talk.read_request()
        seen.append(wire.phase)
        talk.answer({})

    with Peer(script) as peer, connection_to(peer, wire) as connection:
        wire.begin(5)
        assert Phase.BEFORE_SEND is wire.phase
        connection.ask(POST)
    assert Phase.BEFORE_SEND is seen[0]
    assert seen[1] in {Phase.SENDING, Phase.AFTER_SEND}
    assert Phase.AFTER_SEND is wire.phase


def test_first_byte_is_told_once_a_request():
    told: list[int] = []
    wire = Wire(lambda: told.append(1))

    def script(talk: Talk) -> None:
        while talk.read_request():
            talk.answer({})

    # More than the kernel takes at once, so that it leaves in several steps.
    body = b"x" * 8_000_000
    request = POST.replace(b"Length: 1", f"Length: {len(body)}".encode())[:-1] + body
    with Peer(script) as peer, connection_to(peer, wire) as connection:
        for expected in (1, 2):
            wire.begin(30)
            connection.ask(request)
            assert expected == len(told)
    assert [len(request)] * 2 == [len(whole) for whole in peer.requests]


def test_connection_that_failed_carries_no_other_request():
    wire = Wire(lambda: None)

    def script(talk: Talk) -> None:
        talk.read_request()
        if 0 == talk.number:
            # Silent until another request comes, which would take this for its answer.
            talk.read_request()
            talk.answer(b"late")
        talk.answer(b"right")

    with Peer(script) as peer, connection_to(peer, wire) as connection:
        wire.begin(0.3)
        with pytest.raises(DeadlinePassed):
            connection.ask(POST)
        wire.begin(5)
        assert b"right" == connection.ask(POST).body
    assert 2 == peer.accepted


def test_no_time_left_is_said_before_a_byte():
    wire = Wire(lambda: pytest.fail("a byte left"))
    wire.begin(0)
    with pytest.raises(DeadlinePassed):
        wire.left_s()
    with pytest.raises(DeadlinePassed):
        wire.sending()
    assert Phase.BEFORE_SEND is wire.phase


def over_tls(certificate: Path, *, hang: bool = False, once: bool = False, answer: object = None) -> Peer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def script(talk: Talk) -> None:
        talk.sock = context.wrap_socket(talk.sock, server_side=True)
        talk.peer._open.append(talk.sock)
        while talk.read_request():
            if hang:
                talk.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
                talk.wait()
            talk.answer(answer or {"retCode": 0})
            if once:
                return

    return Peer(script)


def test_tls_answers_as_plain_tcp_does(certificate):
    wire = Wire(lambda: None)
    with over_tls(certificate) as peer, connection_to(peer, wire, tls="1", ca_file=str(certificate)) as connection:
        for _ in range(3):
            wire.begin(5)
            assert b'{"retCode": 0}' == connection.ask(POST).body
    assert Phase.AFTER_SEND is wire.phase
    assert (1, 3) == (peer.accepted, len(peer.requests))


def test_tls_carries_requests_and_answers_of_any_size(certificate):
    wire = Wire(lambda: None)
    body = b"x" * 3_000_000
    request = POST.replace(b"Length: 1", f"Length: {len(body)}".encode())[:-1] + body
    with (
        over_tls(certificate, answer=body) as peer,
        connection_to(peer, wire, tls="1", ca_file=str(certificate)) as connection,
    ):
        wire.begin(30)
        assert body == connection.ask(request).body
    assert [request] == peer.requests


def test_tls_is_bounded_by_the_deadline(certificate):
    wire = Wire(lambda: None)
    with (
        over_tls(certificate, hang=True) as peer,
        connection_to(peer, wire, tls="1", ca_file=str(certificate)) as connection,
    ):
        wire.begin(0.5)
        with pytest.raises(DeadlinePassed):
            connection.ask(POST)
    assert Phase.AFTER_SEND is wire.phase


def test_tls_handshake_is_bounded_by_the_deadline(certificate):
    wire = Wire(lambda: pytest.fail("a byte left"))
    with (
        Peer(Talk.wait) as peer,
        connection_to(peer, wire, tls="1", ca_file=str(certificate)) as connection,
    ):
        wire.begin(0.5)
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            connection.ask(POST)
    assert time.monotonic() - started < 5
    assert Phase.BEFORE_SEND is wire.phase


def test_tls_connection_found_closed_is_replaced_before_sending(certificate):
    wire = Wire(lambda: None)
    with (
        over_tls(certificate, once=True) as peer,
        connection_to(peer, wire, tls="1", ca_file=str(certificate)) as connection,
    ):
        for number in (1, 2):
            wire.begin(5)
            connection.ask(POST)
            peer._threads[number].join(5)
    assert 2 == peer.accepted


def test_tls_that_does_not_verify_sends_no_byte(certificate):
    wire = Wire(lambda: pytest.fail("a byte left"))
    with over_tls(certificate) as peer, connection_to(peer, wire, tls="1") as connection:
        wire.begin(5)
        with pytest.raises(ssl.SSLCertVerificationError):
            connection.ask(POST)
    assert Phase.BEFORE_SEND is wire.phase


def test_certificate_of_another_host_sends_no_byte(certificate):
    wire = Wire(lambda: pytest.fail("a byte left"))
    with over_tls(certificate) as peer:
        # The same server under a name that its certificate does not hold: an older spelling of the address.
        connection = Connection(lambda: f"https://127.1:{peer.port}", wire, ca_file=str(certificate))
        wire.begin(5)
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            connection.ask(POST)
    assert Phase.BEFORE_SEND is wire.phase


def test_keys_of_a_session_are_written_nowhere(certificate, monkeypatch, tmp_path):
    wire = Wire(lambda: None)
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    with over_tls(certificate) as peer, connection_to(peer, wire, tls="1", ca_file=str(certificate)) as connection:
        wire.begin(5)
        connection.ask(POST)
    assert not (tmp_path / "keys").exists()
