"""What `hean doctor` looks at: each check by itself, so that one that fails leaves the others standing."""

from __future__ import annotations

import importlib.util
import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

from hean.core.calls import (
    AccountInfo,
    Budget,
    Call,
    KeyInfo,
    Page,
    QueryAccount,
    QueryInstruments,
    QueryKey,
    QueryOrders,
    QueryPositions,
    Reply,
    ServerTime,
    VerdictKind,
)
from hean.core.replies import said
from hean.core.types import Category, Instrument
from hean.desk.desk import Desk
from hean.desk.exchange import Exchange, credentials_of, endpoints_of
from hean.desk.handshake import shake
from hean.desk.read import alive, clock, seconds
from hean.errors import ConfigError, JournalError
from hean.journal import JournalView, holder_of, pulled_brake
from hean.journal.marks import HALT_MARK
from hean.places import settings_file
from hean.settings import Entry, Settings

PASS: Final = "pass"  # noqa: S105 - no password
WARN: Final = "warn"
FAIL: Final = "fail"

_SAMPLES: Final = 3
# A clock that is off by more is wrong, and hean mends it for its requests alone.
_OFFSET_WARN_MS: Final = 1_000
_EXPIRES_SOON_MS: Final = 14 * 86_400_000
# Source: Bybit V5 docs, user/query-api: what trading and looking at linear and inverse contracts needs.
_NEEDED: Final = ("ContractTrade.Order", "ContractTrade.Position")
# Source: Bybit V5 docs, account/account-info: 1 is the classic account.
_CLASSIC: Final = 1
_NEARLY_USED_UP: Final = 0.2


@frozen(kw_only=True)
class Check:
    """One check: `fix` says what to do where it is not a pass."""

    name: str
    verdict: str
    detail: str
    fix: str = ""


