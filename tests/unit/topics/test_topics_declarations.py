"""The files in topics/ against the contract and against the code's own names; what a wrong file is told."""

import pytest

from pql_stream.errors import InvalidInput
from pql_stream.ops.topics.declarations import load_declarations
from pql_stream.stream.names import APP_ID, CO_PARTITIONED, CONTROL, TOPICS, sink_topics

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIB = 1024 * 1024

# CONTRACT.md 1, in Kafka's words.
CONTRACT = {
    "product-activity": {
        "cleanup.policy": "delete",
        "retention.ms": 30 * DAY_MS,
        "max.message.bytes": 2 * MIB,
    },
    "product-activity-rekeyed": {
        "cleanup.policy": "delete",
        "retention.ms": 7 * DAY_MS,
        "max.message.bytes": 3 * MIB,
        "message.timestamp.type": "LogAppendTime",
    },
    "product-activity-backfill": {
        "cleanup.policy": "delete",
        "retention.ms": 30 * DAY_MS,
        "max.message.bytes": 2 * MIB,
        "message.timestamp.type": "LogAppendTime",
    },
    "product-activity-dlq": {
        "cleanup.policy": "delete",
        "retention.ms": 30 * DAY_MS,
        "max.message.bytes": 3 * MIB,
    },
    "score-changed": {"cleanup.policy": "compact", "min.compaction.lag.ms": HOUR_MS},
    "pql-qualified": {"cleanup.policy": "delete", "retention.ms": 90 * DAY_MS},
    "lead-profiles": {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": HOUR_MS,
        "max.compaction.lag.ms": DAY_MS,
        "delete.retention.ms": 30 * DAY_MS,
    },
    "pql-score-leads-changelog": {"cleanup.policy": "compact", "min.compaction.lag.ms": HOUR_MS},
    "pql-shadow-diff": {"cleanup.policy": "delete", "retention.ms": 30 * DAY_MS},
    "pql-control": {"cleanup.policy": "compact"},
}

# Of each sink.
SINK_CONTRACT = {"cleanup.policy": "delete", "retention.ms": 30 * DAY_MS, "max.message.bytes": 2 * MIB}

PII = {
    "product-activity",
    "product-activity-rekeyed",
    "product-activity-backfill",
    "product-activity-dlq",
    "lead-profiles",
}

WRONG_FILES = {
    "no YAML": "a: b: c",
    "no mapping": "- kind: KafkaTopic",
    "another kind": "kind: KafkaUser\nmetadata: {name: a}\nspec: {partitions: 1}",
    "no partitions": "kind: KafkaTopic\nmetadata: {name: a}\nspec: {}",
    "partitions in words": "kind: KafkaTopic\nmetadata: {name: a}\nspec: {partitions: many}",
}


def declare(directory, name, partitions):
    spec = f"{{partitions: {partitions}, config: {{a: true, b: 1}}}}"
    text = f"kind: KafkaTopic\nmetadata: {{name: {name}}}\nspec: {spec}"
    (directory / f"{name}.yaml").write_text(text)


def test_every_topic_in_the_code_is_declared_and_no_other():
    """
    The files name exactly the topics that the code reads and writes.
    """
    assert sorted(TOPICS) == [declared.name for declared in load_declarations()]


@pytest.mark.parametrize("declared", load_declarations(), ids=lambda declared: declared.name)
def test_settings_are_those_of_the_contract(declared):
    """
    Cleanup, retention, sizes and timestamps are the contract's, and nothing else is set.
    """
    assert {key: str(value) for key, value in CONTRACT[declared.name].items()} == declared.config
    assert (1 if declared.name == CONTROL else 12) == declared.partitions
    assert declared.replicas is None


@pytest.mark.parametrize("declared", load_declarations(), ids=lambda declared: declared.name)
def test_each_topic_says_what_it_is(declared):
    """
    Owner, key, schema, personal data and a description are there, and personal data is where the contract
    says.
    """
    assert {"description", "owner", "key", "schema", "pii"} == set(declared.annotations)
    assert ("yes" if declared.name in PII else "no") == declared.annotations["pii"]
    others = {CONTROL: "what the record is about"}
    key = "lead id" if declared.name in CO_PARTITIONED else others.get(declared.name, "as received")
    assert key == declared.annotations["key"]


