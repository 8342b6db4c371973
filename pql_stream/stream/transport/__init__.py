"""
The batch transport: agents get the records of a partition in batches, and say when all effects of one are
durable.
"""

from pql_stream.stream.transport.app import BatchApp, WriterService
from pql_stream.stream.transport.batch import RecordBatch
from pql_stream.stream.transport.driver import Transport
from pql_stream.stream.transport.ending import end_process
from pql_stream.stream.transport.following import Tail
from pql_stream.stream.transport.lease import Lease
from pql_stream.stream.transport.outputs import OutputTopic
from pql_stream.stream.transport.producing import (
    RecordWriter,
    Span,
    make_producer,
)
from pql_stream.stream.transport.settings import Guarantee, TransportSettings
from pql_stream.stream.transport.stores import STORE_URLS
from pql_stream.stream.transport.table import BatchTable
from pql_stream.stream.transport.topics import BatchTopic, GaveWay, batches, work
from pql_stream.stream.transport.transactional import TransactionalProducer
from pql_stream.stream.transport.transactions import Transaction, Transactions
from pql_stream.wire.records import OutRecord

__all__ = [
    "STORE_URLS",
    "BatchApp",
    "BatchTable",
    "BatchTopic",
    "GaveWay",
    "Guarantee",
    "Lease",
    "OutRecord",
    "OutputTopic",
    "RecordBatch",
    "RecordWriter",
    "Span",
    "Tail",
    "Transaction",
    "TransactionalProducer",
    "Transactions",
    "Transport",
    "TransportSettings",
    "WriterService",
    "batches",
    "end_process",
    "make_producer",
    "work",
]
