"""Routes and templates are taken anew as a whole, or not at all."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from settings_file import ENVIRON, PACK, SINKS, route
from structlog.testing import capture_logs

from pql_stream.errors import InvalidSettings
from pql_stream.ops.delivery.config import load_config
from pql_stream.ops.delivery.reloading import Loaded, Reloader
from pql_stream.ops.metrics.reloading import ReloadMeter
from pql_stream.ops.settings import load_settings
from pql_stream.sinks.template_samples import sample_items

TOLD = route(
    'options = { channel = "C1", text = "mine.txt" }', name="told", of="pql-qualified", sink="team", action="message"
)
TEMPLATES = '[templates]\ndirectory = "templates"\n'
FILE = SINKS + TEMPLATES + route(name="scores") + TOLD


class Router:
    """Keeps what it is given."""

    def __init__(self):
        self.routes = None

    def take_routes(self, routes):
        self.routes = routes


class World:
    """A settings file, its template, and a reloader that has read them once."""

    def __init__(self, directory):
        self.path = directory / "pql.toml"
        self.template = directory / "templates" / "mine.txt"
        self.template.parent.mkdir()
        self.template.write_text("old {{ lead_id }}")
        self.path.write_text(FILE)
        self.environ = dict(ENVIRON)
        self.clock_s = 100.0
        self.registry = CollectorRegistry()
        self.router = Router()
        self.running = self.read()
        meter = ReloadMeter(self.registry, clock=lambda: self.clock_s)
        self.reloader = Reloader(self.running, self.read, self.router, meter)

    def read(self):
        settings = load_settings({"PQL_CONFIG": str(self.path)})
        return Loaded(settings, load_config(settings, PACK, self.environ))

    async def reload(self, text):
        """Write *text*, ask, and give the log line that came of it."""
        self.path.write_text(text)
        self.clock_s += 1
        with capture_logs() as logs:
            await self.reloader.reload()
        return next(entry for entry in logs if entry["event"].startswith("config_reload"))

    def message(self, template="mine.txt"):
        item = next(iter(sample_items(("pql-qualified",))))
        return self.running.config.tools.templates.get(template, "slack", "pql-qualified").render(item)

    def numbers(self):
        names = ("pql_config_reload_success", "pql_config_reload_success_timestamp_seconds")
        return tuple(self.registry.get_sample_value(name) for name in names)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def test_routes_and_templates_are_taken(world):
    """
    The log names the routes that differ, the numbers say when, and sinks that are open use the template as it is now.
    """
    before = world.message()
    world.template.write_text("new {{ lead_id }}")
    entry = await world.reload(SINKS + TEMPLATES + TOLD.replace("C1", "C2") + route(name="more"))

    assert before.startswith("old ")
    assert world.message().startswith("new ")
    assert ["told", "more"] == [one.name for one in world.router.routes]
    assert ["more: added", "scores: removed", "told: changed"] == entry["changed"]
    assert ("config_reloaded", 2) == (entry["event"], entry["routes"])
    assert (1.0, 101.0) == world.numbers()


async def test_what_waits_keeps_the_template_that_it_names(world):
    """
    A route goes, and its template with it: deliveries that it made before can still be written.
    """
    world.message()
    world.template.unlink()
    await world.reload(SINKS + TEMPLATES + route(name="scores"))

    assert world.message().startswith("old ")


BAD_FILES = {
    "no TOML": (FILE + "[", "no TOML"),
    "an unknown sink": (FILE + route(name="x", sink="nobody"), ": routes.x.sink: 'nobody' is not known here"),
    "a template that is not there": (FILE.replace("mine.txt", "yours.txt"), "there is no template yours.txt"),
    "a setting that is none": (FILE + "[settings]\nprot = 1", "settings.prot: 'prot' is not known here"),
    "a secret that is gone": (FILE.replace("HUBSPOT", "GONE"), "sinks.crm.service_key: GONE is not set"),
    "another setting": (FILE + "[settings]\nhttp_port = 1", "PQL_HTTP_PORT is another"),
    "a sink more": (FILE + '[sinks.new]\ntype="slack"\ntoken={env="SLACK"}', "sinks.new: added"),
    "a sink less": (
        SINKS[: SINKS.index("[sinks.hook]")] + TEMPLATES + TOLD,
        "sinks.hook: removed",
    ),
    "other credentials": (FILE.replace("HUBSPOT", "SECRET"), "sinks.crm: changed"),
}


@pytest.mark.parametrize(("text", "problem"), BAD_FILES.values(), ids=BAD_FILES.keys())
async def test_a_file_with_a_problem_is_refused_and_the_old_stays(world, text, problem):
    """
    The log has every problem and what to do, the number falls, and the time of the last good one stays.
    """
    entry = await world.reload(text)

    assert "config_reload_refused" == entry["event"]
    assert any(problem in told for told in entry["problems"])
    assert "hidden" not in str(entry)
    assert entry["what_to_do"]
    assert world.router.routes is None
    assert world.message().startswith("old ")
    assert (0.0, 100.0) == world.numbers()


async def test_changes_of_sinks_ask_for_a_restart(world):
    """
    In words, for who expects a reload to take them.
    """
    entry = await world.reload(FILE.replace("HUBSPOT", "SECRET"))

    assert "settings and sinks, with their credentials, are read at the start only" == entry["reason"]
    assert "restart the worker" in entry["what_to_do"]


async def test_a_changed_secret_asks_for_a_restart(world):
    """
    The file is as it was, but not what it names.
    """
    world.environ["HUBSPOT"] = "rotated"
    entry = await world.reload(FILE)

    assert ["sinks.crm: changed"] == entry["problems"]


async def test_after_a_refusal_a_good_file_is_taken(world):
    """
    The number rises again.
    """
    await world.reload("[")
    entry = await world.reload(FILE)

    assert ("config_reloaded", []) == (entry["event"], entry["changed"])
    assert (1.0, 102.0) == world.numbers()


async def test_a_bug_of_ours_does_not_end_the_worker(world):
    """
    Whatever is raised is a refusal that tells the kind, and not the text.
    """
    world.environ = 3
    entry = await world.reload(FILE)

    assert ["AttributeError"] == entry["problems"]
    assert (0.0, 100.0) == world.numbers()


async def test_whoever_asks_while_it_reads_is_answered_by_one_more(world):
    """
    Three signals at once are two reloads at most, and the last one reads after the last signal.
    """
    reads = []
    asked = asyncio.Event()
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read():
        reads.append(world.path.read_text())
        if len(reads) == 1:
            world.path.write_text(FILE + "# later")
            loop.call_soon_threadsafe(asked.set)
            loop.call_soon_threadsafe(asked.set)
        else:
            loop.call_soon_threadsafe(done.set)
        raise InvalidSettings("no")

    reloader = Reloader(world.running, read, world.router, ReloadMeter(CollectorRegistry()))
    running = asyncio.create_task(reloader.run(asked))
    asked.set()
    await done.wait()
    running.cancel()

    assert [FILE, FILE + "# later"] == reads
