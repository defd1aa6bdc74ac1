"""`hean check`: whether a signal would pass."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from hean.desk.cli import verb
from hean.desk.desk import Desk, Row
from hean.desk.exits import Exit
from hean.desk.paper import Column, Paper
from hean.errors import ConfigError, JournalError, RemoteError
from hean.journal.marks import HALT_MARK

if TYPE_CHECKING:
    from hean.core.types import Denial, Instrument, OrderRequest, Signal
    from hean.desk.exchange import Exchange

_PASS, _FAIL, _SKIPPED = "pass", "fail", "skipped"


@verb(
    "check",
    examples=[
        "hean check signal.json",
        "hean check - < signal.json",
    ],
)
@click.argument("signal", type=click.File("r", encoding="utf-8"), metavar="SIGNAL.json")
def check(desk: Desk, signal: Any) -> int:
    """
    Check a signal as the router would, then ask the exchange for its pre-check. Sends no order.

    The file holds the fields of hean.Signal; numbers as text, as in Python. "-" reads stdin. The exit code is 3 when it
    would be denied here, 7 when that is because of a halt, 5 when the exchange would refuse it.
    """
    wish = read_signal(signal.read(), getattr(signal, "name", "stdin"))
    from hean.desk.exchange import exchange_of  # noqa: PLC0415 - not for --help

    with exchange_of(desk.settings) as exchange, desk.progress("asking the exchange"):
        checking = _Checking(desk, exchange, wish)
        code = checking.run()
    head, steps = checking.head, checking.steps
    shown = [("hean.check.step/1", step) for step in steps]
    desk.show("hean.check/1", head, shown, lambda paper: _text(paper, head, steps))
    return code


def read_signal(text: str, name: str) -> Signal:
    """
    A signal out of JSON text.

    Raises:
        ConfigError: it is no JSON, or has a field that a signal has not, or lacks one that it needs.
    """
    from hean.core.types import Signal  # noqa: PLC0415 - not for --help

    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{name}: expected the JSON of a signal: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{name}: expected an object with the fields of a signal, was {type(data).__name__}")
    if isinstance(data.get("metadata"), dict):
        data["metadata"] = tuple(data["metadata"].items())
    try:
        return Signal(**data)
    except TypeError as error:
        raise ConfigError(f"{name}: {str(error).replace('Signal.__init__() ', '')}") from error


class _Checking:
    """One signal on its way through the checks."""

    def __init__(self, desk: Desk, exchange: Exchange, signal: Signal) -> None:
        self._desk = desk
        self._exchange = exchange
        self._signal = signal
        self.steps: list[Row] = []
        self.head: Row = {"order_link_id": "", "would": "be sent", "reason": "", "detail": ""}

    def run(self) -> Exit:
        """Every step; one that says no leaves out those that need what it would have given."""
        from hean.core import ids  # noqa: PLC0415

        problem = ids.identity_problem(self._signal)
        if problem is not None:
            return self._denied("identity", problem, ["journal", "halt", "router", "instrument", "pre-check"])
        signal = self._signal
        self.head["order_link_id"] = ids.order_link_id(signal.strategy_id, signal.signal_id, signal.leg)
        self._step("identity", _PASS, self.head["order_link_id"])
        code = self._journal()
        if code is not None:
            return code
        checked = self._local()
        if isinstance(checked, Exit):
            return checked
        return self._pre_check(checked)

    def _journal(self) -> Exit | None:
        from hean.core import ids  # noqa: PLC0415
        from hean.core.types import Denial, DenyReason  # noqa: PLC0415

        try:
            with self._desk.view() as view:
                entry, halted = view.order(self.head["order_link_id"]), view.mark(HALT_MARK) or ""
        except JournalError as error:
            self._step("journal", _SKIPPED, str(error))
            self._step("halt", _SKIPPED, "no journal")
            return None
        if entry is not None and entry.digest != ids.payload_digest(self._signal):
            detail = f"the signal was submitted before with another payload, {entry.state}; give it a new signal_id"
            denial = Denial(reason=DenyReason.DUPLICATE_ID, detail=detail)
            return self._denied("journal", denial, ["halt", "instrument", "pre-check"])
        if entry is not None:
            self._step("journal", _PASS, f"submitted before, {entry.state}: the same ticket would come back")
            self.head["would"] = "be known"
            self.head["detail"] = f"{entry.state}; hean trace {entry.order_link_id}"
            return Exit.DONE
        self._step("journal", _PASS, "not submitted before")
        if halted:
            denial = Denial(reason=DenyReason.HALTED, detail=f"{halted}; resume first")
            self._denied("halt", denial, ["instrument", "pre-check"])
            return Exit.HALTED
        self._step("halt", _PASS, "not halted")
        return None

    def _local(self) -> OrderRequest | Exit:
        from hean.core import checks  # noqa: PLC0415
        from hean.core.types import Denial, Ms  # noqa: PLC0415

        gates = checks.Gates(live=True)
        checked = checks.check(self._signal, self._instrument(), gates, Ms(self._desk.now_ms()))
        if isinstance(checked, Denial):
            return self._denied("instrument", checked, ["pre-check"])
        fits = f"{checked.side} {checked.qty} {checked.symbol} {checked.order_type} {checked.time_in_force}"
        self._step("instrument", _PASS, f"{fits} fits its symbol, step, tick, bounds and conditions")
        return checked

    def _instrument(self) -> Instrument | None:
        from hean.core.calls import Page, QueryInstruments, VerdictKind  # noqa: PLC0415
        from hean.core.replies import said  # noqa: PLC0415
        from hean.core.types import Category  # noqa: PLC0415

        signal = self._signal
        if signal.category not in set(Category) or not isinstance(signal.symbol, str):
            return None
        reply = self._exchange.perform(QueryInstruments(category=Category(signal.category), symbol=signal.symbol))
        if isinstance(reply.result, Page):
            return next((row for row in reply.result.instruments if row.symbol == signal.symbol), None)
        if reply.verdict.kind is VerdictKind.REFUSED:
            # It lists none of that name.
            return None
        verdict = reply.verdict
        raise RemoteError(
            f"{self._exchange.endpoints.rest_url}: {said(verdict)}",
            ret_code=verdict.ret_code,
            ret_msg=verdict.ret_msg,
            hint=verdict.hint or "hean doctor",
        )

    def _pre_check(self, request: OrderRequest) -> Exit:
        from hean.core.calls import PreCheck, VerdictKind  # noqa: PLC0415
        from hean.core.replies import said  # noqa: PLC0415

        verdict = self._exchange.perform(PreCheck(request=request)).verdict
        if verdict.kind is VerdictKind.ACCEPTED:
            self._step("pre-check", _PASS, f"{self._exchange.name} would take it")
            return Exit.DONE
        detail = f"{said(verdict)}: {verdict.hint}"
        self._step("pre-check", _FAIL, detail)
        self.head |= {"would": "be refused", "reason": str(verdict.ret_code or verdict.kind), "detail": detail}
        # Without a code nobody said no: the exchange could not be asked.
        return Exit.REFUSED if verdict.ret_code is not None else Exit.CHECK_FAILED

    def _denied(self, step: str, denial: Denial, left_out: list[str]) -> Exit:
        self._step(step, _FAIL, f"{denial.reason}: {denial.detail}")
        for name in left_out:
            self._step(name, _SKIPPED, "")
        self.head |= {"would": "be denied", "reason": str(denial.reason), "detail": denial.detail}
        return Exit.CHECK_FAILED

    def _step(self, name: str, verdict: str, detail: str) -> None:
        self.steps.append({"check": name, "verdict": verdict, "detail": detail})


def _text(paper: Paper, head: Row, steps: list[Row]) -> None:
    styles = {_PASS: "green", _FAIL: "bold red", _SKIPPED: "dim"}
    columns = (Column("check"), Column(""), Column(""))
    paper.table(
        columns,
        [(step["check"], step["verdict"], step["detail"]) for step in steps],
        [styles[step["verdict"]] for step in steps],
    )
    paper.line()
    detail = f": {head['detail']}" if head["detail"] else ""
    paper.line(f"it would {head['would']}{detail}", "green" if head["would"] in {"be sent", "be known"} else "bold red")
