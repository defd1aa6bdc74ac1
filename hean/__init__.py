"""hean routes trading signals into Bybit testnet orders and keeps what it believes equal to what the exchange says."""
