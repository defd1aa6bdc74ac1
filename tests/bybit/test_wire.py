"""The transport notes how far a request got, over plain TCP and over TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import requests

from hean.bybit.wire import DeadlinePassed, Wire, WireAdapter
from hean.core.calls import Phase
from tests.bybit.peer import Peer, Talk


def session_over(wire: Wire) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, WireAdapter(wire))
    return session


def test_phases_follow_the_request():
    seen: list[Phase] = []
    wire = Wire(lambda: seen.append(wire.phase))

    def script(talk: Talk) -> None:
        talk.read_request()
        seen.append(wire.phase)
        talk.answer({})

    with Peer(script) as peer, session_over(wire) as session:
        wire.begin(5)
        assert Phase.BEFORE_SEND is wire.phase
        session.post(f"http://127.0.0.1:{peer.port}/", data=b"x")
    assert Phase.BEFORE_SEND is seen[0]
    assert seen[1] in {Phase.SENDING, Phase.AFTER_SEND}
    assert Phase.AFTER_SEND is wire.phase


def test_first_byte_is_told_once_a_request():
    told: list[int] = []
    wire = Wire(lambda: told.append(1))

    def script(talk: Talk) -> None:
        while talk.read_request():
            talk.answer({})

    with Peer(script) as peer, session_over(wire) as session:
        for expected in (1, 2):
            wire.begin(5)
            session.post(f"http://127.0.0.1:{peer.port}/", data=b"a body of its own packet")
            assert expected == len(told)


def test_no_time_left_is_said_before_a_byte():
    wire = Wire(lambda: pytest.fail("a byte left"))
    wire.begin(0)
    with pytest.raises(DeadlinePassed):
        wire.left_s()
    with pytest.raises(DeadlinePassed):
        wire.sending()
    assert Phase.BEFORE_SEND is wire.phase


def over_tls(certificate: Path, *, hang: bool) -> Peer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def script(talk: Talk) -> None:
        talk.sock = context.wrap_socket(talk.sock, server_side=True)
        talk.peer._open.append(talk.sock)
        talk.read_request()
        if hang:
            talk.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
            talk.wait()
        talk.answer({"retCode": 0})

    return Peer(script)


def test_tls_answers_as_plain_tcp_does(certificate):
    wire = Wire(lambda: None)
    with over_tls(certificate, hang=False) as peer, session_over(wire) as session:
        wire.begin(5)
        response = session.get(f"https://127.0.0.1:{peer.port}/", verify=str(certificate))
    assert {"retCode": 0} == response.json()
    assert Phase.AFTER_SEND is wire.phase


def test_tls_is_bounded_by_the_deadline(certificate):
    wire = Wire(lambda: None)
    with over_tls(certificate, hang=True) as peer, session_over(wire) as session:
        wire.begin(0.5)
        with pytest.raises(requests.RequestException):
            session.get(f"https://127.0.0.1:{peer.port}/", verify=str(certificate))
    assert Phase.AFTER_SEND is wire.phase


def test_tls_that_does_not_verify_sends_no_byte(certificate):
    wire = Wire(lambda: pytest.fail("a byte left"))
    with over_tls(certificate, hang=False) as peer, session_over(wire) as session:
        wire.begin(5)
        with pytest.raises(requests.exceptions.SSLError):
            session.get(f"https://127.0.0.1:{peer.port}/")
    assert Phase.BEFORE_SEND is wire.phase
