"""
Wire surprises inside otherwise good rows: unknown values, missing keys, empty numbers, poison.
"""

from tests.exchange.faults import Fault
from tests.exchange.wire import Json

UNHEARD_OF = "UnheardOf"
ENUM_FIELDS: dict[str, tuple[str, ...]] = {
    "order": ("orderStatus",),
    "execution": ("execType",),
    "position": ("positionStatus",),
    "wallet": ("accountType",),
}
OPTIONAL_KEYS: dict[str, tuple[str, ...]] = {
    "order": ("createType", "cumFeeDetail", "closedPnl", "smpType"),
    "execution": ("createType", "feeCurrency", "closedSize", "execPnl"),
    "position": ("isReduceOnly", "positionIM", "adlRankIndicator"),
    "wallet": ("accountLTV",),
}
EMPTY_FIELDS: dict[str, tuple[str, ...]] = {
    "order": ("avgPrice", "leavesQty", "leavesValue", "cumExecFee"),
    "execution": ("closedSize", "execPnl", "markPrice"),
    "position": ("leverage", "positionIM", "unrealisedPnl"),
    "wallet": ("totalInitialMargin", "accountIMRate"),
}
POISON_ROW: Json = {"category": "linear", "symbol": None, "orderId": 7, "qty": {"value": "one"}, "execQty": "one"}
BROKEN_FIELDS: dict[str, str] = {"order": "cumExecQty", "execution": "execQty", "position": "size"}


def surprise(fault: Fault | None, topic: str, rows: list[Json]) -> None:
    """
    Change the rows as a fired `unknown_enum`, `missing_key` or `empty_numbers` says.

    Args:
        fault: ``args.fields`` names the fields (a mapping gives values too); None means nothing fired.
    """
    if fault is None:
        return
    base = topic.partition(".")[0]
    for row in rows:
        if fault.name == "unknown_enum":
            fields = fault.args.get("fields") or dict.fromkeys(ENUM_FIELDS.get(base, ()), UNHEARD_OF)
            row.update(fields)
        elif fault.name == "missing_key":
            for name in fault.args.get("fields") or OPTIONAL_KEYS.get(base, ()):
                row.pop(name, None)
        else:
            for name in fault.args.get("fields") or EMPTY_FIELDS.get(base, ()):
                if name in row:
                    row[name] = ""


def not_json(fault: Fault | None, topic: str, rows: list[Json]) -> str | None:
    """
    Poison a frame as ``args.kind`` says.

    ``extra_row`` (the default) adds a broken row before the good ones, ``broken_row`` breaks the number that matters
    in the first good row, ``not_json`` and ``binary`` leave the rows alone and return a text to send before the frame.
    """
    if fault is None:
        return None
    kind = fault.args.get("kind", "extra_row")
    if kind in {"not_json", "binary"}:
        return str(fault.args.get("text", '{"topic":"order","data":[{'))
    if kind == "broken_row":
        rows[0][BROKEN_FIELDS.get(topic.partition(".")[0], "symbol")] = "one"
    else:
        rows.insert(0, dict(POISON_ROW))
    return None