def test_each_sink_has_three_topics():
    """
    Its deliveries, those that wait and those that died: all keyed by lead, as the code calls them.
    """
    plain = {declared.name for declared in load_declarations()}
    of_sinks = [one for one in load_declarations(sinks=["crm", "Team-2"]) if one.name not in plain]

    names = {sink: sink_topics(sink, "") for sink in ("crm", "Team-2")}
    assert {name for topics in names.values() for name in (topics.deliveries, topics.parked, topics.dead_letters)} == {
        declared.name for declared in of_sinks
    }
    assert "delivery-crm-parked" == names["crm"].parked
    assert "p-delivery-crm-dlq" == sink_topics("crm", "p-").dead_letters
    assert {True} == {declared.keyed for declared in of_sinks}
    assert {12} == {declared.partitions for declared in of_sinks}


@pytest.mark.parametrize(
    "declared",
    [one for one in load_declarations(sinks=["crm"]) if one.name.startswith("delivery-crm")],
    ids=lambda one: one.name,
)
def test_topics_of_sinks_are_those_of_the_design(declared):
    """
    Thirty days, records as large as a published one and what is around it, no personal data.
    """
    assert {key: str(value) for key, value in SINK_CONTRACT.items()} == declared.config
    assert {
        "owner": "delivery",
        "key": "lead id",
        "schema": "delivery/1",
        "pii": "no",
    } == {name: text for name, text in declared.annotations.items() if name != "description"}
    assert "SINK" not in declared.name


def test_a_sink_with_other_partitions_is_refused(tmp_path):
    """
    Dispatching keeps partition numbers, so a sink's topics have as many as the others.
    """
    declare(tmp_path, "score-changed", 12)
    declare(tmp_path, "delivery-SINK-dlq", 6)

    with pytest.raises(InvalidInput) as refused:
        load_declarations(tmp_path, sinks=["crm"])

    assert "delivery-crm-dlq has 6, score-changed has 12" == refused.value.why
    assert ["score-changed"] == [declared.name for declared in load_declarations(tmp_path)]


def test_the_changelog_has_the_name_that_faust_gives_it():
    """
    The changelog is the app's, so its name begins with the app id.
    """
    assert "pql-score" == APP_ID
    assert f"{APP_ID}-leads-changelog" in TOPICS


@pytest.mark.parametrize("text", WRONG_FILES.values(), ids=WRONG_FILES.keys())
def test_a_wrong_file_is_named(tmp_path, text):
    """
    Whatever is wrong with a file, the error names the file, in one line.
    """
    (tmp_path / "wrong.yaml").write_text(text)

    with pytest.raises(InvalidInput) as refused:
        load_declarations(tmp_path)

    assert f"{tmp_path / 'wrong.yaml'} is no topic declaration" == refused.value.what
    assert refused.value.why
    assert "\n" not in refused.value.why


def test_topics_of_a_lead_cannot_differ_in_partitions(tmp_path):
    """
    Two topics keyed by lead with different partitions are refused; the dead-letter topic may differ.
    """
    declare(tmp_path, "product-activity", 12)
    declare(tmp_path, "product-activity-dlq", 3)
    agreeing = load_declarations(tmp_path)
    declare(tmp_path, "score-changed", 6)

    with pytest.raises(InvalidInput) as refused:
        load_declarations(tmp_path)

    assert [12, 3] == [declared.partitions for declared in agreeing]
    assert "product-activity has 12, score-changed has 6" == refused.value.why


def test_values_are_read_as_kafka_writes_them(tmp_path):
    """
    YAML's booleans and numbers become Kafka's text, else they would differ for ever.
    """
    declare(tmp_path, "product-activity", 1)

    assert {"a": "true", "b": "1"} == load_declarations(tmp_path)[0].config


def test_a_prefix_and_a_small_cluster_change_name_and_size_only():
    """
    On a cluster a topic has the prefix, and the partitions and replicas that are given.
    """
    declared = load_declarations()[0]
    placed = declared.on_cluster(prefix="p-", partitions=3, replicas=2)
    as_declared = declared.on_cluster(prefix="")

    assert (f"p-{declared.name}", 3, 2) == (placed.name, placed.partitions, placed.replicas)
    assert declared.config == placed.config
    assert declared == as_declared
