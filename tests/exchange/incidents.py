"""
Things that happen by themselves: funding, orders of another hand, ADL, liquidation, settlement.

Source: Bybit V5 docs, enum, websocket/private/execution; the fees and the side of such rows are not documented.
"""

from decimal import Decimal

import attrs

from tests.exchange.accounts import Account
from tests.exchange.executions import Execution
from tests.exchange.instruments import Instrument
from tests.exchange.market import opposite
from tests.exchange.matching import Matching
from tests.exchange.orders import Order
from tests.exchange.outbox import Outbox
from tests.exchange.positions import Position
from tests.exchange.pricing import protected_price
from tests.exchange.settlement import pay
from tests.exchange.venue import Venue
from tests.exchange.wire import ZERO, Json, trimmed

FUNDING_RATE = "0.0001"


class Incidents:
    """
    What no order of the client explains.
    """

    def __init__(self, venue: Venue, outbox: Outbox, matching: Matching) -> None:
        self._venue = venue
        self._outbox = outbox
        self._matching = matching

    def happen(self, name: str, account: Account, args: Json) -> bool:
        """
        Let one happen now.

        Returns:
            Whether there was anything for it to happen to.

        Raises:
            ValueError: No such instrument.
        """
        category = str(args.get("category", "linear"))
        instrument = self._venue.instruments.get((category, str(args.get("symbol", "BTCUSDT"))))
        if instrument is None:
            raise ValueError(f"no instrument {args.get('symbol')!r} in {category}")
        if name == "foreign_order":
            self._foreign_order(account, instrument, args)
            return True
        positions = [p for p in account.positions_of(instrument) if p.signed]
        if "position_idx" in args:
            positions = [p for p in positions if p.position_idx == int(args["position_idx"])]
        for position in positions:
            if name == "funding":
                self._fund(account, position, args)
            elif name == "manual_close":
                self._close_by_hand(account, position, args)
            elif name == "adl":
                self._take_away(
                    account,
                    position,
                    args,
                    exec_type="AdlTrade",
                    create_type="CreateByAdl_PassThrough",
                    cancel_type="CancelAllBeforeAdl",
                )
            elif name == "liquidation":
                self._liquidate(account, position, args)
            else:
                kind = str(args.get("exec_type", "Settle" if category == "inverse" else "Delivery"))
                self._take_away(
                    account, position, args, exec_type=kind, create_type="CreateBySettle", cancel_type="CancelBySettle"
                )
        return bool(positions)

    def _foreign_order(self, account: Account, instrument: Instrument, args: Json) -> None:
        order = self._order(
            account, instrument, str(args.get("side", "Buy")), Decimal(str(args.get("qty", instrument.min_qty)))
        )
        order.position_idx = int(args.get("position_idx", 0))
        order.order_link_id = str(args.get("order_link_id", ""))
        if "price" in args:
            order.price = Decimal(str(args["price"]))
            order.order_type, order.time_in_force, order.protected = "Limit", "GTC", ZERO
        self._matching.accept(order)

    def _close_by_hand(self, account: Account, position: Position, args: Json) -> None:
        qty = min(position.size, Decimal(str(args.get("qty", position.size))))
        order = self._order(account, position.instrument, opposite(position.side), qty)
        order.position_idx, order.reduce_only, order.create_type = position.position_idx, True, "CreateByClosing"
        self._matching.accept(order)

    def _order(self, account: Account, instrument: Instrument, side: str, qty: Decimal) -> Order:
        venue = self._venue
        serial = venue.ids.next_serial()
        market = venue.market(instrument)
        limit = protected_price(market, side)
        return Order(
            serial=serial,
            priority=serial,
            order_id=venue.ids.order_id(instrument.category),
            order_link_id="",
            account=account,
            instrument=instrument,
            side=side,
            order_type="Market",
            price=ZERO if instrument.is_spot else limit,
            protected=limit,
            qty=qty,
            time_in_force="IOC",
            created_ms=venue.clock_ms,
            updated_ms=venue.clock_ms,
            last_price_on_created=market.last,
        )

    def _fund(self, account: Account, position: Position, args: Json) -> None:
        venue, instrument = self._venue, position.instrument
        market = venue.market(instrument)
        rate = Decimal(str(args.get("rate", FUNDING_RATE)))
        value = instrument.value(position.size, market.mark)
        # Longs pay a positive rate; a positive fee is paid.
        fee = trimmed(value * rate * (1 if position.signed > 0 else -1))
        balance = pay(account, instrument.settle_coin, -fee)
        position.realised -= fee
        position.realised_ever -= fee
        same = venue.behaviour.word("funding_side") == "position"
        seq = market.next_seq()
        position.seq, position.updated_ms = seq, venue.clock_ms
        execution = self._execution(
            position,
            "Funding",
            position.side if same else opposite(position.side),
            qty=position.size,
            price=market.mark,
            seq=seq,
        )
        execution = self._with_money(execution, fee=fee, rate=rate, change=-fee, balance=balance)
        self._record(account, position, execution)

    def _take_away(
        self, account: Account, position: Position, args: Json, *, exec_type: str, create_type: str, cancel_type: str
    ) -> None:
        """
        Close a position, whole or in part, by an execution without an order.
        """
        venue, instrument = self._venue, position.instrument
        market = venue.market(instrument)
        if args.get("cancel_orders", True):
            self._cancel_orders(account, instrument, cancel_type)
        side = opposite(position.side)
        qty = min(position.size, Decimal(str(args.get("qty", position.size))))
        price = Decimal(str(args.get("price", market.mark)))
        seq = market.next_seq()
        rate = instrument.taker_fee if exec_type == "BustTrade" else ZERO
        value = instrument.value(qty, price)
        fee = trimmed(value * rate)
        change = position.apply(side, qty, value, fee, clock_ms=venue.clock_ms, seq=seq)
        balance = pay(account, instrument.settle_coin, change.pnl - fee)
        order_type = {"AdlTrade": "Limit", "BustTrade": "Market"}.get(exec_type, "UNKNOWN")
        execution = self._execution(
            position,
            exec_type,
            side,
            qty=qty,
            price=price,
            seq=seq,
            order_type=order_type,
            create_type=create_type,
            closed=qty,
            pnl=change.pnl,
        )
        execution = self._with_money(execution, fee=fee, rate=rate, change=change.pnl - fee, balance=balance)
        self._record(account, position, execution)

    def _liquidate(self, account: Account, position: Position, args: Json) -> None:
        venue, instrument = self._venue, position.instrument
        position.status = "Liq"
        position.updated_ms = venue.clock_ms
        self._outbox.positions(account, account.positions_of(instrument))
        if args.get("take_over", False):
            self._take_away(
                account,
                position,
                args,
                exec_type="BustTrade",
                create_type="CreateByTakeOver_PassThrough",
                cancel_type="CancelAllBeforeLiq",
            )
            return
        self._cancel_orders(account, instrument, "CancelAllBeforeLiq")
        qty = min(position.size, Decimal(str(args.get("qty", position.size))))
        order = self._order(account, instrument, opposite(position.side), qty)
        order.position_idx, order.create_type = position.position_idx, "CreateByLiq"
        self._matching.accept(order)
        if position.signed:
            position.status = "Normal"

    def _cancel_orders(self, account: Account, instrument: Instrument, cancel_type: str) -> None:
        for order in list(account.open_orders.values()):
            if order.instrument is instrument and not order.is_final:
                self._matching.cancel(order, cancel_type)

    def _execution(
        self,
        position: Position,
        exec_type: str,
        side: str,
        *,
        qty: Decimal,
        price: Decimal,
        seq: int,
        order_type: str = "UNKNOWN",
        create_type: str = "",
        closed: Decimal = ZERO,
        pnl: Decimal = ZERO,
    ) -> Execution:
        venue, instrument = self._venue, position.instrument
        ordered = order_type != "UNKNOWN"
        return Execution(
            instrument=instrument,
            exec_id=venue.ids.exec_id(instrument.category),
            exec_type=exec_type,
            exec_ms=venue.clock_ms,
            seq=seq,
            order_id=venue.ids.order_id(instrument.category),
            order_link_id="",
            order_type=order_type,
            stop_order_type="",
            order_price=price if ordered else ZERO,
            order_qty=qty if ordered else ZERO,
            leaves=ZERO,
            side=side,
            price=price,
            qty=qty,
            value=instrument.value(qty, price),
            fee=ZERO,
            fee_rate=ZERO,
            fee_coin=instrument.settle_coin,
            is_maker=False,
            mark_price=venue.market(instrument).mark,
            create_type=create_type,
            closed=closed,
            pnl=pnl,
        )

    @staticmethod
    def _with_money(
        execution: Execution, *, fee: Decimal, rate: Decimal, change: Decimal, balance: Decimal
    ) -> Execution:
        return attrs.evolve(execution, fee=fee, fee_rate=rate, change=change, balance=balance)

    def _record(self, account: Account, position: Position, execution: Execution) -> None:
        instrument = position.instrument
        account.executions.append(execution)
        self._outbox.executions(account, [execution])
        self._outbox.positions(account, account.positions_of(instrument))
        self._outbox.wallet(account, [instrument.settle_coin])
        if account.reducing:
            self._matching.follow_position(account, instrument, position.position_idx)
