"""Field mappings as data."""

import pytest
from hubspot_world import changed, qualified, without_profile

from pql_stream.errors import InvalidSettings
from pql_stream.sinks.mapping import contact_fields, fields_of_item, mapping_for, parse_mapping


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("score_after", 78),
        ("score_after | score", 78),
        ("score | score_after", 78),
        ("input.workflow_success", 50),
        ("input.community.community_posts", 2),
        ("points.compliance", 10),
        ("groups.usage", 30),
        ("points.time_to_first_value | score_after", 0),
        ("profile.email", "ada1@customer.example"),
        ("lead_id", "lead-1"),
        ("delivery_id", f"{1:032x}"),
        ('profile.company | "[not known]"', "[not known]"),
        ('profile.first_name | "[not known]"', "Ada"),
        ('"Web"', "Web"),
        ('""', ""),
    ],
)
def test_paths(path, value):
    """
    A path finds a field of the record, of its inputs or of the contact data; the first that is known counts.
    """
    mapping = parse_mapping({"field": path})

    assert {"field": value} == mapping.values(fields_of_item(changed(1)))


@pytest.mark.parametrize("path", ["nothing.of.it", "profile.company", "input.time_to_first_value", "a | b"])
def test_unknown_is_left_out(path):
    """
    What is not known is not sent, so that nothing is overwritten by our not knowing.
    """
    assert {} == parse_mapping({"field": path}).values(fields_of_item(changed(1)))


@pytest.mark.parametrize("path", ["a..b", ".a", "a |", "| a", '"a', '"fallback" | a', "a b", "a.b!", " "])
def test_what_is_no_path(path):
    """
    A path that cannot be read stops the start, and the message names the field.
    """
    with pytest.raises(InvalidSettings, match="field score__c"):
        parse_mapping({"score__c": path})


def test_a_route_adds_changes_and_takes_away():
    """
    A route's own mapping is laid over the shipped one; an empty path takes a field out.
    """
    own = {"b": "tier_after", "c": "", "d": "lead_id"}
    item = changed(1, options={"fields": own})

    mapping = mapping_for(item, {"a": "score_after", "b": "score_after", "c": "score_after"})

    assert {"a": 78, "b": "silver", "d": "lead-1"} == mapping.values(fields_of_item(item))


@pytest.mark.parametrize("own", ["score", {"a": 5}, {"a": "b c"}], ids=["no mapping", "no path", "bad path"])
def test_a_route_s_mapping_is_checked(own):
    """
    A route's mapping that is none is an error of settings.
    """
    with pytest.raises(InvalidSettings):
        mapping_for(changed(1, options={"fields": own}), {})


def test_contact_data_has_nothing_of_the_score():
    """
    The fields of who a lead is hold no field of the record but its id.
    """
    names = set(contact_fields(qualified(1)))

    assert "lead_id" in names
    assert [] == [name for name in names - {"lead_id"} if not name.startswith("profile.")]


def test_no_profile_no_contact_data():
    """
    Without a profile its fields are unknown, not errors.
    """
    assert {"lead_id": "lead-1"} == contact_fields(without_profile(changed(1)))
