"""
What one fill does to its order, the position and the wallet, and the execution that records it.
"""

from decimal import Decimal

from tests.exchange.accounts import Account
from tests.exchange.executions import Execution
from tests.exchange.orders import Order
from tests.exchange.positions import Change
from tests.exchange.venue import Venue
from tests.exchange.wire import ZERO, trimmed

NO_CHANGE = Change(ZERO, ZERO, ZERO, ZERO)


def book_fill(venue: Venue, order: Order, qty: Decimal, price: Decimal, *, maker: bool, seq: int) -> Execution:
    """
    Account for one fill of an order. It publishes nothing.
    """
    account, instrument, clock_ms = order.account, order.instrument, venue.clock_ms
    value = instrument.value(qty, price)
    rate = instrument.maker_fee if maker else instrument.taker_fee
    if instrument.is_spot:
        fee_coin = instrument.base_coin if order.side == "Buy" else instrument.quote_coin
        fee = trimmed((qty if order.side == "Buy" else value) * rate)
        change, wallet_change = NO_CHANGE, _swap(order, qty, value, fee)
        balance = account.coin(instrument.quote_coin).balance
    else:
        fee_coin, fee = instrument.settle_coin, trimmed(value * rate)
        change = account.position(instrument, order.position_idx).apply(
            order.side, qty, value, fee, clock_ms=clock_ms, seq=seq
        )
        wallet_change = change.pnl - fee
        balance = pay(account, fee_coin, wallet_change)
        if change.closed:
            order.closed_qty += change.closed
            order.closed_entry_value += change.entry_value
            order.closed_exit_value += value if change.closed == qty else value * change.closed / qty
            order.closed_open_fee += change.open_fee
            order.closed_close_fee += change.close_fee
            order.closed_pnl += change.pnl - change.open_fee - change.close_fee
    order.cum_qty += qty
    order.cum_value += value
    order.fees[fee_coin] = order.fees.get(fee_coin, ZERO) + fee
    if not order.is_final:
        order.status = "PartiallyFilled" if order.leaves else "Filled"
    execution = Execution(
        instrument=instrument,
        exec_id=venue.ids.exec_id(instrument.category),
        exec_type="Trade",
        exec_ms=clock_ms,
        seq=seq,
        order_id=order.order_id,
        order_link_id=order.order_link_id,
        order_type=order.order_type,
        stop_order_type=order.stop_order_type,
        order_price=order.price,
        order_qty=order.qty,
        leaves=ZERO if order.by_quote else max(ZERO, order.qty - order.cum_qty),
        side=order.side,
        price=price,
        qty=qty,
        value=value,
        fee=fee,
        fee_rate=rate,
        fee_coin=fee_coin,
        is_maker=maker,
        mark_price=venue.market(instrument).mark,
        create_type=order.create_type,
        market_unit=order.market_unit,
        closed=change.closed,
        pnl=change.pnl,
        change=wallet_change,
        balance=balance,
    )
    account.executions.append(execution)
    order.executions.append(execution)
    return execution


def pay(account: Account, coin_name: str, amount: Decimal) -> Decimal:
    """
    Realised PnL and fees reach the wallet; gives the new balance.
    """
    coin = account.coin(coin_name)
    coin.balance += amount
    coin.realised_ever += amount
    return coin.balance


def _swap(order: Order, qty: Decimal, value: Decimal, fee: Decimal) -> Decimal:
    account, instrument = order.account, order.instrument
    base, quote = account.coin(instrument.base_coin), account.coin(instrument.quote_coin)
    if order.side == "Buy":
        base.balance += qty - fee
        quote.balance -= value
        return -value
    base.balance -= qty
    quote.balance += value - fee
    return value - fee
