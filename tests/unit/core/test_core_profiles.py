"""The fold of contact data: what is read of which event, and that neither order nor repetition matters."""

from __future__ import annotations

import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.core.profiles import (
    PROFILE_FIELDS,
    LeadProfile,
    ProfileState,
    fold_profile,
    known_fields,
    read_email,
    says_who,
)
from pql_stream.testing.builders import JAN_5_MS, product_event


def profile_of(*events) -> LeadProfile:
    """What is known after *events*."""
    state = None
    for event in events:
        state = fold_profile(state, event)
    return (state or ProfileState()).of("u1")


def told(name="identify", /, **properties) -> LeadProfile:
    """What one event tells."""
    return profile_of(product_event(name, **properties))


WHOLE = LeadProfile(
    "u1",
    email="ada@acme.example",
    first_name="Ada",
    last_name="Lovelace",
    title="CTO",
    company="Acme",
    phone="+44 20 7946 0000",
    timezone="Europe/London",
    locale="en-GB",
    consent=True,
)
REST = {"email": "ada@acme.example", "title": "CTO", "phone": "+44 20 7946 0000", "timezone": "Europe/London"}
REST |= {"locale": "en-GB"}

FORMS = {
    "snake case": {**REST, "first_name": "Ada", "last_name": "Lovelace", "company": "Acme", "consent": True},
    "Segment's traits": {
        **REST,
        "firstName": "Ada",
        "lastName": "Lovelace",
        "company": {"name": "Acme", "id": 7},
        "marketingConsent": True,
    },
    "PostHog's $set": {
        "$set": {**REST, "first_name": "Ada", "last_name": "Lovelace", "company": "Acme", "marketing_consent": "yes"}
    },
    "dollars": {
        "$email": "ada@acme.example",
        "$first_name": "Ada",
        "$last_name": "Lovelace",
        "$phone": "+44 20 7946 0000",
        "$timezone": "Europe/London",
        "job_title": "CTO",
        "companyName": "Acme",
        "locale": "en-GB",
        "consent": "opted_in",
    },
    "blanks around": {name: f" {value}\t" for name, value in REST.items()}
    | {"first_name": "\u00a0Ada ", "last_name": "Lovelace\n", "company": " Acme", "consent": " Yes "},
}


@pytest.mark.parametrize("properties", FORMS.values(), ids=FORMS)
def test_everything_is_read_in_each_form(properties):
    """The usual names of the fields are known, whoever wrote them."""

    assert WHOLE == told(**properties)


@pytest.mark.parametrize(
    "name",
    [
        "identify",
        "Identify",
        "profile_completed",
        "Profile Completed",
        "profile-updated",
        "team_size_changed",
        "$identify",
        "$set",
    ],
)
def test_events_that_say_who_somebody_is(name):
    """The name decides, compared as the contract compares words."""

    assert says_who(name)
    assert LeadProfile("u1", email="a@b.example") == told(name, email="a@b.example")


@pytest.mark.parametrize("name", ["feature_used", "trial_created", "identified", "page", "track", ""])
def test_other_events_tell_nothing(name):
    """Whatever they carry: nobody has promised that it is about the lead."""

    assert not says_who(name)
    assert LeadProfile("u1") == told(name, email="a@b.example", company="Acme")


@pytest.mark.parametrize(
    ("properties", "company"),
    [({"name": "Acme"}, "Acme"), ({"company": "Acme", "name": "x"}, "Acme"), ({"company": {"name": "Acme"}}, "Acme")],
    ids=["its name", "company first", "an object"],
)
def test_a_group_tells_the_company_and_nothing_else(properties, company):
    """The e-mail address and the phone of a group are the company's, and a mail to them would reach somebody else."""
    properties |= {"email": "info@acme.example", "phone": "1", "title": "x", "locale": "en", "consent": True}

    assert says_who("group")
    assert LeadProfile("u1", company=company) == told("group", **properties)


def test_many_event_names_are_not_remembered_for_ever():
    """Producers choose names; whatever they choose, the answer stays right."""
    for number in range(10_001):
        assert not says_who(f"event {number}")

    assert says_who("identify")


