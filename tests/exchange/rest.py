"""
HTTP: routes, the checks every private request passes in order, and the faults of a request.

The order of the checks: key known, clock, signature, permission, rate, parameters.
Source: Bybit V5 docs, guide; the order itself is not documented.
"""

import functools
import hmac
from collections.abc import Callable
from urllib.parse import parse_qsl

import attrs
import orjson

from tests.exchange.accounts import Account
from tests.exchange.calls import Answer, Call, Handler
from tests.exchange.faults import Fault
from tests.exchange.holdings import Holdings
from tests.exchange.limits import Budget
from tests.exchange.publics import Publics
from tests.exchange.queries import Queries
from tests.exchange.trading import Trading
from tests.exchange.venue import LogEntry, Venue
from tests.exchange.wire import Hangup, Json, Refusal, Reply, Request, envelope

AHEAD_MS = 1000
DEFAULT_WINDOW_MS = 5000
PUSH_LEAD_MS = 50
DELAY_MS = 1000
JSON_TYPE = "application/json; charset=utf-8"
MESSAGES = {
    429: "The trading service is experiencing a high server load. Please retry if you encounter this issue.",
    10000: "Server Timeout",
    10003: "API key is invalid.",
    10005: "Permission denied, please check your API key permissions.",
    10006: "Too many visits!",
    10010: "Unmatched IP, please check your API key's bound IP addresses.",
    10019: "The ws trade service is restarting",
    10403: "exceed IP rate limit",
    10429: "System level frequency protection",
    20003: "Too frequent requests under the same session",
    110001: "order not exists or too late to cancel",
    110007: "ab not enough for new order",
    110072: "OrderLinkedID is duplicate",
}
HTML = "<html><head><title>{0} Gateway</title></head><body>{0} Gateway</body></html>"
ACKED = frozenset(f"order/{verb}{form}" for verb in ("create", "amend", "cancel") for form in ("", "-batch"))


@attrs.frozen
class Route:
    """
    One private endpoint.
    """

    method: str
    handler: Handler


def routes(trading: Trading, queries: Queries, holdings: Holdings) -> dict[str, Route]:
    """
    Every private endpoint by its name.
    """
    gets: dict[str, Handler] = {
        "order/realtime": queries.realtime,
        "order/history": queries.history,
        "execution/list": queries.executions,
        "position/list": holdings.positions,
        "position/closed-pnl": queries.closed_pnl,
        "account/wallet-balance": holdings.wallet,
        "account/info": holdings.info,
        "account/fee-rate": holdings.fee_rate,
        "account/smp-group": holdings.smp_group,
        "account/user-setting-config": holdings.user_setting,
        "account/query-dcp-info": holdings.dcp_info,
        "account/transaction-log": queries.transaction_log,
        "user/query-api": holdings.query_api,
    }
    posts: dict[str, Handler] = {
        "order/create": trading.create,
        "order/amend": trading.amend,
        "order/cancel": trading.cancel,
        "order/cancel-all": trading.cancel_all,
        "order/create-batch": trading.create_batch,
        "order/amend-batch": trading.amend_batch,
        "order/cancel-batch": trading.cancel_batch,
        "order/pre-check": trading.pre_check,
        "order/disconnected-cancel-all": holdings.set_dcp,
        "position/set-leverage": holdings.set_leverage,
        "position/switch-mode": holdings.switch_mode,
        "position/trading-stop": holdings.trading_stop,
    }
    return {name: Route("GET", handler) for name, handler in gets.items()} | {
        name: Route("POST", handler) for name, handler in posts.items()
    }


def check_clock(timestamp: str, window: str, clock_ms: int) -> None:
    """
    ``server - window <= timestamp < server + 1000``. Source: Bybit V5 docs, guide.

    Raises:
        Refusal: 10002; 10001 when either is no number.
    """
    if not timestamp.isdigit() or not window.isdigit():
        raise Refusal(10001, "params error: timestamp invalid")
    if not clock_ms - int(window) <= int(timestamp) < clock_ms + AHEAD_MS:
        raise Refusal(
            10002,
            "invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{timestamp}],server_timestamp[{clock_ms}],recv_window[{window}]",
        )


