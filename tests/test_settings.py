"""Every setting has a value, a source, and a reason when it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from hean.errors import ConfigError
from hean.places import settings_file, state_directory
from hean.settings import BybitSettings, Entry, OrderSettings, Settings, variable_of

SECRET = "s3cr3t-of-the-account"


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hean.toml of the developer's shall be found."""
    monkeypatch.chdir(tmp_path)


def refusal(env: dict[str, str] | None = None, toml_path: Path | None = None, **overrides: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        Settings.load(env or {}, toml_path, **overrides)
    return str(refused.value)


@pytest.mark.parametrize(
    "name, default",
    [
        ("bybit.rest_url", "https://api-testnet.bybit.com"),
        ("bybit.private_url", "wss://stream-testnet.bybit.com/v5/private"),
        ("bybit.trade_url", "wss://stream-testnet.bybit.com/v5/trade"),
        ("bybit.entry", "ws"),
        ("bybit.recv_window_ms", "5000"),
        ("bybit.reply_timeout_s", "5.0"),
        ("bybit.api_key", ""),
        ("bybit.api_secret", ""),
        ("journal.path", "/home/quant/.local/state/hean/journal.db"),
        ("orders.max_age_s", "300.0"),
        ("orders.visibility_delay_s", "12.0"),
        ("orders.submit", "caller"),
        ("orders.submit_max", "1000"),
        ("orders.max_open", "500"),
        ("orders.max_tries", "5"),
        ("orders.retry_base_s", "0.25"),
        ("orders.retry_cap_s", "8.0"),
        ("orders.query_base_s", "0.3"),
        ("orders.query_cap_s", "30.0"),
        ("stream.ping_s", "20.0"),
        ("stream.silence_s", "35.0"),
        ("stream.connect_timeout_s", "5.0"),
        ("stream.ack_timeout_s", "5.0"),
        ("stream.backoff_base_s", "0.5"),
        ("stream.backoff_cap_s", "30.0"),
        ("gateway.threads", "4"),
        ("gateway.pace", "0.8"),
        ("gateway.queue_max", "10000"),
        ("reconcile.orders_s", "10.0"),
        ("reconcile.positions_s", "10.0"),
        ("reconcile.overlap_s", "60.0"),
        ("reconcile.confirm_s", "1.0"),
        ("reconcile.order_only_here", "query"),
        ("reconcile.order_only_there", "alert"),
        ("reconcile.order_differs", "query"),
        ("reconcile.execution_only_here", "alert"),
        ("reconcile.execution_only_there", "query"),
        ("reconcile.position_only_here", "halt_symbol"),
        ("reconcile.position_only_there", "halt_symbol"),
        ("reconcile.position_differs", "halt_symbol"),
        ("reconcile.manual", "alert"),
        ("reconcile.forced", "halt_symbol"),
        ("clock.max_drift_ms", "500"),
        ("clock.sync_s", "30.0"),
        ("start.timeout_s", "30.0"),
        ("events.buffer", "100000"),
        ("breaker.failures", "5"),
        ("breaker.window_s", "10.0"),
        ("breaker.open_s", "5.0"),
        ("breaker.ban_silence_s", "600.0"),
        ("metrics.port", "none"),
    ],
)
def test_every_setting_has_its_default(name: str, default: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    rows = {row.name: row for row in Settings.load({"HOME": "/home/quant"}).describe()}
    assert (default, "default") == (rows[name].value, rows[name].source)


def test_the_table_of_defaults_above_is_complete() -> None:
    marks = test_every_setting_has_its_default.pytestmark
    assert [row.name for row in Settings().describe()] == [name for name, _ in marks[0].args[1]]


def test_settings_made_by_hand_equal_the_loaded_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/quant")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert Settings() == Settings.load({"HOME": "/home/quant"})


def test_arguments_beat_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "hean.toml"
    file.write_text("[orders]\nmax_open = 1\nmax_tries = 1\nmax_age_s = 10\n[breaker]\nfailures = 9\n")
    env = {"HEAN_ORDERS__MAX_OPEN": "2", "HEAN_ORDERS__MAX_TRIES": "2"}
    settings = Settings.load(env, orders__max_open=3)
    assert (3, 2, 10.0, 9) == (
        settings.orders.max_open,
        settings.orders.max_tries,
        settings.orders.max_age_s,
        settings.breaker.failures,
    )
    assert [
        "argument orders__max_open",
        "environment HEAN_ORDERS__MAX_TRIES",
        "hean.toml [orders] max_age_s",
        "default",
    ] == [
        settings.source(name)
        for name in ("orders.max_open", "orders.max_tries", "orders.max_age_s", "orders.retry_cap_s")
    ]


def test_hean_config_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("[metrics]\nport = 9000\n")
    settings = Settings.load({"HEAN_CONFIG": str(file)})
    assert (9000, f"{file} [metrics] port") == (settings.metrics.port, settings.source("metrics.port"))


def test_a_given_file_beats_hean_config(tmp_path: Path) -> None:
    file = tmp_path / "given.toml"
    file.write_text("[metrics]\nport = 9001\n")
    assert 9001 == Settings.load({"HEAN_CONFIG": "absent.toml"}, file).metrics.port


def test_the_file_that_is_read_is_named(tmp_path: Path) -> None:
    assert settings_file({}) is None
    assert Path("named.toml") == settings_file({"HEAN_CONFIG": "named.toml"})
    assert Path("given.toml") == settings_file({"HEAN_CONFIG": "named.toml"}, Path("given.toml"))
    Path("hean.toml").write_text("")
    assert Path("hean.toml") == settings_file({})


def test_a_named_file_must_exist() -> None:
    assert refusal({"HEAN_CONFIG": "absent.toml"}).startswith("expected a settings file at absent.toml: No such file")
    assert refusal(toml_path=Path("gone.toml")).startswith("expected a settings file at gone.toml: No such file")


@pytest.mark.parametrize("content", [b"[orders\n", b"\xff"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "hean.toml").write_bytes(content)
    assert refusal().startswith("expected TOML in hean.toml: ")


def test_the_official_names_of_the_key_are_accepted() -> None:
    settings = Settings.load({"BYBIT_API_KEY": "key", "BYBIT_API_SECRET": SECRET})
    assert ("key", SECRET) == (settings.bybit.api_key, settings.bybit.api_secret)
    assert "environment BYBIT_API_SECRET" == settings.source("bybit.api_secret")


def test_our_name_of_the_key_beats_the_official_one() -> None:
    env = {"BYBIT_API_KEY": "theirs", "HEAN_BYBIT__API_KEY": "ours"}
    assert "ours" == Settings.load(env).bybit.api_key


def test_the_secret_is_never_shown() -> None:
    settings = Settings.load({"BYBIT_API_KEY": "visible-key", "BYBIT_API_SECRET": SECRET})
    shown = f"{settings!r} {settings} {settings.describe()} {settings.bybit!r}"
    assert SECRET not in shown
    assert "visible-key" not in shown
    assert {"***"} == {row.value for row in settings.describe() if row.name.startswith("bybit.api_")}


def test_a_secret_that_does_not_fit_is_not_shown_either() -> None:
    assert "bybit.api_secret from environment BYBIT_API_SECRET: expected printable ASCII without spaces, was ***" == (
        refusal({"BYBIT_API_SECRET": SECRET + "\n"})
    )


@pytest.mark.parametrize(
    "env, said",
    [
        ({"HEAN_BYBIT__RECV_WINDOW_MS": "soon"}, "expected an integer from 1 to 60000 (ms), was 'soon'"),
        ({"HEAN_BYBIT__RECV_WINDOW_MS": "0"}, "expected an integer from 1 to 60000 (ms), was '0'"),
        ({"HEAN_BYBIT__RECV_WINDOW_MS": "60001"}, "expected an integer from 1 to 60000 (ms), was '60001'"),
        ({"HEAN_BYBIT__RECV_WINDOW_MS": "5.5"}, "expected an integer from 1 to 60000 (ms), was '5.5'"),
        ({"HEAN_ORDERS__MAX_AGE_S": "nan"}, "expected a number from 0.1 to 86400 (s), was 'nan'"),
        ({"HEAN_ORDERS__MAX_AGE_S": "inf"}, "expected a number from 0.1 to 86400 (s), was 'inf'"),
        ({"HEAN_ORDERS__MAX_AGE_S": "-1"}, "expected a number from 0.1 to 86400 (s), was '-1'"),
        ({"HEAN_ORDERS__MAX_AGE_S": ""}, "expected a number from 0.1 to 86400 (s), was ''"),
        ({"HEAN_BYBIT__ENTRY": "fix"}, "expected one of rest, ws, was 'fix'"),
        ({"HEAN_METRICS__PORT": "70000"}, "expected an integer from 0 to 65535, or none, was '70000'"),
        ({"HEAN_JOURNAL__PATH": " "}, "expected a path to a file, was ' '"),
        ({"HEAN_JOURNAL__PATH": "~nobody-of-that-name/x"}, "expected a path to a file"),
    ],
)
def test_a_wrong_value_names_setting_source_expected_and_seen(env: dict[str, str], said: str) -> None:
    (variable,) = env
    (name,) = [row.name for row in Settings().describe() if variable_of(row.name) == variable]
    assert refusal(env).startswith(f"{name} from environment {variable}: {said}")


@pytest.mark.parametrize(
    "wrong",
    [
        "api-testnet.bybit.com",
        "ftp://api-testnet.bybit.com",
        "https://",
        "https://host:0",
        "https://host:99999",
        "https://host:port",
        "https://user:pass@host",
        "https://user@host",
        "https://host/?q=1",
        "https://host/#part",
        "https://ho st",
        "https://host\n",
        "https://[::1",
        5,
    ],
)
def test_an_address_must_look_like_one(wrong: object) -> None:
    expected = "expected an address https://host[:port][/path] or http://host[:port][/path], was "
    assert f"bybit.rest_url from argument bybit__rest_url: {expected}{wrong!r}" == refusal(bybit__rest_url=wrong)


@pytest.mark.parametrize("right", ["http://127.0.0.1:8080", "http://[::1]:8080", "https://api-testnet.bybit.com"])
def test_an_address_keeps_its_form(right: str) -> None:
    assert right == Settings.load({}, bybit__rest_url=right).bybit.rest_url


@pytest.mark.parametrize(
    "overrides",
    [
        {"orders__max_open": True},
        {"orders__max_open": 5.0},
        {"orders__max_open": None},
        {"orders__max_age_s": True},
        {"orders__max_age_s": None},
        {"orders__max_age_s": 10**400},
        {"bybit__entry": 5},
        {"bybit__api_key": 5},
        {"bybit__api_key": "schlüssel"},
        {"journal__path": 5},
        {"journal__path": "a\0b"},
        {"metrics__port": []},
    ],
)
def test_an_argument_of_a_wrong_type_is_refused(overrides: dict[str, Any]) -> None:
    (argument,) = overrides
    assert f"from argument {argument}: expected " in refusal(**overrides)


@pytest.mark.parametrize(
    "text, expected", [("", None), ("none", None), ("0", 0), ("9100", 9100)], ids=["empty", "none", "any", "one"]
)
def test_a_metrics_port_may_be_absent(text: str, expected: int | None) -> None:
    assert expected == Settings.load({"HEAN_METRICS__PORT": text}).metrics.port


def test_all_that_is_wrong_is_told_at_once() -> None:
    said = refusal({"HEAN_ORDERS__MAX_OPEN": "0", "HEAN_STREAM__PINGS": "1"}, breaker__failures=0)
    assert 3 == len(said.splitlines())


@pytest.mark.parametrize(
    "variable, said",
    [
        ("HEAN_BYBIT__RESTURL", "; did you mean environment HEAN_BYBIT__REST_URL?"),
        ("HEAN_ORDERS_MAX_OPEN", "; did you mean environment HEAN_ORDERS__MAX_OPEN?"),
        ("HEAN_Orders__max_open", ""),
        ("HEAN_CONFG", "; did you mean environment HEAN_CONFIG?"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(variable: str, said: str) -> None:
    assert refusal({variable: "1"}).startswith(f"unknown setting environment {variable}{said}")


def test_variables_of_others_are_left_alone() -> None:
    assert Settings.load({"PATH": "/bin", "BYBIT_OTHER": "1", "HEANX": "1"}) == Settings.load({})


@pytest.mark.parametrize(
    "content, said",
    [
        ("[orders]\nmax_opn = 1\n", "hean.toml [orders] max_opn; did you mean hean.toml [orders] max_open?"),
        ("[order]\nmax_open = 1\n", "hean.toml [order]; did you mean hean.toml [orders]?"),
        ("orders = 1\n", "hean.toml [orders]"),
        ("zzz = 1\n", "hean.toml [zzz]"),
    ],
)
def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "hean.toml").write_text(content)
    assert refusal().startswith(f"unknown setting {said}")


def test_an_unknown_argument_is_refused_with_the_nearest_name() -> None:
    expected = "unknown setting argument order__max_open; did you mean argument orders__max_open?"
    assert expected == refusal(order__max_open=1)


def test_the_source_of_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting bybit\.url; did you mean bybit\.\w+_url\?"):
        Settings().source("bybit.url")


@pytest.mark.parametrize(
    "overrides, said",
    [
        ({"orders__visibility_delay_s": 6}, "orders.visibility_delay_s from argument orders__visibility_delay_s: "),
        ({"bybit__recv_window_ms": 11_000}, "orders.visibility_delay_s from default: expected more than 12 s"),
        (
            {"orders__retry_cap_s": 0.2},
            "orders.retry_cap_s from argument orders__retry_cap_s: expected at least 0.25 s",
        ),
        ({"orders__query_base_s": 31}, "orders.query_cap_s from default: expected at least 31 s (orders.query_base_s)"),
        ({"stream__silence_s": 20}, "stream.silence_s from argument stream__silence_s: expected more than 20 s"),
        ({"stream__backoff_cap_s": 0.1}, "stream.backoff_cap_s from argument stream__backoff_cap_s: expected at least"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(overrides: dict[str, Any], said: str) -> None:
    assert refusal(**overrides).startswith(said)


def test_a_visibility_delay_beyond_the_window_is_taken() -> None:
    settings = Settings.load({}, bybit__recv_window_ms=1000, orders__visibility_delay_s="2.001")
    assert 2.001 == settings.orders.visibility_delay_s


def test_sections_made_by_hand_are_checked_too() -> None:
    with pytest.raises(ConfigError, match=r"orders\.max_open from default: expected an integer .*, was '5'"):
        Settings(orders=OrderSettings(max_open="5"))
    with pytest.raises(ConfigError, match=r"bybit\.recv_window_ms .* was 0"):
        Settings(bybit=BybitSettings(recv_window_ms=0))
    assert 5 == evolve(Settings(), orders=OrderSettings(max_open=5)).orders.max_open


def test_words_and_paths_become_their_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/quant")
    settings = Settings.load({"HEAN_BYBIT__ENTRY": "ws", "HEAN_JOURNAL__PATH": "~/journal.db"})
    assert (Entry.WS, Path("/home/quant/journal.db")) == (settings.bybit.entry, settings.journal.path)
    assert Entry is type(settings.bybit.entry)


@pytest.mark.parametrize(
    "env, platform, expected",
    [
        ({"HOME": "/home/q"}, "linux", "/home/q/.local/state"),
        ({"HOME": "/home/q", "XDG_STATE_HOME": "/state"}, "linux", "/state"),
        ({"HOME": "/home/q", "XDG_STATE_HOME": "relative"}, "linux", "/home/q/.local/state"),
        ({"HOME": "/Users/q", "XDG_STATE_HOME": "/state"}, "darwin", "/Users/q/Library/Application Support"),
    ],
)
def test_the_journal_goes_to_the_users_state_directory(env: dict[str, str], platform: str, expected: str) -> None:
    assert Path(expected) == state_directory(env, platform)


def test_without_home_the_users_own_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/quant")
    assert Path("/home/quant/.local/state") == state_directory({}, "linux")


def test_every_setting_tells_what_it_means() -> None:
    rows = Settings().describe()
    assert [] == [row.name for row in rows if not row.meaning]
    assert [] == [row.name for row in rows if row.name.endswith("_s") != (row.unit == "s")]
    assert [] == [row.name for row in rows if row.name.endswith("_ms") != (row.unit == "ms")]