BAD_TEXTS = {
    "null": None,
    "empty": "",
    "blank": "  ",
    "a number": 5,
    "a truth": True,
    "a list": ["x"],
    "an object": {"x": "y"},
    "257 characters": "x" * 257,
    "a line break": "Ada\r\nBcc: all@acme.example",
    "a null character": "Ada\x00",
    "a delete character": "Ada\x7f",
    "a next line": "Ada\x85x",
    "a line separator": "Ada\u2028x",
    "half a surrogate pair": "Ada\ud800",
}


@pytest.mark.parametrize("value", BAD_TEXTS.values(), ids=BAD_TEXTS)
@pytest.mark.parametrize("field", [name for name in PROFILE_FIELDS if name != "consent"])
def test_what_is_wrong_is_unknown_and_replaces_nothing(field, value):
    """A later event with a wrong value leaves what was known, as with every other fact."""
    properties = {name: "ada@acme.example" for name in PROFILE_FIELDS if name != "consent"}
    before = product_event("identify", **properties)
    after = product_event("identify", occurred_at_ms=JAN_5_MS + 1, **{field: value})

    assert profile_of(before) == profile_of(before, after)
    assert None is getattr(told(**{field: value}), field)


@pytest.mark.parametrize("value", [{"id": 1}, {"name": 5}, {"name": {"name": "x"}}, {"name": ""}])
def test_a_company_without_a_name_is_unknown(value):
    """An object is asked for its name, and for nothing else."""

    assert None is told(company=value).company


EMAILS = {
    "plain": ("ada@acme.example", True),
    "a tag": ("ada+tag@acme.example", True),
    "an apostrophe": ("o'brien@acme.example", True),
    "no dot": ("root@localhost", True),
    "another script": ("δοκιμή@παράδειγμα.δοκιμή", True),
    "254 bytes": ("a" * 245 + "@b.exampl"[:9], True),
    "255 bytes": ("a" * 246 + "@b.exampl"[:9], False),
    "254 characters of more bytes": ("é" * 245 + "@b.exampl", False),
    "no at": ("ada.acme.example", False),
    "two at": ("ada@acme@example", False),
    "nobody": ("@acme.example", False),
    "nowhere": ("ada@", False),
    "a blank": ("ada lovelace@acme.example", False),
    "a second address": ("ada@acme.example,bob", False),
    "a name": ("Ada <ada@acme.example>", False),
    "a header": ("ada@acme.example\r\nBcc: x", False),
    "a line separator": ("ada@acme.example\u2028x", False),
    "quoted": ('"ada"@acme.example', False),
    "an address of a machine": ("ada@[127.0.0.1]", False),
    "a colon": ("group:ada@acme.example", False),
    "a semicolon": ("ada;bob@acme.example", False),
    "a backslash": ("ada\\@acme.example", False),
    "a surrogate": ("ada\ud800@acme.example", False),
}


@pytest.mark.parametrize(("address", "is_good"), EMAILS.values(), ids=EMAILS)
def test_an_address_can_be_sent_to_safely(address, is_good):
    """Nothing in it could end a header or name a second recipient; more is not asked."""

    assert (address if is_good else None) == read_email(address)


@given(st.text(max_size=300))
def test_no_text_gives_an_address_that_is_not_safe(text):
    """Whatever is taken is one line with one @, and can be written."""
    taken = read_email(text)

    assert taken is None or (taken.count("@") == 1 and len(taken.encode()) <= 254 and len(taken.split()) == 1)


CONSENTS = {
    "true": (True, True),
    "false": (False, False),
    "one": (1, True),
    "zero": (0, False),
    "two": (2, None),
    "1.0": (1.0, None),
    "yes": ("YES", True),
    "no": ("no", False),
    "opted out": ("opted-out", False),
    "unsubscribed": ("Unsubscribed", False),
    "perhaps": ("perhaps", None),
    "long": ("y" * 257, None),
    "an object": ({"granted": True}, None),
}