def refused(fault: Fault) -> Refusal:
    """
    The reply an `error` fault asks for.
    """
    code = int(fault.args.get("ret_code", 10016))
    return Refusal(code, str(fault.args.get("ret_msg", MESSAGES.get(code, "Server error."))))


def budget_headers(budget: Budget) -> dict[str, str]:
    """
    The rate headers of a private reply.
    """
    return {
        "X-Bapi-Limit": str(budget.limit),
        "X-Bapi-Limit-Status": str(budget.left),
        "X-Bapi-Limit-Reset-Timestamp": str(budget.reset_ms),
    }


class Rest:
    """
    The HTTP side.
    """

    def __init__(self, venue: Venue, private: dict[str, Route], publics: Publics) -> None:
        self._venue = venue
        self._private = private
        self._public: dict[str, Callable[[Json], Answer]] = {
            "market/time": publics.time,
            "market/instruments-info": publics.instruments,
            "market/tickers": publics.tickers,
            "market/price-limit": publics.price_limit,
        }

    def answer(self, request: Request) -> tuple[Reply | Hangup, bool]:
        """
        Handle one request.

        Returns:
            The delivery, and whether the pushes it caused go out before it.
        """
        venue = self._venue
        name = request.path.removeprefix("/v5/")
        api_key = request.headers.get("x-bapi-api-key", "")
        params, well_formed = self._params(request)
        log = LogEntry(
            time_ms=venue.clock_ms,
            channel="http",
            name=name,
            method=request.method,
            api_key=api_key,
            order_link_id=str(params.get("orderLinkId") or ""),
            order_id=str(params.get("orderId") or ""),
            symbol=str(params.get("symbol") or ""),
        )
        venue.requests.append(log)
        facts = request_facts("http", name, api_key, params)
        faults = venue.faults
        if faults.any_armed():
            if faults.fire("lose_request", facts):
                log.verdict = "lost"
                return Hangup(), False
            ban = faults.fire("ban", facts)
            if ban is not None:
                venue.limits.closed_until_ms = venue.now_ms + int(float(ban.args.get("s", 600)) * 1000)
        if not venue.limits.ip_allows(venue.now_ms, venue.behaviour.count("ip_ban_ms")):
            log.verdict, log.replied = "http 403", True
            return Reply(403, {"Content-Type": "text/html"}, b"access too frequent"), False
        reply = self._dispatch(request, name, params, facts, log, well_formed=well_formed)
        delay_ms = venue.behaviour.delay_ms("ack_delay_ms") if name in ACKED else 0
        if not faults.any_armed():
            return (attrs.evolve(reply, delay_ms=delay_ms) if delay_ms else reply), False
        if faults.fire("lose_reply", facts):
            log.replied = False
            return Hangup(), False
        late = faults.fire("delay_reply", facts)
        if late is not None:
            delay_ms += int(late.args.get("ms", DELAY_MS))
        pushed = faults.fire("push_before_ack", facts)
        if pushed is not None:
            delay_ms += int(pushed.args.get("ms", PUSH_LEAD_MS))
        return (attrs.evolve(reply, delay_ms=delay_ms) if delay_ms else reply), pushed is not None

    @staticmethod
    def _params(request: Request) -> tuple[Json, bool]:
        if request.method == "GET":
            return dict(read_query(request.query)), True
        try:
            params = orjson.loads(request.body) if request.body else {}
        except orjson.JSONDecodeError:
            return {}, False
        return (params, True) if isinstance(params, dict) else ({}, False)

    def _dispatch(
        self,
        request: Request,
        name: str,
        params: Json,
        facts: dict[str, str | tuple[str, ...]],
        log: LogEntry,
        *,
        well_formed: bool,
    ) -> Reply:
        venue = self._venue
        log.replied = True
        public, route = self._public.get(name), self._private.get(name)
        if not request.path.startswith("/v5/") or (public is None and route is None):
            log.verdict = "http 404"
            return Reply(404, {"Content-Type": "text/html"}, b"404 page not found")
        if request.method not in ("GET", "POST"):
            log.verdict = "http 400"
            return Reply(400, {"Content-Type": "text/html"}, b"400 bad request")
        if request.method == "GET" and request.body:
            log.verdict = "http 403"
            return Reply(403, {"Content-Type": "text/html"}, b"403 forbidden")
        headers = {"Content-Type": JSON_TYPE}
        if public is not None:
            # A fault that names no endpoint is about an account's calls.
            error = venue.faults.fire("error", facts, needs="endpoint")
            if error is not None:
                return self._failed(error, headers, log)
            return self._reply(200, headers, log, *self._try(lambda: public(params)), log_executed=True)
        assert route is not None
        if request.method != route.method:
            log.verdict = "http 404"
            return Reply(404, {"Content-Type": "text/html"}, b"404 page not found")
        status = 200
        try:
            account = self._authenticate(request)
            if not well_formed:
                raise Refusal(10001, "params error: body is no JSON object")
        except Refusal as refusal:
            if not request.headers.get("x-bapi-sign"):
                status = 401
            elif refusal.code == 10003:
                status = venue.behaviour.count("bad_key_status")
            return self._reply(status, headers, log, None, refusal)
        return self._act(account, route, name, params=params, facts=facts, log=log, headers=headers)

    def _act(
        self,
        account: Account,
        route: Route,
        name: str,
        *,
        params: Json,
        facts: dict[str, str | tuple[str, ...]],
        log: LogEntry,
        headers: dict[str, str],
    ) -> Reply:
        venue, faults = self._venue, self._venue.faults
        limited = faults.fire("rate_limit", facts) if faults.armed("rate_limit") else None
        budget = self.take(account, name, params, "http")
        headers |= budget_headers(budget)
        if limited is not None or not budget.granted:
            if limited is not None:
                headers["X-Bapi-Limit-Status"] = "0"
                headers["X-Bapi-Limit-Reset-Timestamp"] = str(venue.clock_ms + int(limited.args.get("ms", 1000)))
                if not limited.args.get("reset_header", True):
                    for header in budget_headers(budget):
                        del headers[header]
            return self._reply(200, headers, log, None, Refusal(10006, "Too many visits!"))
        error = self.error_fault(name, facts)
        if error is not None and not error.args.get("executed", False):
            return self._failed(error, headers, log)
        call = Call(account=account, name=name, params=params, granted=budget.granted, facts=facts, log=log)
        answer, refusal = self._try(lambda: route.handler(call))
        if error is not None:
            return self._failed(error, headers, log)
        return self._reply(200, headers, log, answer, refusal)

    def take(self, account: Account, name: str, params: Json, channel: str) -> Budget:
        """
        Take one request, or one batch, from the rate budget.
        """
        venue = self._venue
        category = str(params.get("category") or "linear")
        items = params.get("request")
        cost = len(items) if isinstance(items, list) and category != "option" else 1
        # Batches share one budget by the docs; for single orders it is an assumption.
        if channel == "trade" and not items and not venue.behaviour.on("share_budget"):
            name = f"{name}@trade"
        budget = venue.limits.take(account.api_key, name, category, max(1, cost), venue.now_ms)
        skew_ms = venue.clock_ms - venue.now_ms
        return attrs.evolve(budget, reset_ms=budget.reset_ms + skew_ms) if skew_ms else budget

    def error_fault(self, name: str, facts: dict[str, str | tuple[str, ...]]) -> Fault | None:
        """
        An `error` fault for a whole request; one that names an orderLinkId strikes a batch item instead.
        """
        if not self._venue.faults.armed("error"):
            return None
        return self._venue.faults.fire("error", facts | {"orderLinkId": ""} if name.endswith("-batch") else facts)

    def _failed(self, error: Fault, headers: dict[str, str], log: LogEntry) -> Reply:
        status = int(error.args.get("http_status", 200))
        if "body" in error.args or ("http_status" in error.args and "ret_code" not in error.args):
            log.verdict = f"http {status}"
            body = str(error.args.get("body", HTML.format(status)))
            return Reply(status, headers | {"Content-Type": "text/html"}, body.encode())
        return self._reply(status, headers, log, None, refused(error))

    def _authenticate(self, request: Request) -> Account:
        """
        Key, clock, signature, permission.

        Raises:
            Refusal: The first that fails.
        """
        headers, venue = request.headers, self._venue
        api_key, timestamp = headers.get("x-bapi-api-key", ""), headers.get("x-bapi-timestamp", "")
        window = headers.get("x-bapi-recv-window", "")
        account = venue.accounts.get(api_key)
        if account is None:
            raise Refusal(10003, "API key is invalid.")
        check_clock(timestamp, window or str(DEFAULT_WINDOW_MS), venue.clock_ms)
        payload = request.query.encode() if request.method == "GET" else request.body
        origin = f"{timestamp}{api_key}{window}".encode() + payload
        expected = hmac.digest(account.api_secret, origin, "sha256").hex()
        if not hmac.compare_digest(expected.encode(), headers.get("x-bapi-sign", "").encode()):
            raise Refusal(10004, f"error sign! origin_string[{origin.decode(errors='replace')}]")
        if account.read_only and request.method == "POST":
            raise Refusal(10005, "Permission denied, please check your API key permissions.")
        return account

    @staticmethod
    def _try(act: Callable[[], Answer]) -> tuple[Answer | None, Refusal | None]:
        try:
            return act(), None
        except Refusal as refusal:
            return None, refusal

    def _reply(
        self,
        status: int,
        headers: dict[str, str],
        log: LogEntry,
        answer: Answer | None,
        refusal: Refusal | None,
        *,
        log_executed: bool = False,
    ) -> Reply:
        clock_ms = self._venue.clock_ms
        if refusal is not None:
            log.verdict = refusal.code
            body: Json = envelope({}, clock_ms, refusal.code, refusal.message)
        else:
            assert answer is not None
            log.verdict, log.executed = 0, log.executed or log_executed
            body = envelope(answer.result, clock_ms, 0, answer.message, answer.ext)
            if answer.bare:
                body = {"retCode": 0, "retMsg": answer.message}
        return Reply(status, headers, orjson.dumps(body))


@functools.lru_cache(maxsize=4096)
def read_query(text: str) -> tuple[tuple[str, str], ...]:
    """
    Names and values of a query; the same questions are asked over and over.
    """
    return tuple(parse_qsl(text, keep_blank_values=True))


def request_facts(channel: str, name: str, api_key: str, params: Json) -> dict[str, str | tuple[str, ...]]:
    """
    What a fault's match can name about a request; a batch offers the values of all its items.
    """
    facts: dict[str, str | tuple[str, ...]] = {
        "channel": channel,
        "api_key": api_key,
        "category": str(params.get("category") or ""),
        "endpoint" if channel == "http" else "op": name,
    }
    items = params.get("request")
    if isinstance(items, list):
        facts["symbol"] = tuple(str(item.get("symbol")) for item in items if isinstance(item, dict))
        facts["orderLinkId"] = tuple(str(item.get("orderLinkId")) for item in items if isinstance(item, dict))
    else:
        facts["symbol"] = str(params.get("symbol") or "")
        facts["orderLinkId"] = str(params.get("orderLinkId") or "")
    return facts
