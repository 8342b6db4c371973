"""Routes and templates are changed under a worker that delivers: what was to go one way goes the other, and once."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from deliver_bench import DeliverBench, ids_of, published
from deliver_places import Place, slack, webhook

from pql_stream.stream.names import PQL_QUALIFIED, SCORE_CHANGED

pytestmark = pytest.mark.system

RECORDS = [record for record in published(60) if record[0] in {SCORE_CHANGED, PQL_QUALIFIED}]
OF = SCORE_CHANGED
CHANGES = [record for record in RECORDS if record[0] == OF]
OLD, MOVING, NEW, LAST = (CHANGES[at::4] for at in range(4))
SINK = """
[sinks.{name}]
{table}
rate = {{ calls = 100000, period_s = 1 }}
"""
ROUTE = """
[[routes]]
name = "to-{sink}"
of = "{of}"
sink = "{sink}"
action = "{action}"
options = {options}
"""


class World:
    """A worker with two sinks, its settings file, and the ids that each destination has seen."""

    def __init__(self, bench: DeliverBench, webhook: Place, slack: Place) -> None:
        self.bench = bench
        self.webhook = webhook
        self.slack = slack
        self.template = bench.directory / "templates" / "mine.txt"
        self.template.parent.mkdir()
        self.sinks = "".join(SINK.format(name=place.name, table=place.sink) for place in (webhook, slack))

    def write(self, *routes: str) -> None:
        text = f'[templates]\ndirectory = "templates"\n{self.sinks}{"".join(routes)}'
        (self.bench.directory / "pql.toml").write_text(text)

    def of_webhook(self) -> str:
        return ROUTE.format(sink="webhook", of=OF, action="post", options="{}")

    def of_slack(self) -> str:
        return ROUTE.format(sink="slack", of=OF, action="message", options='{ channel = "C-sales", text = "mine.txt" }')

    def events(self, event: str) -> list[dict[str, object]]:
        lines = (json.loads(line) for line in self.bench.log().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == event]

    async def reload(self, worker: subprocess.Popen[bytes], event: str) -> dict[str, object]:
        before = len(self.events(event))
        worker.send_signal(signal.SIGHUP)
        await self.bench.wait_for(lambda: len(self.events(event)) > before)
        return self.events(event)[-1]

    async def numbers(self) -> str:
        [started] = self.events("worker_starting")
        async with aiohttp.ClientSession() as session, session.get(f"{started['http']}/metrics") as response:
            return await response.text()


@pytest.fixture
async def world(kafka, redis_url: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[World]:
    """Both destinations run, and no worker yet."""
    hook, fake_hook = await webhook()
    chat, fake_chat = await slack()
    bench = DeliverBench(kafka.bootstrap, redis_url, topic_prefix, tmp_path, "")
    bench.environment = hook.environment | chat.environment
    bench.create_topics(["webhook", "slack"])
    yield World(bench, hook, chat)
    bench.close()
    await fake_hook.close()
    await fake_chat.close()
    kafka.delete_topics(topic_prefix)


def expected(place: Place, records) -> set[str]:
    return {place.id_of(record_id, OF) for record_id in ids_of(records, OF)}


async def test_new_routes_and_templates_are_taken_between_two_batches(world, promtool):
    """
    What comes before SIGHUP goes to the webhook, what comes after it to Slack, in the template as it is then, and what
    comes at that moment to one of the two. Files with a problem, or with other sinks, change nothing.
    """
    bench = world.bench
    world.template.write_text("first template of {{ lead_id }}")
    world.write(world.of_webhook())
    bench.publish(OLD)
    worker = bench.start()
    await bench.done()
    world.template.write_text("second template of {{ lead_id }}")
    world.write(world.of_slack())
    bench.publish(MOVING[: len(MOVING) // 2])
    worker.send_signal(signal.SIGHUP)
    bench.publish(MOVING[len(MOVING) // 2 :])
    await bench.wait_for(lambda: bool(world.events("config_reloaded")))
    bench.publish(NEW)
    await bench.done()

    assert ["to-slack: added", "to-webhook: removed"] == world.events("config_reloaded")[0]["changed"]
    by_webhook, by_slack = set(world.webhook.seen()), set(world.slack.seen())
    assert expected(world.webhook, OLD) <= by_webhook <= expected(world.webhook, OLD + MOVING)
    assert expected(world.slack, NEW) <= by_slack <= expected(world.slack, MOVING + NEW)
    assert {1} == set((world.webhook.seen() + world.slack.seen()).values())
    one_way = [
        (world.webhook.id_of(one, OF) in by_webhook) + (world.slack.id_of(one, OF) in by_slack)
        for one in ids_of(MOVING, OF)
    ]
    assert {1} == set(one_way)
    assert all("second template" in str(effect.content) for effect in world.slack.journal.effects)

    world.write(world.of_slack().replace('sink = "slack"', 'sink = "slakc"'))
    bad = await world.reload(worker, "config_reload_refused")
    world.sinks += '[sinks.more]\ntype = "slack"\ntoken = { env = "TEST_SLACK_TOKEN" }\n'
    world.write(world.of_webhook())
    other = await world.reload(worker, "config_reload_refused")
    numbers = await world.numbers()
    bench.publish(LAST)
    await bench.done()
    worker.terminate()

    assert re.match(
        r"line \d+: routes\.to-slack\.sink: 'slakc' is not known here; did you mean slack\?", bad["problems"][0]
    )
    assert (["sinks.more: added"], True) == (other["problems"], "restart the worker" in other["what_to_do"])
    assert "\npql_config_reload_success 0.0\n" in numbers
    assert "" == promtool(numbers)
    assert expected(world.slack, LAST) <= set(world.slack.seen())
    assert by_webhook == set(world.webhook.seen())
    assert {1} == set(world.slack.seen().values())
    assert 0 == worker.wait(30)
