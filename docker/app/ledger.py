"""What the shop was told about each of its writes, one JSON line each, in a file per shop under /ledger.

A line: t (seconds, when it ended), w (worker), op (seed, order, change, cancel, read), token, customer, price, and r:
  ok        the shop was told that it happened
  refused   it was told that it did not: an error before COMMIT was sent
  unknown   the connection or the server failed over COMMIT
  wrong     a read did not find what was acknowledged before
and e, the error's number, where there was one.
"""

import glob
import json
import os
import threading

FOLDER = os.environ.get("SHOP_LEDGER", "/ledger")


class Ledger:
    """The file of one shop, whose workers share it."""

    def __init__(self, name):
        # One write per line, by O_APPEND: a reader never sees half of one but at the end.
        self.file = open(f"{FOLDER}/{name}.jsonl", "a", buffering=1)
        self.lock = threading.Lock()

    def add(self, **line):
        with self.lock:
            self.file.write(json.dumps(line) + "\n")


def lines():
    """All lines of all shops."""
    for path in sorted(glob.glob(f"{FOLDER}/*.jsonl")):
        with open(path) as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)
