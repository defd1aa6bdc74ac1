"""
Every setting: name, default, unit, meaning, and where its value came from.

Sources, the first that names a setting wins: keyword arguments (`orders__max_open=10`), the environment
(`HEAN_ORDERS__MAX_OPEN`; `BYBIT_API_KEY` and `BYBIT_API_SECRET` too), `hean.toml` in the working directory or the file
that `HEAN_CONFIG` names (`[orders]`, `max_open = 10`), the default.

Names ending in `_s` are seconds (float), in `_ms` milliseconds (int). Which hosts may be talked to is not decided here
but at wiring; here an address only has to look like one.

To add a setting: one line in its section, with what fits, its unit and its meaning; nothing else.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
from attrs import Factory, field, frozen

from hean import fits
from hean.core.types import Reaction
from hean.errors import ConfigError
from hean.places import CONFIG_VARIABLE, PREFIX, default_journal, settings_file, tables_of

HIDDEN: Final = "***"
DEFAULT: Final = "default"

# The names under which Bybit's own tools look for a key.
_ALIASES: Final = {"bybit.api_key": "BYBIT_API_KEY", "bybit.api_secret": "BYBIT_API_SECRET"}

# An exchange request may be taken this long after the end of its receive window.
# Source: Bybit V5 docs, guide, "server_time - recv_window <= timestamp < server_time + 1000".
_CLOCK_LEAD_S: Final = 1.0


class Entry(StrEnum):
    """How orders are entered; REST stays the fallback of the WebSocket."""

    REST = "rest"
    WS = "ws"


class Submit(StrEnum):
    """Who takes an order's first step: checks, intent, send."""

    CALLER = "caller"
    HANDED_OVER = "handed_over"


def _setting(default: object, fit: fits.Fit, meaning: str, *, unit: str = "", secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"spec": Spec(fit, meaning, unit, secret)})


def _reaction(default: Reaction, meaning: str) -> Any:
    return _setting(default, fits.choice(Reaction), f"what follows: {meaning}")


@frozen
class Spec:
    """What is known about one setting besides its name and default."""

    fit: fits.Fit
    meaning: str
    unit: str
    secret: bool


@frozen(kw_only=True)
class BybitSettings:
    """Where the exchange is, and who we are there."""

    rest_url: str = _setting("https://api-testnet.bybit.com", fits.url("https", "http"), "REST address")
    private_url: str = _setting(
        "wss://stream-testnet.bybit.com/v5/private",
        fits.url("wss", "ws"),
        "private stream; testnet or loopback as REST is",
    )
    trade_url: str = _setting(
        "wss://stream-testnet.bybit.com/v5/trade", fits.url("wss", "ws"), "order entry; testnet or loopback as REST is"
    )
    entry: Entry = _setting(  # noqa: RUF009 - a member of an enum does not change
        Entry.WS, fits.choice(Entry), "order entry; REST stays the fallback"
    )
    recv_window_ms: int = _setting(
        5000,
        fits.whole(1, 60_000),
        "a request older than this is refused; small, it is the dead man's switch",
        unit="ms",
    )
    reply_timeout_s: float = _setting(
        5.0, fits.real(0.001, 300), "no reply after this: the outcome is unknown", unit="s"
    )
    api_key: str = _setting("", fits.token(), "API key, of testnet", secret=True)
    api_secret: str = _setting("", fits.token(), "API secret", secret=True)


@frozen(kw_only=True)
class JournalSettings:
    """The memory; one per UID."""

    path: Path = _setting(  # noqa: RUF009 - a factory
        Factory(lambda: default_journal(os.environ)), fits.path(), "journal file; one per UID"
    )


@frozen(kw_only=True)
class OrderSettings:
    """Bounds of an order's life."""

    max_age_s: float = _setting(300.0, fits.real(0.1, 86_400), "older creates are denied, never sent late", unit="s")
    visibility_delay_s: float = _setting(
        12.0, fits.real(0.001, 3600), "absence proves nothing before; beyond the receive window and 1 s", unit="s"
    )
    submit: Submit = _setting(  # noqa: RUF009 - a member of an enum does not change
        Submit.CALLER, fits.choice(Submit), "who checks and sends: the thread that submits, or one that stands ready"
    )
    submit_max: int = _setting(1000, fits.whole(1, 100_000), "more that were handed over are denied", unit="signals")
    max_open: int = _setting(500, fits.whole(1, 100_000), "more open orders are denied", unit="orders")
    max_tries: int = _setting(5, fits.whole(1, 100), "create attempts, each after proof of absence", unit="tries")
    retry_base_s: float = _setting(0.25, fits.real(0.001, 3600), "first pause before another attempt", unit="s")
    retry_cap_s: float = _setting(8.0, fits.real(0.001, 3600), "longest pause before another attempt", unit="s")
    query_base_s: float = _setting(0.3, fits.real(0.001, 3600), "first pause before asking again", unit="s")
    query_cap_s: float = _setting(30.0, fits.real(0.001, 3600), "longest pause before asking again", unit="s")


