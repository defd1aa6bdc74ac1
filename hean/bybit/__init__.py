"""The wire: Bybit V5 over HTTP and WebSocket; knows the core, not the actors."""
