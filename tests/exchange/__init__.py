"""
The loopback exchange: Bybit V5 over real HTTP and WebSocket on 127.0.0.1. See README.md beside this file.
"""

from tests.exchange.loopback import LoopbackExchange

__all__ = ["LoopbackExchange"]