class Checkup:
    """
    All checks of one doctor's visit.

    Args:
        desk: where settings and journal are.
        symbols: linear ones, whose filters and position mode are looked at.
    """

    def __init__(self, desk: Desk, symbols: tuple[str, ...]) -> None:
        self.exchange_name = ""
        self._desk = desk
        self._symbols = symbols
        self._uid = ""

    def run(self) -> Iterator[Check]:
        """Every check; those that need what an earlier one did not find are left out, and the earlier one says why."""
        try:
            settings = self._desk.settings
        except ConfigError as error:
            yield Check(name="settings", verdict=FAIL, detail=str(error), fix="hean config show lists every setting")
            return
        yield self._settings(settings)
        yield from self._metrics(settings)
        exchange = None
        for check, found in self._exchange(settings):
            exchange = found
            yield check
        if exchange is not None:
            try:
                yield from self._remote(exchange, settings)
            finally:
                exchange.close()
        yield from self._journal()

    # Here.

    def _settings(self, settings: Settings) -> Check:
        given = [row for row in settings.describe() if row.source != "default"]
        file = settings_file(self._desk.env)
        told = ", ".join(f"{row.name} from {row.source}" for row in given) or "all defaults"
        return Check(name="settings", verdict=PASS, detail=f"{told}; file {file}" if file else told)

    def _metrics(self, settings: Settings) -> Iterator[Check]:
        if settings.metrics.port is None:
            return
        if importlib.util.find_spec("prometheus_client") is None:
            detail = f"metrics.port is {settings.metrics.port}, and prometheus-client is not installed"
            yield Check(name="metrics", verdict=FAIL, detail=detail, fix="pip install 'hean[metrics]'")
        else:
            yield Check(name="metrics", verdict=PASS, detail=f"Prometheus on 127.0.0.1:{settings.metrics.port}")

    def _exchange(self, settings: Settings) -> Iterator[tuple[Check, Exchange | None]]:
        try:
            endpoints = endpoints_of(settings)
        except ConfigError as error:
            fix = "unset it: the default is testnet; hean trades nowhere else"
            yield Check(name="addresses", verdict=FAIL, detail=str(error), fix=fix), None
            return
        self.exchange_name = "loopback" if endpoints.loopback else "testnet"
        yield Check(name="addresses", verdict=PASS, detail=f"{self.exchange_name}, {endpoints.rest_url}"), None
        try:
            credentials_of(settings)
        except ConfigError as error:
            fix = "make a key at testnet.bybit.com, and set BYBIT_API_KEY and BYBIT_API_SECRET"
            yield Check(name="credentials", verdict=FAIL, detail=str(error), fix=fix), None
            return
        sources = settings.source("bybit.api_key"), settings.source("bybit.api_secret")
        yield Check(name="credentials", verdict=PASS, detail=f"key from {sources[0]}"), Exchange(settings)

    # There.

    def _remote(self, exchange: Exchange, settings: Settings) -> Iterator[Check]:
        check = self._clock(exchange)
        yield check
        if check.verdict == FAIL:
            return
        reply = exchange.perform(QueryKey())
        yield self._environment(exchange, reply)
        yield self._key(exchange, reply)
        if not isinstance(reply.result, KeyInfo):
            return
        self._uid = reply.result.uid
        yield self._account(exchange)
        for symbol in self._symbols:
            yield self._filters(exchange, symbol)
            yield self._mode(exchange, symbol)
        yield self._budget(exchange)
        yield self._stream(exchange, "private stream", trade=False)
        if settings.bybit.entry is Entry.WS:
            yield self._stream(exchange, "trade stream", trade=True)

    def _clock(self, exchange: Exchange) -> Check:
        offsets, reply = [], None
        for _ in range(_SAMPLES):
            reply = exchange.sync()
            if isinstance(reply.result, ServerTime) and reply.sent_ms is not None:
                offsets.append(reply.result.server_ms - (reply.sent_ms + reply.received_ms) / 2)
        if not offsets:
            assert reply is not None, "asked at least once"
            return _failed("clock", reply, "see that the exchange is up and that this host may reach it")
        offset_ms, uncertainty_ms = statistics.median(offsets), exchange.clock.uncertainty_ms or 0
        detail = f"the exchange's less ours is {offset_ms:+.0f} ms, known to {uncertainty_ms} ms"
        window_ms = exchange.settings.bybit.recv_window_ms
        if uncertainty_ms >= window_ms:
            fix = "the way to the exchange is too slow for bybit.recv_window_ms; move closer, or raise it"
            return Check(name="clock", verdict=FAIL, detail=detail, fix=fix)
        if abs(offset_ms) > _OFFSET_WARN_MS:
            fix = "set this host's clock by NTP; hean corrects its requests, but not your logs"
            return Check(name="clock", verdict=WARN, detail=detail, fix=fix)
        return Check(name="clock", verdict=PASS, detail=detail)

    def _environment(self, exchange: Exchange, reply: Reply) -> Check:
        if isinstance(reply.result, KeyInfo):
            detail = f"the key answers on {exchange.name}, so it belongs there"
            return Check(name="environment", verdict=PASS, detail=detail)
        if reply.verdict.ret_code in {10003, 401}:
            return Check(
                name="environment",
                verdict=FAIL,
                detail=f"{exchange.name} does not know the key: {said(reply.verdict)}",
                fix="a key of mainnet or of demo trading is unknown here; make one at testnet.bybit.com",
            )
        return Check(
            name="environment",
            verdict=WARN,
            detail="not known: the key was not answered",
            fix="mend what the check of the key says",
        )

    def _key(self, exchange: Exchange, reply: Reply) -> Check:
        key = reply.result
        if not isinstance(key, KeyInfo):
            secret = " and the secret, character by character" if reply.verdict.ret_code == 10004 else ""
            return _failed("key", reply, f"look at the key{secret} at testnet.bybit.com")
        expires = f", expires {clock(key.expires_ms, day=True)} UTC" if key.expires_ms else ""
        ips = f", bound to {', '.join(key.ips)}" if key.ips and key.ips != ("*",) else ""
        detail = f"UID {key.uid}, {', '.join(key.permissions) or 'no permissions'}{ips}{expires}"
        if key.read_only:
            fix = "make a key that may trade: read and write"
            return Check(name="key", verdict=FAIL, detail=f"read-only; {detail}", fix=fix)
        lacking = [name for name in _NEEDED if name not in key.permissions]
        if lacking:
            fix = f"give it {', '.join(lacking)} at testnet.bybit.com"
            return Check(name="key", verdict=FAIL, detail=f"may not {', '.join(lacking)}; {detail}", fix=fix)
        if key.expires_ms and key.expires_ms - exchange.clock.now_ms() < _EXPIRES_SOON_MS:
            left_s = (key.expires_ms - exchange.clock.now_ms()) / 1000
            fix = "renew it, or bind it to addresses so that it does not expire"
            return Check(name="key", verdict=WARN, detail=f"expires in {seconds(left_s)}; {detail}", fix=fix)
        return Check(name="key", verdict=PASS, detail=detail)

    def _account(self, exchange: Exchange) -> Check:
        reply = exchange.perform(QueryAccount())
        account = reply.result
        if not isinstance(account, AccountInfo):
            return _failed("account", reply, "look at the account at testnet.bybit.com")
        detail = f"{account.margin_mode or 'margin mode not told'}, unified status {account.unified_margin_status}"
        if account.unified_margin_status == _CLASSIC:
            fix = "upgrade it to a unified trading account at testnet.bybit.com"
            return Check(name="account", verdict=FAIL, detail=f"a classic account; {detail}", fix=fix)
        return Check(name="account", verdict=PASS, detail=detail)

    def _filters(self, exchange: Exchange, symbol: str) -> Check:
        name = f"symbol {symbol}"
        reply = exchange.perform(QueryInstruments(category=Category.LINEAR, symbol=symbol))
        if not isinstance(reply.result, Page):
            return _failed(name, reply, "check the spelling; hean looks at linear symbols such as BTCUSDT")
        for row in reply.result.instruments:
            if row.symbol == symbol:
                return _of_instrument(name, row)
        spoiled = reply.result.quarantined
        detail = f"its row does not read: {spoiled[0].why}" if spoiled else f"{exchange.name} lists no linear {symbol}"
        return Check(name=name, verdict=FAIL, detail=detail, fix="check the spelling, such as BTCUSDT")

    def _mode(self, exchange: Exchange, symbol: str) -> Check:
        name = f"position mode {symbol}"
        reply = exchange.perform(QueryPositions(category=Category.LINEAR, symbol=symbol))
        if not isinstance(reply.result, Page):
            return _failed(name, reply, "look at the account at testnet.bybit.com")
        if any(row.position_idx for row in reply.result.positions):
            fix = f'name position_idx 1 or 2 in every signal, or router.switch_mode("{symbol}", 0)'
            return Check(name=name, verdict=WARN, detail="hedge: two positions a symbol", fix=fix)
        return Check(name=name, verdict=PASS, detail="one-way: signals need no position_idx")

    def _budget(self, exchange: Exchange) -> Check:
        calls: tuple[Call, ...] = (
            QueryOrders(category=Category.LINEAR, settle_coin="USDT"),
            QueryPositions(category=Category.LINEAR, settle_coin="USDT"),
        )
        told: list[str] = []
        low = False
        for call in calls:
            reply = exchange.perform(call)
            if reply.verdict.kind is VerdictKind.THROTTLED:
                fix = "another program uses this key or address: stop it, or lower gateway.pace"
                return _failed("rate budget", reply, fix)
            budget: Budget = reply.budget
            if budget.limit and budget.remaining is not None:
                told.append(f"{type(call).__name__} {budget.remaining} of {budget.limit} left")
                low = low or budget.remaining < budget.limit * _NEARLY_USED_UP
        if not told:
            return Check(name="rate budget", verdict=PASS, detail="the exchange told none")
        if low:
            fix = "another program uses this key: stop it, or lower gateway.pace"
            return Check(name="rate budget", verdict=WARN, detail=", ".join(told), fix=fix)
        return Check(name="rate budget", verdict=PASS, detail=", ".join(told))

    def _stream(self, exchange: Exchange, name: str, *, trade: bool) -> Check:
        shaken = shake(exchange, trade=trade)
        if shaken.why:
            fix = "see that this host may open WebSockets, and what the check of the key says"
            return Check(name=name, verdict=FAIL, detail=shaken.why, fix=fix)
        subscribed = f", {len(shaken.topics)} topics" if shaken.topics else ""
        detail = f"logged in after {shaken.login_ms} ms{subscribed}, round trip {shaken.round_trip_ms} ms"
        return Check(name=name, verdict=PASS, detail=detail)

    # The journal.

    def _journal(self) -> Iterator[Check]:
        path = self._desk.path
        if not path.exists():
            yield _place(path)
        else:
            try:
                with self._desk.view() as view:
                    yield self._of_journal(view)
            except JournalError as error:
                fix = "keep the file for a person to look at, and name another with HEAN_JOURNAL__PATH"
                yield Check(name="journal", verdict=FAIL, detail=str(error), fix=fix)
                return
        yield self._halt(path)

    def _of_journal(self, view: JournalView) -> Check:
        uid = view.mark("uid")
        if uid is not None and self._uid and uid != self._uid:
            detail = f"{view.path} belongs to UID {uid}, the key to UID {self._uid}"
            fix = "name a journal of its own for each account with HEAN_JOURNAL__PATH"
            return Check(name="journal", verdict=FAIL, detail=detail, fix=fix)
        bad = view.verify_chain()
        if bad is not None:
            detail = f"{view.path}: record {bad} was changed or is missing"
            fix = "keep the file for a person to look at, and start with a new one"
            return Check(name="journal", verdict=FAIL, detail=detail, fix=fix)
        pid = holder_of(self._desk.path)
        used = f"process {pid} has it" if pid is not None else "no router has it"
        detail = f"{view.path}, {view.last_n} records, chain sound, {used}"
        if pid is not None and not alive(view, self._desk.now_ms()):
            fix = "hean status shows since when; hean kill works without it"
            return Check(name="journal", verdict=WARN, detail=f"{detail}, and its pulse has stopped", fix=fix)
        return Check(name="journal", verdict=PASS, detail=detail)

    def _halt(self, path: Path) -> Check:
        brake = pulled_brake(path)
        why = f"{brake.who}: {brake.why}" if brake is not None else ""
        if not why and path.exists():
            with self._desk.view() as view:
                why = view.mark(HALT_MARK) or ""
        if why:
            return Check(name="halt", verdict=WARN, detail=f"halted: {why}", fix="look why, then hean resume")
        return Check(name="halt", verdict=PASS, detail="not halted")


def _of_instrument(name: str, row: Instrument) -> Check:
    detail = (
        f"tick {row.tick_size}, step {row.qty_step}, {row.min_order_qty} to {row.max_order_qty}, "
        f"market {row.max_market_qty}, at least {row.min_notional} {row.settle_coin}"
    )
    if not row.trading:
        return Check(name=name, verdict=WARN, detail=f"does not trade now; {detail}", fix="wait, or trade another")
    return Check(name=name, verdict=PASS, detail=detail)


def _place(path: Path) -> Check:
    """Whether a journal could be made where there is none."""
    parent = next(each for each in path.parents if each.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        fix = "name a place that this user may write with HEAN_JOURNAL__PATH"
        return Check(name="journal", verdict=FAIL, detail=f"{path} cannot be made: {parent}", fix=fix)
    return Check(name="journal", verdict=PASS, detail=f"none yet; the first router makes {path}")


def _failed(name: str, reply: Reply, fix: str) -> Check:
    verdict = reply.verdict
    hint = f": {verdict.hint}" if verdict.hint else ""
    return Check(name=name, verdict=FAIL, detail=f"{said(verdict)}{hint}", fix=fix)
