"""The key and its secret are told by whoever could tell them, and stand nowhere afterwards."""

from __future__ import annotations

import json
import traceback
import urllib.request
from pathlib import Path

import attrs
import pytest
from loguru import logger

from hean import ConfigError, EventType, OrderState, Router
from hean.bybit.auth import Credentials
from hean.bybit.endpoints import checked
from hean.bybit.rest import RestClient
from hean.core import ids
from hean.core.types import Ms
from hean.settings import Settings
from tests.conftest import env_of
from tests.desk.conftest import WAIT_S, hean_in, resting, signal
from tests.exchange import LoopbackExchange

SECRET = "s3cr3tOfTheAccountThatMustNotLeak"
KEY = "k3yOfTheAccountThatMustNotLeak"
WORDS = f"secret {SECRET} key {KEY}"

VERBS = [
    *("status", "signals", "signals --denied", "orders", "positions", "reconcile", "replay", "doctor"),
    *("config show", "schema", "version", "diagram order --order refused", "halt", "resume", "cancel filled"),
    *(f"trace {name}{raw}" for name in ("refused", "filled", "broken", "rejected", "lost") for raw in ("", " --raw")),
]


def leaky_faults(exchange: LoopbackExchange, entry: str) -> None:
    """Everything that an exchange, or somebody between, can put into an answer or a frame."""
    create = {"endpoint": "order/create"} if entry == "rest" else {"op": "order.create"}
    lost = {"ret_code": 10016, "ret_msg": f"origin_string[{KEY}] {WORDS}", "executed": True}
    exchange.fault("error", create | of("refused"), args={"ret_code": 110007, "ret_msg": WORDS})
    exchange.fault("error", create | of("lost"), args=lost)
    exchange.fault("reject_after_ack", of("rejected"), args={"reject_reason": WORDS.replace(" ", "_")})
    exchange.fault("error", {"endpoint": "position/list"}, args={"http_status": 500, "body": f"<p>{WORDS}"})
    exchange.fault("error", {"endpoint": "order/realtime"}, args={"http_status": 200, "body": f'{{"{WORDS}'})
    exchange.fault("poison_frame", args={"kind": "not_json", "text": f"{{{WORDS}"})


def of(name: str) -> dict[str, str]:
    asked = signal(name)
    return {"orderLinkId": ids.order_link_id(asked.strategy_id, asked.signal_id, asked.leg)}


def lived(env: dict[str, str], exchange: LoopbackExchange, folder: Path, entry: str) -> dict[str, str]:
    """What a router told of itself while all that happened, by place."""
    told: dict[str, str] = {}
    with Router.from_env(env, metrics__port=0, orders__query_base_s=0.1) as router:
        events = router.events(timeout_s=0)

        def hurt(event: object) -> None:
            raise ValueError(WORDS)

        router.subscribe(EventType.ORDER_SETTLED, hurt)
        leaky_faults(exchange, entry)
        tickets = {name: router.submit(signal(name)) for name in ("refused", "lost", "rejected")}
        router.submit(resting("filled", price="99000")).wait(WAIT_S)
        for name in ("refused", "rejected"):
            assert OrderState.REJECTED == tickets[name].wait(WAIT_S).outcome
        assert OrderState.FILLED == tickets["lost"].wait(WAIT_S).outcome
        exchange.fault("poison_frame", {"topic": "execution"}, args={"kind": "binary", "text": WORDS})
        router.submit(signal("broken")).wait(WAIT_S)
        router.reconcile(WAIT_S)
        seen = list(events)
        with urllib.request.urlopen(f"http://127.0.0.1:{router.metrics_port}/metrics") as reply:
            told["metrics page"] = reply.read().decode()
        told["metrics"] = repr(router.metrics)
        told["events"] = repr(seen) + repr([attrs.asdict(event) for event in seen])
        told["snapshots"] = repr([ticket.snapshot() for ticket in tickets.values()]) + str(router.orders)
        told["tickets"] = repr(tickets) + "".join("".join(ticket.trace()) for ticket in tickets.values())
        told["router"] = repr(router) + str(router) + repr(vars(router))
        told["journal of a router that runs"] = kept_in(folder)
        assert any(event.type is EventType.QUARANTINED for event in seen)
    told["journal"] = kept_in(folder)
    return told


