"""
The control API: the exchange's own books, its market, limits, accounts, behaviours, faults.

It answers in plain JSON, unsigned, and is no part of Bybit's protocol.
"""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from urllib.parse import parse_qsl

import orjson

from tests.exchange.accounts import Account
from tests.exchange.behaviour import SWITCHES
from tests.exchange.faults import AT_ONCE, Fault, endpoint_name
from tests.exchange.incidents import Incidents
from tests.exchange.market import Market
from tests.exchange.matching import Matching
from tests.exchange.sessions import Sessions
from tests.exchange.venue import Venue
from tests.exchange.wire import Json, Reply, Request, money, plain, rounded

JSON_TYPE = {"Content-Type": "application/json; charset=utf-8"}


class Control:
    """
    What tests use to look inside and to hurt.
    """

    def __init__(self, venue: Venue, matching: Matching, sessions: Sessions, incidents: Incidents) -> None:
        self._venue = venue
        self._matching = matching
        self._sessions = sessions
        self._incidents = incidents
        self._routes: dict[tuple[str, str], Callable[[Json], object]] = {
            ("GET", "books"): self._books,
            ("GET", "requests"): self._requests,
            ("GET", "market"): self._show_market,
            ("POST", "market"): self._market,
            ("POST", "limits"): self._limits,
            ("GET", "accounts"): self._show_accounts,
            ("POST", "accounts"): self._accounts,
            ("GET", "behaviour"): self._show_behaviour,
            ("POST", "behaviour"): self._behaviour,
            ("GET", "faults"): self._show_faults,
            ("POST", "faults"): self._fault,
            ("DELETE", "faults"): self._clear_faults,
        }

    def answer(self, request: Request) -> Reply:
        """
        Handle one request; a wrong one gets 400 and a reason, and has changed nothing.
        """
        name = request.path.removeprefix("/control").strip("/")
        act = self._routes.get((request.method, name))
        if act is None:
            return Reply(404, JSON_TYPE, orjson.dumps({"error": f"no {request.method} /control/{name}"}))
        try:
            params = orjson.loads(request.body) if request.body else dict(parse_qsl(request.query))
            if not isinstance(params, dict):
                raise ValueError("expected a JSON object")
            return Reply(200, JSON_TYPE, orjson.dumps(act(params)))
        except (ValueError, TypeError, KeyError, InvalidOperation) as error:
            return Reply(400, JSON_TYPE, orjson.dumps({"error": f"{type(error).__name__}: {error}"}))

    def _account(self, params: Json) -> Account:
        api_key = params.get("api_key")
        if api_key is None:
            return next(iter(self._venue.accounts.values()))
        account = self._venue.accounts.get(str(api_key))
        if account is None:
            raise ValueError(f"no account {api_key!r}")
        return account

    def _books(self, params: Json) -> object:
        account = self._account(params)
        connections = [connection.channel for connection in account.connections.values()]
        live = {f"{channel}_connections": connections.count(channel) for channel in ("private", "trade")}
        return {
            "orders": [order.rest_row() | {"category": order.category} for order in account.orders.values()],
            "executions": [e.rest_row() | {"category": e.instrument.category} for e in account.executions],
            "positions": [
                {
                    "category": position.instrument.category,
                    "symbol": position.instrument.symbol,
                    "positionIdx": position.position_idx,
                    "side": position.side,
                    "size": plain(position.size),
                    "avgPrice": rounded(position.avg_price),
                    "cumRealisedPnl": money(position.realised_ever),
                    "seq": position.seq,
                }
                for position in account.positions.values()
                if position.signed or position.updated_ms
            ],
            "wallet": {name: money(coin.balance) for name, coin in account.coins.items()},
            "counters": account.counters | live,
        }

    def _requests(self, params: Json) -> object:
        wanted = params.get("api_key")
        return [entry.row() for entry in self._venue.requests if wanted is None or entry.api_key == wanted]

    def _find_market(self, params: Json) -> Market:
        key = (str(params.get("category", "linear")), str(params["symbol"]))
        market = self._venue.markets.get(key)
        if market is None:
            raise ValueError(f"no market {key[1]!r} in {key[0]}")
        return market

    def _show_market(self, params: Json) -> object:
        market = self._find_market(params)
        shown = {
            side: [{"price": plain(level.price), "qty": plain(level.qty)} for level in market.quotes[side]]
            for side in ("Buy", "Sell")
        }
        return {
            "category": market.instrument.category,
            "symbol": market.instrument.symbol,
            "bids": shown["Buy"],
            "asks": shown["Sell"],
            "last": plain(market.last),
            "mark": plain(market.mark),
            "index": plain(market.index),
            "refill": market.refill,
            "seq": market.seq,
        }

    def _market(self, params: Json) -> object:
        market = self._find_market(params)
        venue = self._venue
        figures = {
            name: Decimal(str(params[name]))
            for name in ("bid", "ask", "bid_qty", "ask_qty", "last", "mark", "index")
            if params.get(name) is not None
        }
        traded: Json | None = params.get("trade")
        price = Decimal(str(traded["price"])) if traded else Decimal(0)
        qty = Decimal(str(traded["qty"])) if traded else Decimal(0)
        quoted = False
        for side, name in (("Buy", "bid"), ("Sell", "ask")):
            if name not in figures and f"{name}_qty" not in figures:
                continue
            level = market.quotes[side][0] if market.quotes[side] else None
            at = figures.get(name, level.price if level else Decimal(0))
            size = figures.get(f"{name}_qty", level.qty if level else market.instrument.max_market_qty)
            market.quote(side, at, size, venue.ids.next_serial())
            quoted = True
        if quoted:
            self._uncross(market, figures)
            market.refill = bool(params.get("refill", False))
            market.settle_prices()
        elif "refill" in params:
            market.refill = bool(params["refill"])
        market.mark = figures.get("mark", market.mark)
        market.index = figures.get("index", market.index)
        market.last = figures.get("last", market.last)
        if quoted:
            self._matching.sweep(market)
        if traded:
            self._matching.print_trade(market, price, qty, str(traded.get("side", "")))
        venue.price_moved(market)
        return self._show_market(params)

    @staticmethod
    def _uncross(market: Market, figures: dict[str, Decimal]) -> None:
        """
        A side that was not named gives way where the new quote would cross it.
        """
        bids, asks = market.quotes["Buy"], market.quotes["Sell"]
        if bids and asks and bids[0].price >= asks[0].price:
            if "ask" not in figures:
                market.quotes["Sell"] = [level for level in asks if level.price > bids[0].price]
            elif "bid" not in figures:
                market.quotes["Buy"] = [level for level in bids if level.price < asks[0].price]

    def _limits(self, params: Json) -> object:
        account, limits = self._account(params), self._venue.limits
        if "endpoint" in params:
            limits.set_per_s(account.api_key, endpoint_name(str(params["endpoint"])), int(params["per_s"]))
        if "open_orders_per_symbol" in params:
            limits.set_open_orders(account.api_key, int(params["open_orders_per_symbol"]))
        if "ip_per_5s" in params:
            limits.ip_requests = int(params["ip_per_5s"])
        return {"ok": True}

    def _show_accounts(self, params: Json) -> object:
        del params
        return [
            {
                "api_key": a.api_key,
                "uid": a.uid,
                "wallet": {name: money(coin.balance) for name, coin in a.coins.items()},
            }
            for a in self._venue.accounts.values()
        ]

    def _accounts(self, params: Json) -> object:
        wallet = params.get("wallet")
        if wallet is None:
            wallet = {} if params["api_key"] in self._venue.accounts else {"USDT": "1000000"}
        balances = {str(coin): str(Decimal(str(amount))) for coin, amount in wallet.items()}
        account = self._venue.add_account(str(params["api_key"]), str(params["api_secret"]), balances)
        account.read_only = bool(params.get("read_only", account.read_only))
        return {"api_key": account.api_key, "uid": account.uid}

    def _show_behaviour(self, params: Json) -> object:
        if "notes" in params:
            return {name: {"choices": switch.choices, "note": switch.note} for name, switch in SWITCHES.items()}
        return self._venue.behaviour.values()

    def _behaviour(self, params: Json) -> object:
        for name, value in params.items():
            self._venue.behaviour.set(name, value)
        return self._venue.behaviour.values()

    def _show_faults(self, params: Json) -> object:
        del params
        return self._venue.faults.rows()

    def _clear_faults(self, params: Json) -> object:
        del params
        self._venue.faults.clear()
        self._sessions.reopen()
        return []

    def _fault(self, params: Json) -> object:
        fault = self._venue.faults.arm(
            str(params.get("fault")),
            params.get("match") or {},
            params.get("count", 1),
            params.get("probability", 1.0),
            params.get("args") or {},
        )
        if fault.name in AT_ONCE:
            self._act(fault)
        elif fault.name == "silent":
            self._sessions.silence(fault)
        return fault.row()

    def _act(self, fault: Fault) -> None:
        if fault.name in ("cut_private", "cut_trade"):
            self._sessions.cut(fault.name.removeprefix("cut_"), fault)
            return
        account = self._account({"api_key": fault.match.get("api_key", fault.args.get("api_key"))})
        args = {"symbol": fault.match["symbol"]} | fault.args if "symbol" in fault.match else fault.args
        for _ in range(fault.count or 1):
            fault.fired += self._incidents.happen(fault.name, account, args)
        fault.count = 0
