"""The difference between declared and existing topics, and what may not be mended."""

import pytest

from pql_stream.ops.topics.declarations import TopicDeclaration
from pql_stream.ops.topics.difference import ClusterTopic, differences


def declared(name="a", partitions=4, *, replicas=None, keyed=True, config=None):
    return TopicDeclaration(
        name=name, partitions=partitions, replicas=replicas, config=config or {}, keyed=keyed, annotations={}
    )


def existing(partitions=4, *, replicas=1, config=None):
    return ClusterTopic(partitions=partitions, replicas=replicas, config=config or {})


def found(declarations, cluster):
    return [
        (one.topic, one.setting, one.actual, one.declared, bool(one.refused))
        for one in differences(declarations, cluster)
    ]


def test_topics_as_declared_do_not_differ():
    """
    What is not declared (replicas, other settings) makes no difference.
    """
    cluster = {"a": existing(replicas=3, config={"retention.ms": "1", "cleanup.policy": "compact"})}

    assert [] == found([declared(config={"retention.ms": "1"})], cluster)


def test_a_missing_topic_is_to_be_created():
    """
    A topic that is not there is one difference, whatever its settings.
    """
    assert [("a", "topic", None, "4 partitions", False)] == found([declared(config={"x": "1"})], {})


@pytest.mark.parametrize(
    ("actual", "keyed", "refused"),
    [(3, False, False), (3, True, True), (5, False, True), (5, True, True)],
    ids=["raise", "raise-keyed", "lower", "lower-keyed"],
)
def test_partitions_are_never_lowered_and_never_raised_for_keyed_topics(actual, keyed, refused):
    """
    Only a topic without a lead's key may get more partitions; none may lose one.
    """
    expected = [("a", "partitions", str(actual), "4", refused)]

    assert expected == found([declared(keyed=keyed)], {"a": existing(actual)})


@pytest.mark.parametrize(("keyed", "refused"), [(True, True), (False, False)], ids=["keyed", "other"])
def test_a_keyed_topic_is_not_created_beside_one_with_other_partitions(keyed, refused):
    """
    Creating half of a co-partitioned set with another number of partitions would split every lead.
    """
    cluster = {"a": existing(6)}

    assert [("a", "partitions", "6", "4", True), ("b", "topic", None, "4 partitions", refused)] == found(
        [declared("a"), declared("b", keyed=keyed)], cluster
    )


def test_replicas_differ_only_when_they_are_asked_for():
    """
    Asked for and different: shown, and refused, because Kafka moves replicas by another tool.
    """
    assert [("a", "replicas", "1", "3", True)] == found([declared(replicas=3)], {"a": existing()})
    assert [] == found([declared(replicas=1)], {"a": existing()})


def test_each_setting_that_differs_is_listed():
    """
    Settings are compared one by one; one that the cluster does not know is a difference too.
    """
    cluster = {"a": existing(config={"cleanup.policy": "delete", "retention.ms": "1"})}
    wanted = declared(config={"cleanup.policy": "compact", "retention.ms": "1", "new.setting": "x"})

    assert [
        ("a", "cleanup.policy", "delete", "compact", False),
        ("a", "new.setting", None, "x", False),
    ] == found([wanted], cluster)