@frozen(kw_only=True)
class StreamSettings:
    """The private stream's patience."""

    ping_s: float = _setting(20.0, fits.real(0.001, 600), "spacing of pings; Bybit recommends 20", unit="s")
    silence_s: float = _setting(35.0, fits.real(0.001, 3600), "no frame nor pong for this long: reconnect", unit="s")
    connect_timeout_s: float = _setting(5.0, fits.real(0.001, 300), "bound on connecting", unit="s")
    ack_timeout_s: float = _setting(5.0, fits.real(0.001, 300), "bound on each answer to auth and subscribe", unit="s")
    backoff_base_s: float = _setting(0.5, fits.real(0.001, 3600), "first pause before reconnecting", unit="s")
    backoff_cap_s: float = _setting(30.0, fits.real(0.001, 3600), "longest pause before reconnecting", unit="s")


@frozen(kw_only=True)
class GatewaySettings:
    """The way out for requests."""

    threads: int = _setting(4, fits.whole(1, 64), "blocking senders, one HTTP session each", unit="threads")
    pace: float = _setting(0.8, fits.real(0.01, 1), "fraction of X-Bapi-Limit that is used")
    queue_max: int = _setting(10_000, fits.whole(1, 1_000_000), "more waiting requests are refused", unit="requests")


@frozen(kw_only=True)
class ReconcileSettings:
    """How often both sides are compared."""

    orders_s: float = _setting(10.0, fits.real(0.01, 3600), "spacing of open-order comparisons", unit="s")
    positions_s: float = _setting(10.0, fits.real(0.01, 3600), "spacing of position comparisons", unit="s")
    overlap_s: float = _setting(60.0, fits.real(0, 86_400), "how far before the watermark catching up begins", unit="s")
    confirm_s: float = _setting(1.0, fits.real(0.001, 600), "a difference counts when seen again after this", unit="s")
    order_only_here: Reaction = _reaction(Reaction.QUERY, "an order open here that the exchange does not list")
    order_only_there: Reaction = _reaction(Reaction.ALERT, "an open order there that nobody here knows")
    order_differs: Reaction = _reaction(Reaction.QUERY, "an open order with another status, quantity or price there")
    execution_only_here: Reaction = _reaction(Reaction.ALERT, "an execution that the exchange does not list")
    execution_only_there: Reaction = _reaction(Reaction.QUERY, "an execution that did not reach us")
    position_only_here: Reaction = _reaction(Reaction.HALT_SYMBOL, "a position that is flat there")
    position_only_there: Reaction = _reaction(Reaction.HALT_SYMBOL, "a position that is flat here")
    position_differs: Reaction = _reaction(Reaction.HALT_SYMBOL, "a position of another side or size there")
    manual: Reaction = _reaction(Reaction.ALERT, "a trade by another hand on this account")
    forced: Reaction = _reaction(Reaction.HALT_SYMBOL, "ADL, liquidation, settlement or delivery")


@frozen(kw_only=True)
class ClockSettings:
    """Our clock against the exchange's."""

    max_drift_ms: int = _setting(500, fits.whole(1, 60_000), "a change of offset beyond this halts", unit="ms")
    sync_s: float = _setting(30.0, fits.real(0.01, 3600), "spacing of clock samples", unit="s")


@frozen(kw_only=True)
class StartSettings:
    """Start-up is recovery."""

    timeout_s: float = _setting(30.0, fits.real(0.01, 3600), "bound on becoming LIVE and reconciled", unit="s")


@frozen(kw_only=True)
class EventSettings:
    """What is kept for those who listen."""

    buffer: int = _setting(100_000, fits.whole(1, 10_000_000), "events kept for slow readers", unit="events")


