"""The story of an order, line by line, from the records of the journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from hean.desk.desk import Row, shaped
from hean.desk.read import find_all, order_row
from hean.errors import LocalError
from hean.journal import JournalView, StoredRecord

_REPLIES: Final = frozenset(
    {
        "Accepted",
        "Refused",
        "NotExecuted",
        "OutcomeUnknown",
        "Duplicate",
        "NotSent",
        "CommandAccepted",
        "CommandFailed",
    }
)


class Story:
    """
    Turns records into lines, oldest first; remembers what was told, so that a second telling is marked.

    Lines of one batch are in the order of our clock, for a reply's request left before the fills that overtook it.
    """

    def __init__(self) -> None:
        self._last_ms: int | None = None
        self._seen: dict[str, int] = {}

    def lines(self, records: Iterable[StoredRecord]) -> list[Row]:
        """The lines of the next records."""
        made = [line for record in records for line in _lines_of(record)]
        made.sort(key=lambda line: (line["epoch"], line["at_ms"], line["n"]))
        for line in made:
            line["since_ms"] = None if self._last_ms is None else line["at_ms"] - self._last_ms
            self._last_ms = line["at_ms"]
            told = _told(line)
            if told:
                first = self._seen.setdefault(told, line["n"])
                line["duplicate_of"] = first if first != line["n"] else None
        return made


def head_of(view: JournalView, asked: str) -> tuple[Row, list[str], str]:
    """
    Whose story an ID means: the head without its counts, the link IDs, and the correlation ID where there is no order.

    Raises:
        LocalError: the journal knows nothing of that ID.
    """
    found = find_all(view, asked)
    head: Row = {"journal": view.path, "asked": asked}
    if found:
        links = [one.entry.order_link_id for one in found]
        orders = [shaped("hean.order/1", order_row(one.entry)) for one in found]
        return head | {"found_by": found[0].by, "orders": orders}, links, ""
    # Not of ours: an execution or an order of another hand, which the books account all the same.
    for by, rows in (("exec_id", view.executions(exec_id=asked)), ("order_id", view.executions(order_id=asked))):
        for row in rows:
            return head | {"found_by": by, "orders": []}, [], f"external-{row.order_id or row.exec_id}"
    if any(True for _ in view.records(correlation_id=asked)):
        return head | {"found_by": "correlation_id", "orders": []}, [], asked
    raise LocalError(
        f"{view.path} knows nothing of {asked!r}; expected a correlation, signal, link, order or execution ID"
    )


def records_of(view: JournalView, links: list[str], correlation_id: str, after_n: int = 0) -> list[StoredRecord]:
    """The records of these orders, or of that correlation ID, in the journal's order."""
    if not links:
        return list(view.records(correlation_id=correlation_id, after_n=after_n))
    records = [record for link in links for record in view.records(order_link_id=link, after_n=after_n)]
    return sorted(records, key=lambda record: record.n)


def _lines_of(record: StoredRecord) -> Iterator[Row]:
    body = orjson.loads(record.body)
    match record.kind:
        case "fact":
            yield _fact(record, body)
        case "reply":
            if body.get("sent_ms") is not None:
                name = f"{body['tag']} over {body['channel']}"
                yield _line(record, body, name, body["channel"], at_ms=body["sent_ms"], kind="request") | {
                    "detail": body.get("request", "")
                }
            code = "" if body.get("ret_code") is None else f" {body['ret_code']}"
            said = f"{body['kind']}{code} {body.get('ret_msg', '')}".strip()
            took = "" if body.get("sent_ms") is None else f", {body['received_ms'] - body['sent_ms']} ms"
            name = f"{body['tag']}: {said}{took}"
            yield _line(record, body, name, body["channel"], at_ms=body["received_ms"]) | {
                "event_ms": body.get("server_ms"),
                "detail": body.get("reply", ""),
            }
        case "signal":
            event = body["event"]
            yield _line(record, body, "SIGNAL", "strategy") | {"detail": event.get("detail") or event.get("reason", "")}
        case "event":
            name, source = body.get("type", "event"), body.get("source") or "router"
            reason, detail = body.get("reason", ""), body.get("detail", "")
            yield _line(record, body, name, source) | {
                "event_ms": body.get("event_ms"),
                "detail": f"{reason}: {detail}" if reason and detail else reason or detail,
            }
        case "duplicate":
            yield _line(record, body, "delivered again", body.get("source", "router")) | {
                "detail": f"exec_id {body.get('exec_id', '')}"
            }
        case "command":
            yield _line(record, body, body.get("verb", "command"), body.get("who", "operator")) | {
                "detail": f"{body.get('why', '')}: {body.get('state', '')} {body.get('answer', '')}".strip(": ")
            }
        case _:
            yield _line(record, body, record.kind, "router") | {"detail": str(body)}


def _line(
    record: StoredRecord, body: object, name: str, source: str, *, at_ms: int | None = None, kind: str = ""
) -> Row:
    return {
        "n": record.n,
        "at_ms": record.at_ms if at_ms is None else at_ms,
        "since_ms": None,
        "event_ms": None,
        "epoch": record.epoch,
        "kind": kind or record.kind,
        "name": name,
        "source": source,
        "order_link_id": record.order_link_id,
        "before": None,
        "after": None,
        "duplicate_of": None,
        "detail": "",
        "effects": [],
        "events": [],
        "raw": body,
    }


def _fact(record: StoredRecord, body: Row) -> Row:
    what = body["what"]
    row = what.get("row") or what.get("execution") or {}
    kind = what["_"]
    source = what.get("source") or what.get("who") or ("reply" if kind in _REPLIES else "router")
    if kind in {"AmendAsked", "CancelAsked"} and "who" not in what:
        source = "strategy"
    return _line(record, body, body["fact"], source) | {
        "event_ms": row.get("exec_ms") or row.get("updated_ms"),
        "before": body["before"],
        "after": body["after"],
        "detail": _said(kind, what, row),
        "effects": body["effects"],
        "events": body["events"],
    }


def _said(kind: str, what: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    match kind:
        case "Shown":
            price = f" at {row['price']}" if row.get("price") else ""
            words = (row.get(name, "") for name in ("cancel_type", "reject_reason"))
            ended = " ".join(word for word in words if word not in {"", "UNKNOWN", "EC_NoError"})
            return f"{row['status']}, {row['cum_exec_qty']} of {row['qty']}{price}" + (f", {ended}" if ended else "")
        case "Executed":
            dealt = f"{row['side']} {row['exec_qty']} at {row['exec_price']}"
            return f"{dealt}, exec_id {row['exec_id']}, seq {row.get('seq', 0)}"
        case _:
            told = {name: value for name, value in what.items() if name != "_" and value not in (None, "")}
            return ", ".join(
                f"{name} {value if isinstance(value, str | int) else orjson.dumps(value).decode()}"
                for name, value in told.items()
            )


def _told(line: Row) -> str:
    """What a row of the exchange says, whoever brought it and whenever; "" for anything else."""
    if line["kind"] == "duplicate":
        return f"{line['raw']['symbol']} {line['raw']['exec_id']}"
    if line["kind"] != "fact":
        return ""
    what = line["raw"]["what"]
    if "execution" in what:
        return f"{what['execution']['symbol']} {what['execution']['exec_id']}"
    row = what.get("row")
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS).decode() if row is not None else ""
