"""
Every identifier the exchange gives out, from its seed: the same seed and the same inputs give the same IDs.
"""

import random


class Ids:
    """
    UUIDs for derivatives, digit strings for spot, connection and trace IDs.
    """

    def __init__(self, seed: int) -> None:
        # getrandbits and random() are the two methods whose streams Python promises to keep across versions.
        self._rng = random.Random(seed)
        self._spot_order = 1_750_000_000_000_000_000
        self._spot_exec = 2_290_000_000_000_000_000
        self._connection = 0
        self.serial = 0

    def next_serial(self) -> int:
        """
        A number that only grows: time priority in the book, order of rows with equal time.
        """
        self.serial += 1
        return self.serial

    def uuid(self) -> str:
        """
        A version 4 UUID.
        """
        bits = self._rng.getrandbits(128)
        bits = bits & ~(0xF000 << 64) & ~(0xC000 << 48) | (0x4000 << 64) | (0x8000 << 48)
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def order_id(self, category: str) -> str:
        """
        An orderId in the category's format.
        """
        if category != "spot":
            return self.uuid()
        self._spot_order += 1
        return str(self._spot_order)

    def exec_id(self, category: str) -> str:
        """
        An execId in the category's format.
        """
        if category != "spot":
            return self.uuid()
        self._spot_exec += 1
        return str(self._spot_exec)

    def conn_id(self) -> str:
        """
        The conn_id of one WebSocket.
        """
        self._connection += 1
        return f"{self._rng.getrandbits(80):020x}-{self._connection:x}"

    def trace_id(self) -> str:
        """
        The Traceid header of a trade WebSocket reply.
        """
        return f"{self._rng.getrandbits(128):032x}"
