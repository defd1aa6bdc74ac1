"""
The position and account endpoints.

Source: Bybit V5 docs, position/*, account/*, user/apikey-info, order/dcp.
"""

from decimal import Decimal

from tests.exchange.calls import Answer, Call
from tests.exchange.instruments import Instrument
from tests.exchange.market import opposite
from tests.exchange.positions import Position
from tests.exchange.surprises import surprise
from tests.exchange.triggers import Guard, Triggers
from tests.exchange.validation import category_of, instrument_of, int_of, position_idx_of, price_text, text_of
from tests.exchange.venue import Venue
from tests.exchange.wallets import wallet_row
from tests.exchange.wire import ZERO, Json, Refusal, number, plain

ONE_WAY, HEDGE = 0, 3
DCP_PRODUCTS = ("OPTIONS", "DERIVATIVES", "SPOT")


class Holdings:
    """
    Handlers of positions, wallet and account.
    """

    def __init__(self, venue: Venue, triggers: Triggers) -> None:
        self._venue = venue
        self._triggers = triggers

    def positions(self, call: Call) -> Answer:
        """
        GET position/list.
        """
        account, params = call.account, call.params
        account.counters["queries_received"] += 1
        category = category_of(params)
        symbol, settle = str(params.get("symbol") or ""), str(params.get("settleCoin") or "")
        if category == "spot":
            raise Refusal(10001, "params error: category invalid")
        if symbol:
            shown = account.positions_of(instrument_of(self._venue, params))
        elif category == "linear" and not settle:
            raise Refusal(10001, "params error: symbol or settleCoin is required")
        else:
            shown = [
                position
                for position in account.held()
                if position.instrument.category == category
                and (not settle or position.instrument.settle_coin == settle)
            ]
        call.log.executed = True
        rows = [self._row(call, position) for position in shown]
        for name in ("unknown_enum", "missing_key", "empty_numbers"):
            surprise(self._venue.faults.fire(name, call.facts, needs="endpoint"), "position", rows)
        return Answer({"list": rows, "nextPageCursor": "", "category": category})

    def _row(self, call: Call, position: Position) -> Json:
        instrument = position.instrument
        mark = self._venue.market(instrument).mark
        row = position.row(mark, call.account.leverage(instrument.category, instrument.symbol), stream=False)
        if not position.updated_ms:
            row["updatedTime"] = str(self._venue.clock_ms)
        return row

    def set_leverage(self, call: Call) -> Answer:
        """
        POST position/set-leverage.
        """
        instrument = instrument_of(self._venue, call.params)
        buy, sell = (
            number(call.params.get("buyLeverage"), "buyLeverage"),
            number(call.params.get("sellLeverage"), "sellLeverage"),
        )
        if buy != sell or not 1 <= buy <= instrument.max_leverage:
            raise Refusal(110013 if buy == sell else 10001, "leverage invalid")
        key = (instrument.category, instrument.symbol)
        if call.account.leverage(*key) == buy:
            raise Refusal(110043, "leverage not modified")
        call.account.leverages[key] = buy
        call.log.executed = True
        return Answer({})

    def switch_mode(self, call: Call) -> Answer:
        """
        POST position/switch-mode.
        """
        account, params = call.account, call.params
        if category_of(params) != "linear":
            raise Refusal(10001, "params error: category invalid")
        mode = int_of(params, "mode", -1)
        if mode not in (ONE_WAY, HEDGE):
            raise Refusal(10001, "params error: mode invalid")
        if params.get("symbol"):
            self._switch(call, instrument_of(self._venue, params), hedge=mode == HEDGE)
            return Answer({})
        coin = text_of(params, "coin")
        chosen = [i for i in self._venue.instruments.values() if i.category == "linear" and i.settle_coin == coin]
        if not chosen:
            raise Refusal(10001, "params error: symbol or coin is required")
        for instrument in chosen:
            if self._may_switch(call, instrument) is None and account.is_hedged(instrument) is not (mode == HEDGE):
                self._switch(call, instrument, hedge=mode == HEDGE)
        return Answer({})

    def _may_switch(self, call: Call, instrument: Instrument) -> Refusal | None:
        account = call.account
        if any(position.signed for position in account.positions_of(instrument)):
            return Refusal(110024, "You have an existing position, so the position mode cannot be switched.")
        if any(order.instrument is instrument for order in account.open_orders.values()):
            return Refusal(110028, "You have existing open orders, so the position mode cannot be switched.")
        return None

    def _switch(self, call: Call, instrument: Instrument, *, hedge: bool) -> None:
        if call.account.is_hedged(instrument) is hedge:
            raise Refusal(110025, "Position mode is not modified")
        refusal = self._may_switch(call, instrument)
        if refusal is not None:
            raise refusal
        key = (instrument.category, instrument.symbol)
        if hedge:
            call.account.hedged.add(key)
        else:
            call.account.hedged.discard(key)
        call.log.executed = True

    def trading_stop(self, call: Call) -> Answer:
        """
        POST position/trading-stop. A trailing stop is shown on the position and never fires.
        """
        account, params = call.account, call.params
        instrument = instrument_of(self._venue, params)
        position = account.position(instrument, position_idx_of(account, instrument, params))
        if not position.signed:
            raise Refusal(10001, "can not set tp/sl/ts for zero position")
        partial = text_of(params, "tpslMode") == "Partial"
        if params.get("trailingStop") is not None:
            position.trailing_stop = price_text(params, "trailingStop")
        wanted = {
            kind: (price_text(params, key), shown)
            for kind, key, shown in (
                ("TakeProfit", "takeProfit", position.take_profit),
                ("StopLoss", "stopLoss", position.stop_loss),
            )
            if params.get(key) is not None
        }
        if not partial and wanted and all(price == shown for price, shown in wanted.values()):
            raise Refusal(34040, "not modified")
        call.log.executed = True
        guards: list[Guard] = []
        for kind, (price, _) in wanted.items():
            prefix = "tp" if kind == "TakeProfit" else "sl"
            if not price:
                self._triggers.unguard(account, instrument, position.position_idx, kind)
                continue
            size = text_of(params, f"{prefix}Size")
            limited = text_of(params, f"{prefix}OrderType") == "Limit"
            guards.append(
                Guard(
                    kind=kind,
                    trigger_price=Decimal(price),
                    trigger_by=text_of(params, f"{prefix}TriggerBy") or "LastPrice",
                    limit_price=Decimal(price_text(params, f"{prefix}LimitPrice") or "0") if limited else ZERO,
                    qty=number(size, f"{prefix}Size") if partial and size else position.size,
                    partial=partial,
                )
            )
        if guards:
            self._triggers.guard(
                account, instrument, position.position_idx, side=opposite(position.side), guards=guards
            )
        return Answer({})

    def wallet(self, call: Call) -> Answer:
        """
        GET account/wallet-balance.
        """
        call.account.counters["queries_received"] += 1
        if call.params.get("accountType") != "UNIFIED":
            raise Refusal(10001, "accountType only support UNIFIED.")
        coins = str(call.params.get("coin") or "")
        call.log.executed = True
        for name in filter(None, coins.split(",")):
            call.account.coin(name)
        row = wallet_row(self._venue, call.account, coins.split(",") if coins else None)
        return Answer({"list": [row]})

    def info(self, call: Call) -> Answer:
        """
        GET account/info.
        """
        call.log.executed = True
        return Answer(
            {
                "marginMode": "REGULAR_MARGIN",
                "updatedTime": "1697078946000",
                "unifiedMarginStatus": 6,
                "dcpStatus": "OFF",
                "timeWindow": 10,
                "smpGroup": 0,
                "isMasterTrader": False,
                "spotHedgingStatus": "OFF",
            }
        )

    def fee_rate(self, call: Call) -> Answer:
        """
        GET account/fee-rate.
        """
        category, symbol = category_of(call.params), str(call.params.get("symbol") or "")
        rows = [
            {"symbol": i.symbol, "takerFeeRate": plain(i.taker_fee), "makerFeeRate": plain(i.maker_fee)}
            for i in self._venue.instruments.values()
            if i.category == category and (not symbol or i.symbol == symbol)
        ]
        call.log.executed = True
        return Answer({"category": category, "list": rows} if category == "spot" else {"list": rows})

    def smp_group(self, call: Call) -> Answer:
        """
        GET account/smp-group.
        """
        call.log.executed = True
        return Answer({"smpGroup": 0}, "success")

    def user_setting(self, call: Call) -> Answer:
        """
        GET account/user-setting-config.
        """
        behaviour = self._venue.behaviour
        call.log.executed = True
        return Answer(
            {
                # The polarity differs: true clamps on spot and rejects on futures.
                "lpaSpot": behaviour.word("spot_price_band") == "move",
                "lpaPerp": behaviour.word("linear_price_band") == "reject",
                "smsef": False,
                "fmsef": False,
            }
        )

    def query_api(self, call: Call) -> Answer:
        """
        GET user/query-api.
        """
        account = call.account
        call.log.executed = True
        return Answer(
            {
                "id": account.uid,
                "note": "loopback",
                "apiKey": account.api_key,
                "readOnly": 1 if account.read_only else 0,
                "secret": "",
                "permissions": {
                    "ContractTrade": ["Order", "Position"],
                    "Spot": ["SpotTrade"],
                    "Wallet": [],
                    "Options": [],
                    "Derivatives": ["DerivativesTrade"],
                    "CopyTrading": [],
                    "BlockTrade": [],
                    "Exchange": ["ExchangeHistory"],
                    "NFT": [],
                    "Affiliate": [],
                    "Earn": [],
                },
                "ips": ["*"],
                "type": 1,
                "deadlineDay": 90,
                "expiredAt": "2099-01-01T00:00:00Z",
                "createdAt": "2025-10-13T03:20:45Z",
                "unified": 0,
                "uta": 1,
                "userID": int(account.uid),
                "inviterID": 0,
                "vipLevel": "No VIP",
                "mktMakerLevel": "0",
                "affiliateID": 0,
                "rsaPublicKey": "",
                "isMaster": True,
                "parentUid": "0",
                "kycLevel": "LEVEL_DEFAULT",
                "kycRegion": "",
            },
            "",
        )

    def set_dcp(self, call: Call) -> Answer:
        """
        POST order/disconnected-cancel-all.
        """
        product = text_of(call.params, "product") or "OPTIONS"
        window = int_of(call.params, "timeWindow")
        if product not in DCP_PRODUCTS or not 3 <= window <= 300:
            raise Refusal(10001, "params error: timeWindow invalid")
        call.account.dcp_windows[product] = window
        call.log.executed = True
        return Answer({}, "success", bare=True)

    def dcp_info(self, call: Call) -> Answer:
        """
        GET account/query-dcp-info.
        """
        call.log.executed = True
        infos = [
            {"product": product, "dcpStatus": "ON", "timeWindow": str(window)}
            for product, window in call.account.dcp_windows.items()
        ]
        return Answer({"dcpInfos": infos}, "success")
