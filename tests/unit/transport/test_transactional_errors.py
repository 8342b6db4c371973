"""What a broker says to a transaction, in words that say who must act."""

from __future__ import annotations

import pytest
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    InvalidTransactionTimeout,
    KafkaError,
    ProducerFenced,
    TransactionalIdAuthorizationFailed,
    UnknownError,
)

from pql_stream.errors import BrokerError, PqlError, StreamLost
from pql_stream.stream.transport.transactional import explained


def wrapped(cause: KafkaError) -> KafkaError:
    """As the client hands on what it did not expect."""
    outer = KafkaError("unexpected")
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    ("exc", "kind", "word"),
    [
        (ProducerFenced(), StreamLost, "eu.pql-score-3"),
        (wrapped(ProducerFenced()), StreamLost, "eu.pql-score-3"),
        (TransactionalIdAuthorizationFailed(), BrokerError, "begin with eu.pql-score-"),
        (IncompatibleBrokerVersion(), BrokerError, "PQL_PROCESSING_GUARANTEE=at_least_once"),
        (InvalidTransactionTimeout(), BrokerError, "transaction.max.timeout.ms"),
        (UnknownError(), BrokerError, "UnknownError"),
    ],
    ids=["fenced", "fenced, wrapped", "denied", "too old", "too short", "anything else"],
)
def test_an_error_says_who_must_act(exc: KafkaError, kind: type[PqlError], word: str):
    """
    The lost partition is nobody's business, all else the operator's; what is to be changed is named.
    """
    told = explained(exc, "eu.pql-score-3", "eu.pql-score")

    assert kind is type(told)
    assert word in f"{told.what} {told.why} {told.what_to_do}"
