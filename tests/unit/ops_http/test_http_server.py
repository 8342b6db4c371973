"""The pages of the worker's HTTP server, over real sockets on loopback."""

import aiohttp
import pytest

from pql_stream.errors import PqlError
from pql_stream.ops.health import Health
from pql_stream.ops.http import HttpServer
from pql_stream.ops.metrics.page import MetricsPage


class Probes:
    """Answers that a test can change."""

    def __init__(self):
        self.live = Health(ok=True, sentence="the loop turned 1 s ago")
        self.ready = Health(ok=False, sentence="tables are being recovered")
        self.started = Health(ok=False, sentence="3 of 12 partitions")


@pytest.fixture
def probes():
    """The answers of the server that `base` runs."""
    return Probes()


@pytest.fixture
async def base(probes):
    """The address of a running server on a free port."""
    server = server_on(0, probes)
    port = await server.start()
    yield f"http://127.0.0.1:{port}"
    await server.stop()


def server_on(port, probes, host="127.0.0.1"):
    return HttpServer(
        host=host,
        port=port,
        render=MetricsPage().render,
        live=lambda: probes.live,
        ready=lambda: probes.ready,
        started=lambda: probes.started,
    )


async def get(url, **headers):
    """Status, content type and text of a page."""
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, response.headers["Content-Type"], await response.text()


async def test_port_0_finds_a_free_port(base):
    """
    The port that start() gives is the one that answers.
    """
    assert not base.endswith(":0")
    assert 200 == (await get(f"{base}/healthz"))[0]


async def test_probes_answer_a_sentence(base, probes):
    """
    Yes is 200, no is 503, and both say why in words; the answer follows the state.
    """
    assert (200, "the loop turned 1 s ago\n") == (await get(f"{base}/healthz"))[::2]
    assert (503, "tables are being recovered\n") == (await get(f"{base}/readyz"))[::2]
    assert (503, "3 of 12 partitions\n") == (await get(f"{base}/startupz"))[::2]

    probes.live = Health(ok=False, sentence="the loop hangs")
    probes.ready = Health(ok=True, sentence="12 partitions")

    assert (503, "the loop hangs\n") == (await get(f"{base}/healthz"))[::2]
    assert (200, "12 partitions\n") == (await get(f"{base}/readyz"))[::2]


async def test_metrics_in_the_form_that_is_asked_for(base):
    """
    Prometheus' Accept header gets OpenMetrics, a browser gets text.
    """
    status, content_type, page = await get(
        f"{base}/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    )
    plain_status, plain_type, plain_page = await get(f"{base}/metrics")

    assert (200, True) == (status, content_type.startswith("application/openmetrics-text"))
    assert page.endswith("# EOF\n")
    assert (200, True) == (plain_status, plain_type.startswith("text/plain"))
    assert "pql_build_info{" in plain_page


async def test_nothing_else_is_served(base):
    """
    Unknown pages are 404.
    """
    assert 404 == (await get(f"{base}/"))[0]


async def test_a_taken_port_says_what_to_do(base, probes):
    """
    Whoever starts a second worker on one port is told which setting to change.
    """
    port = int(base.rpartition(":")[2])
    server = server_on(port, probes)

    with pytest.raises(PqlError) as caught:
        await server.start()

    assert f"cannot serve metrics and health on 127.0.0.1:{port}" == caught.value.what
    assert "PQL_HTTP_PORT" in caught.value.what_to_do
    assert "in use" in caught.value.why


async def test_an_address_of_another_machine_is_refused_the_same_way(probes):
    """
    192.0.2.1 (reserved for documentation) is nobody's here.
    """
    with pytest.raises(PqlError) as caught:
        await server_on(0, probes, host="192.0.2.1").start()

    assert "PQL_HTTP_HOST" in caught.value.what_to_do


async def test_stop_frees_the_port_and_may_be_called_twice(probes):
    """
    After stop the same port can be listened on again; a second stop does nothing.
    """
    server = server_on(0, probes)
    port = await server.start()
    await server.stop()
    await server.stop()
    again = server_on(port, probes)

    assert port == await again.start()

    await again.stop()