def kept_in(folder: Path) -> str:
    """Every byte that is on the disk: the journal, its log ahead, its index, its lock, its brake."""
    return "".join(f"{path.name}: {path.read_bytes().decode('latin-1')}" for path in sorted(folder.iterdir()))


def errors_of(env: dict[str, str], exchange: LoopbackExchange, folder: Path) -> dict[str, str]:
    """What raises where the key is wrong, and what it says with its whole traceback."""
    told: dict[str, str] = {}
    wrong = {"HEAN_JOURNAL__PATH": str(folder / "other.db")}
    cases = {
        "refused key": {"BYBIT_API_SECRET": f"{SECRET}x"},
        "secret with a line end": {"BYBIT_API_SECRET": f"{SECRET}\n"},
        "secret under a wrong name": {"HEAN_BYBIT__API_SECRT": SECRET},
        "secret in a file that is no TOML": {"HEAN_CONFIG": str(folder / "torn.toml")},
        "secret in a place of the file that takes none": {"HEAN_CONFIG": str(folder / "odd.toml")},
    }
    (folder / "torn.toml").write_text(f'[bybit]\napi_secret = "{SECRET}\n')
    (folder / "odd.toml").write_text(f'[bybit]\napi_secret = ["{SECRET}"]\n')
    exchange.fault("error", match={"endpoint": "user/query-api"}, args={"ret_code": 10004, "ret_msg": WORDS})
    for name, changes in cases.items():
        with pytest.raises(Exception) as raised:
            Router.from_env(env | wrong | changes).start()
        told[name] = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
    for name in ("torn.toml", "odd.toml"):
        (folder / name).unlink()
    return told


@pytest.mark.parametrize("entry", ["rest", "ws"])
def test_neither_key_nor_secret_stands_anywhere(
    entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    # As a careless host would: everything, with the values of variables in tracebacks.
    number = logger.add(lines.append, level="TRACE", serialize=True, backtrace=True, diagnose=True)
    with LoopbackExchange(api_key=KEY, api_secret=SECRET) as exchange:
        env = env_of(exchange, kept / "journal.db", bybit__entry=entry)
        told = lived(env, exchange, kept, entry)
        told |= errors_of(env, exchange, tmp_path)
        hean = hean_in(env)
        for verb in VERBS:
            # One object and an object a line are written from the same.
            ran = hean(*verb.split(), "-o", "json" if entry == "ws" else "text")
            told[f"hean {verb}"] = ran.out + ran.err
        hean("trace", "refused", "--html", tmp_path / "story.html")
        told["page"] = (tmp_path / "story.html").read_text()
        refused = hean_in(env | {"BYBIT_API_SECRET": f"{SECRET}x"})
        for verb in ("doctor", "kill", "positions", "config show"):
            ran = refused(*verb.split())
            told[f"hean {verb} with a wrong secret"] = ran.out + ran.err
        # It was told: what is looked for below was there to be found.
        fired = [(fault["fault"], fault["fired"]) for fault in exchange.faults()]
        assert [] == [name for name, times in fired if not times]
    logger.remove(number)
    told["log"] = "".join(lines)
    told["stdout and stderr"] = "".join(capfd.readouterr())
    assert "event.QUARANTINED" in told["log"]
    assert "handler.failed" in told["log"]
    assert "[redacted]" in told["journal"]
    leaks = [place for place, text in told.items() if SECRET in text or KEY in text]
    assert [] == leaks


def test_what_holds_them_does_not_show_them():
    env = {"BYBIT_API_KEY": KEY, "BYBIT_API_SECRET": SECRET}
    settings, credentials = Settings.load(env), Credentials(api_key=KEY, api_secret=SECRET)
    bybit = settings.bybit
    endpoints = checked(rest_url=bybit.rest_url, private_url=bybit.private_url, trade_url=bybit.trade_url)
    client = RestClient(endpoints=endpoints, credentials=credentials, clock=lambda: Ms(0))
    shown = [settings, settings.bybit, settings.describe(), credentials, client, vars(client)]
    for one in shown:
        for text in (repr(one), str(one), f"{one}", json.dumps(one, default=repr)):
            assert SECRET not in text
            assert KEY not in text
    client.close()


def test_a_secret_that_cannot_be_one_is_not_quoted():
    with pytest.raises(ConfigError) as raised:
        Credentials(api_key=KEY, api_secret=f"{SECRET} ")
    assert SECRET not in str(raised.value)
