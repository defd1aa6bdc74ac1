"""
Run the loopback exchange by hand: Bybit V5 on 127.0.0.1, for any client, until SIGTERM or SIGINT.

When it is ready it prints one line of JSON with its URLs and its key, and writes them, with --env, as a file that a
shell reads (`. ./loopback.env`), with a new journal's path. See tests/exchange/README.md.
"""

import argparse
import asyncio
import json
import shlex
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.exchange.engine import API_KEY, API_SECRET, Engine
from tests.exchange.loopback import urls_of
from tests.exchange.server import Server


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Bybit V5 on 127.0.0.1, for tests")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--api-key", default=API_KEY)
    parser.add_argument("--api-secret", default=API_SECRET)
    parser.add_argument("--seed", type=int, default=0, help="of IDs, fault probabilities and drawn delays")
    parser.add_argument("--instruments", type=Path, help="JSON: instruments-info rows with category and lastPrice")
    parser.add_argument("--env", type=Path, metavar="FILE", help="write a router's environment, for a shell to read")
    parser.add_argument("--limits", choices=("bybit", "none"), default="bybit")
    return parser.parse_args()


def environment(urls: Mapping[str, str]) -> str:
    """What a router on this exchange needs, as lines of a shell; a journal of one exchange is of no use to another."""
    values = {
        "HEAN_BYBIT__REST_URL": urls["rest"],
        "HEAN_BYBIT__PRIVATE_URL": urls["private"],
        "HEAN_BYBIT__TRADE_URL": urls["trade"],
        "BYBIT_API_KEY": urls["api_key"],
        "BYBIT_API_SECRET": urls["api_secret"],
        "HEAN_JOURNAL__PATH": str(Path(tempfile.mkdtemp(prefix="hean-loopback-")) / "journal.db"),
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


async def serve(options: argparse.Namespace) -> None:
    """Serve until a signal."""
    engine = Engine(
        seed=options.seed,
        limits=options.limits,
        instruments=options.instruments.read_text() if options.instruments else None,
        api_key=options.api_key,
        api_secret=options.api_secret,
    )
    server = Server(engine, port=options.port)
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    await server.start()
    urls = urls_of(server.port, options.api_key, options.api_secret)
    if options.env is not None:
        options.env.write_text(environment(urls))
    print(json.dumps(urls), flush=True)
    await stopping.wait()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(serve(parse()))