@pytest.mark.parametrize(("value", "known"), CONSENTS.values(), ids=CONSENTS)
def test_consent_is_yes_or_no_or_unknown(value, known):
    """Also as a word; what is neither is unknown, which is no yes."""

    assert known is told(consent=value).consent


@pytest.mark.parametrize(
    ("properties", "known"),
    [
        ({"consent": True, "marketing_consent": False}, False),
        ({"consent": False, "marketing_consent": True}, False),
        ({"consent": "?", "marketing_consent": True}, True),
        ({"consent": True, "$set": {"consent": False}}, False),
    ],
)
def test_who_says_no_once_says_no(properties, known):
    """Where an event says both, nobody is written to."""

    assert known is told(**properties).consent


def test_the_first_known_of_two_names_counts():
    """R16, as with every other property."""

    assert "Ada" == told(first_name=5, firstName="Ada").first_name
    assert "Ada" == told(first_name="Ada", firstName="Eve").first_name
    assert "Ada" == told(**{"first_name": " ", "$set": {"first_name": "Ada"}}).first_name


def test_each_field_has_the_latest_value_of_its_own():
    """An earlier event that arrives later fills gaps, and replaces nothing."""
    late = product_event("identify", occurred_at_ms=JAN_5_MS + 5, email="new@acme.example")
    early = product_event("identify", email="old@acme.example", phone="1")

    assert LeadProfile("u1", email="new@acme.example", phone="1") == profile_of(late, early)


def test_an_event_that_says_nothing_new_changes_nothing():
    """The very object that went in comes out, so that no row is written."""
    event = product_event("identify", email="ada@acme.example")
    state = fold_profile(None, event)

    assert state is fold_profile(state, event)
    assert state is fold_profile(
        state, product_event("identify", occurred_at_ms=JAN_5_MS - 1, email="old@acme.example")
    )
    assert None is fold_profile(None, product_event("identify", email="nobody"))


def test_neither_a_profile_nor_its_state_shows_what_it_knows():
    """A log line or a failed assertion that shows one shows names of fields only."""
    state = fold_profile(None, product_event("identify", **FORMS["snake case"]))
    assert state is not None

    for shown in (repr(state), repr(state.of("u1")), repr(state.__rich_repr__()), repr(state.of("u1").__rich_repr__())):
        assert not [value for value in msgspec.structs.astuple(WHOLE)[1:] if str(value) in shown]
        assert "email" in shown


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "email"]) | st.text(), inner),
    max_leaves=6,
)
texts = st.sampled_from(["ada@acme.example", "eve@acme.example", "x", "y", ""])
names = ["email", "first_name", "firstName", "company", "consent", "marketing_consent", "$set", "name", "timezone"]
properties = st.dictionaries(st.sampled_from(names), texts | st.booleans() | json_values, max_size=5)
events = st.builds(
    lambda name, at, number, given: product_event(
        name, occurred_at_ms=JAN_5_MS + at, event_id=f"e{number}", p=0, **given
    ),
    st.sampled_from(["identify", "profile_updated", "group", "$set", "feature_used"]),
    st.integers(0, 3),
    st.integers(0, 3),
    properties,
)


def state_after(stream) -> ProfileState | None:
    state = None
    for event in stream:
        state = fold_profile(state, event)
    return state


@given(stream=st.lists(events, max_size=12), data=st.data())
def test_order_and_repetition_do_not_matter(stream, data):
    """Any arrival order, with any events delivered twice, gives the same contact data."""
    twice = stream + (data.draw(st.lists(st.sampled_from(stream), max_size=6)) if stream else [])

    assert state_after(stream) == state_after(data.draw(st.permutations(twice)))


@given(events)
def test_a_profile_is_bounded_whatever_producers_send(event):
    """Every text is 1 to 256 characters, on one line; consent is a boolean."""
    known = profile_of(event)

    for field in known_fields(known):
        value = getattr(known, field)
        if field == "consent":
            assert isinstance(value, bool)
        else:
            assert 0 < len(value) <= 256
            assert not [character for character in value if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}]
