"""Asks workers and broker where they are, over and over, and keeps the answers."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Collection
from concurrent.futures import Future

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient
from score_bench import Worker

from tests.rehearsal.readiness import Numbers, Probe

_ANSWER_S_MAX = 2.0
_NUMBERS_EVERY = 4
"""Rounds: a page of numbers costs the worker more than a sentence."""


class Probes:
    """
    The answers of all workers, by the name of the process; and how many *members* the group has, None while they come
    and go, as the broker has told last.
    """

    def __init__(self, bootstrap: str, group: str) -> None:
        self.answers: list[Probe] = []
        self.numbers: list[Numbers] = []
        self.members: int | None = None
        self._group = group
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._asked: Future | None = None
        self._addresses: dict[int, str] = {}
        self._last: dict[int, Probe] = {}
        self._rounds = 0

    def round(self, workers: Collection[Worker]) -> None:
        """Ask each of *workers* once, and the broker unless its last answer is still to come."""
        self._ask_broker()
        self._rounds += 1
        for worker in workers:
            address = self._address(worker)
            if address is None:
                continue
            if self._rounds % _NUMBERS_EVERY == 0:
                self._ask_numbers(worker, address)
            self._ask_ready(worker, address)
            # Most recoveries are over before it is this round's turn.
            if self._rounds % _NUMBERS_EVERY == 0:
                self._ask_numbers(worker, address)

    def is_ready(self, worker: Worker) -> bool:
        """It said so when it was asked last."""
        last = self._last.get(worker.process.pid)
        return last is not None and last.ready

    def _address(self, worker: Worker) -> str | None:
        pid = worker.process.pid
        if pid not in self._addresses and (served := worker.logged("pages_served")):
            self._addresses[pid] = served[0]["http"]
        return self._addresses.get(pid)

    def _ask_ready(self, worker: Worker, address: str) -> None:
        asked_s = time.monotonic()
        answer = _get(f"{address}/readyz")
        if answer is not None:
            probe = Probe(
                worker=_name(worker),
                asked_s=asked_s,
                answered_s=time.monotonic(),
                ready=answer[0] == 200,
                sentence=answer[1],
            )
            self.answers.append(probe)
            self._last[worker.process.pid] = probe

    def _ask_numbers(self, worker: Worker, address: str) -> None:
        asked_s = time.monotonic()
        answer = _get(f"{address}/metrics")
        if answer is None:
            return
        rebalances, recovering = (_number(answer[1], name) for name in ("rebalances_total", "table_recovering"))
        if rebalances is not None and recovering is not None:
            numbers = Numbers(
                worker=_name(worker),
                asked_s=asked_s,
                answered_s=time.monotonic(),
                rebalances=int(rebalances),
                recovering=recovering == 1,
            )
            self.numbers.append(numbers)

    def _ask_broker(self) -> None:
        if self._asked is not None:
            if not self._asked.done():
                return
            try:
                described = self._asked.result()
            except KafkaException:
                self.members = None
            else:
                is_stable = described.state == ConsumerGroupState.STABLE
                self.members = len(described.members) if is_stable else None
        self._asked = self._admin.describe_consumer_groups([self._group], request_timeout=_ANSWER_S_MAX)[self._group]


def _name(worker: Worker) -> str:
    return worker.log_path.stem


def _get(url: str) -> tuple[int, str] | None:
    """Status and text; None when there is no answer."""
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_S_MAX) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read().decode()
    except OSError:
        return None


def _number(page: str, name: str) -> float | None:
    found = re.search(rf"^pql_{name} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else None