@frozen(kw_only=True)
class BreakerSettings:
    """When to stop asking."""

    failures: int = _setting(5, fits.whole(1, 10_000), "failures within the window that open it", unit="failures")
    window_s: float = _setting(10.0, fits.real(0.01, 3600), "window in which failures are counted", unit="s")
    open_s: float = _setting(5.0, fits.real(0.01, 3600), "pause before a probe", unit="s")
    ban_silence_s: float = _setting(600.0, fits.real(0, 86_400), "silence after HTTP 403", unit="s")


@frozen(kw_only=True)
class MetricsSettings:
    """What Prometheus may scrape."""

    port: int | None = _setting(None, fits.whole_or_none(0, 65_535), "Prometheus port on 127.0.0.1; 0 takes a free one")


@frozen(kw_only=True)
class SettingRow:
    """One line of `hean config show`; `value` is "***" for a secret that is set."""

    name: str
    value: str
    source: str
    default: str
    unit: str
    meaning: str


@frozen(kw_only=True)
class Settings:
    """
    All settings of one router, checked.

    Raises:
        ConfigError: a value does not fit, or two do not fit together. Nothing has changed.
    """

    bybit: BybitSettings = field(factory=BybitSettings)
    journal: JournalSettings = field(factory=JournalSettings)
    orders: OrderSettings = field(factory=OrderSettings)
    stream: StreamSettings = field(factory=StreamSettings)
    gateway: GatewaySettings = field(factory=GatewaySettings)
    reconcile: ReconcileSettings = field(factory=ReconcileSettings)
    clock: ClockSettings = field(factory=ClockSettings)
    start: StartSettings = field(factory=StartSettings)
    events: EventSettings = field(factory=EventSettings)
    breaker: BreakerSettings = field(factory=BreakerSettings)
    metrics: MetricsSettings = field(factory=MetricsSettings)
    sources: tuple[tuple[str, str], ...] = field(default=(), repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        problems = [
            _complaint(name, self.source(name), spec, value)
            for name, (section, part, spec) in _SPECS.items()
            if not _fits(spec.fit, value := getattr(getattr(self, section), part))
        ]
        _refuse(problems or list(_disagreements(self)))

    @classmethod
    def load(cls, env: Mapping[str, str], toml_path: Path | None = None, **overrides: object) -> Settings:
        """
        Read the settings from all their sources.

        Args:
            env: usually `os.environ`.
            toml_path: a file that must exist; None for the one `HEAN_CONFIG` names, else `hean.toml` if there is one.
            overrides: `section__key=value`, over everything else.

        Raises:
            ConfigError: a setting is wrong or unknown, or the file cannot be read; all of them are named, each with
                its source, what was expected and what was seen. Nothing has changed.
        """
        problems: list[str] = []
        seen: dict[str, tuple[object, str]] = {}
        for found in (_from_toml(env, toml_path), _from_environment(env), _from_arguments(overrides)):
            for name, source, known, value in found:
                if name in _SPECS:
                    seen[name] = (value, source)
                else:
                    problems.append(f"unknown setting {source}{_hint(source, known)}")
        parts: dict[str, dict[str, object]] = {section: {} for section in _SECTIONS}
        parts["journal"]["path"] = default_journal(env)
        for name, (value, source) in seen.items():
            section, part, spec = _SPECS[name]
            try:
                parts[section][part] = spec.fit.read(value)
            except ValueError:
                problems.append(_complaint(name, source, spec, value))
        _refuse(problems)
        sections: dict[str, Any] = {name: _SECTIONS[name](**values) for name, values in parts.items()}
        return cls(**sections, sources=tuple((name, source) for name, (_, source) in sorted(seen.items())))

    def source(self, name: str) -> str:
        """
        Tell where a value came from: "environment HEAN_BYBIT__REST_URL", "argument ...", a file, or "default".

        Args:
            name: as in "bybit.rest_url".

        Raises:
            ConfigError: there is no such setting. Nothing has changed.
        """
        if name not in _SPECS:
            raise ConfigError(f"unknown setting {name}{_hint(name, list(_SPECS))}")
        return dict(self.sources).get(name, DEFAULT)

    def describe(self) -> tuple[SettingRow, ...]:
        """List every setting with its source; secrets never."""
        rows = []
        for name, (section, part, spec) in _SPECS.items():
            values = getattr(self, section)
            default = getattr(_SECTIONS[section](), part)
            rows.append(
                SettingRow(
                    name=name,
                    value=_shown(spec, getattr(values, part)),
                    source=self.source(name),
                    default=_shown(spec, default),
                    unit=spec.unit,
                    meaning=spec.meaning,
                )
            )
        return tuple(rows)


def variable_of(name: str) -> str:
    """Name the environment variable of a setting: "orders.max_open" is HEAN_ORDERS__MAX_OPEN."""
    return PREFIX + name.replace(".", "__").upper()


_SECTIONS: Final[Mapping[str, type[Any]]] = {
    "bybit": BybitSettings,
    "journal": JournalSettings,
    "orders": OrderSettings,
    "stream": StreamSettings,
    "gateway": GatewaySettings,
    "reconcile": ReconcileSettings,
    "clock": ClockSettings,
    "start": StartSettings,
    "events": EventSettings,
    "breaker": BreakerSettings,
    "metrics": MetricsSettings,
}
_SPECS: Final[Mapping[str, tuple[str, str, Spec]]] = {
    f"{section}.{part.name}": (section, part.name, part.metadata["spec"])
    for section, kind in _SECTIONS.items()
    for part in attrs.fields(kind)
}

# What a source holds: the setting's name, the source's words for it, the names it might have been, the value.
_Found: TypeAlias = Iterator[tuple[str, str, list[str], object]]


def _from_arguments(overrides: Mapping[str, object]) -> _Found:
    known = [f"argument {name.replace('.', '__')}" for name in _SPECS]
    for argument, value in overrides.items():
        yield argument.replace("__", ".", 1), f"argument {argument}", known, value


def _from_environment(env: Mapping[str, str]) -> _Found:
    known = [f"environment {variable_of(name)}" for name in _SPECS] + [f"environment {CONFIG_VARIABLE}"]
    for name, alias in _ALIASES.items():
        if alias in env:
            yield name, f"environment {alias}", known, env[alias]
    for variable, value in sorted(env.items()):
        if variable.startswith(PREFIX) and variable != CONFIG_VARIABLE:
            # A setting's variable is upper case, so that its name is unambiguous.
            name = variable.removeprefix(PREFIX).replace("__", ".", 1).lower()
            yield name if variable_of(name) == variable else variable, f"environment {variable}", known, value


def _from_toml(env: Mapping[str, str], toml_path: Path | None) -> _Found:
    path = settings_file(env, toml_path)
    if path is None:
        return
    tables = tables_of(path)
    known = [f"{path} [{section}] {part}" for section, part, _ in _SPECS.values()]
    for section, values in tables.items():
        if isinstance(values, dict) and section in _SECTIONS:
            for part, value in values.items():
                yield f"{section}.{part}", f"{path} [{section}] {part}", known, value
        else:
            yield section, f"{path} [{section}]", [f"{path} [{name}]" for name in _SECTIONS], values


def _hint(seen: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(seen, known, n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def _fits(fit: fits.Fit, value: object) -> bool:
    try:
        read = fit.read(value)
    except ValueError:
        return False
    # Text where a number is meant is for `load` to read: here it is unequal, and does not fit.
    return read == value


def _shown(spec: Spec, value: object) -> str:
    if spec.secret and value:
        return HIDDEN
    return "none" if value is None else str(value)


def _complaint(name: str, source: str, spec: Spec, value: object) -> str:
    unit = f" ({spec.unit})" if spec.unit else ""
    seen = HIDDEN if spec.secret else repr(value)
    return f"{name} from {source}: expected {spec.fit.expected}{unit}, was {seen}"


def _disagreements(settings: Settings) -> Iterator[str]:
    """Two settings that each fit but not together."""

    def at_least(name: str, floor: float, why: str, *, beyond: bool = False) -> Iterator[str]:
        section, part, spec = _SPECS[name]
        value = getattr(getattr(settings, section), part)
        if value < floor or (beyond and value == floor):
            expected = f"{'more than' if beyond else 'at least'} {floor:g} {spec.unit}"
            yield f"{name} from {settings.source(name)}: expected {expected} ({why}), was {value!r}"

    window_s = settings.bybit.recv_window_ms / 1000 + _CLOCK_LEAD_S
    why = "bybit.recv_window_ms and 1 s: until then the exchange may still take a late request"
    yield from at_least("orders.visibility_delay_s", window_s, why, beyond=True)
    yield from at_least("orders.retry_cap_s", settings.orders.retry_base_s, "orders.retry_base_s")
    yield from at_least("orders.query_cap_s", settings.orders.query_base_s, "orders.query_base_s")
    yield from at_least("stream.silence_s", settings.stream.ping_s, "stream.ping_s", beyond=True)
    yield from at_least("stream.backoff_cap_s", settings.stream.backoff_base_s, "stream.backoff_base_s")


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))
