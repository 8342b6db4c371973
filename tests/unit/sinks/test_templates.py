"""Templates: the shipped ones work for every lead, a broken one stops the start, and no lead can break out of one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.core.profiles import LeadProfile
from pql_stream.delivery.sink import Item
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.template_context import NEXT_STEPS, NO_NEXT_STEP, TemplateSettings, context_of
from pql_stream.sinks.template_samples import KNOWN, sample_items
from pql_stream.sinks.templates import CHARS_MAX, EVERY_KIND, SHIPPED, RenderFailed, Templates, load_template
from pql_stream.wire.change_models import PqlQualifiedRecord, ScoreChangedRecord

SHIPPED_KINDS = {
    "sales_subject.txt": "line",
    "sales_slack.txt": "slack",
    "sales_mail.txt": "text",
    "sales_mail.html": "html",
    "task_subject.txt": "line",
    "task_body.txt": "text",
}
TEMPLATES = Templates()
HOSTILE = "a\r\nBcc: x@evil.example\u2028b\x00\x1b[31m\u202ec <script>alert(1)</script> <!channel> & \ud800 \"'"

texts = st.text(st.characters(exclude_categories=()), max_size=60)


def item(profile: LeadProfile | None = KNOWN, of: str = "pql-qualified", **record: object) -> Item:
    """A sample item of topic *of*, with fields of its record replaced."""
    [known, *_] = sample_items((of,))
    delivery = known.delivery
    changed = {name: getattr(delivery, name) for name in delivery.__struct_fields__}
    changed["record"] = delivery.record | record
    changed["lead_id"] = str(changed["record"]["lead_id"])
    return Item(type(delivery)(**changed), profile)


@pytest.fixture
def load(tmp_path):
    """Writes a template into the operator's directory and loads it."""

    def write(text, kind="text", name="own.txt", **options):
        (tmp_path / name).write_text(text)
        return load_template(name, kind, settings=TemplateSettings(directory=tmp_path), **options)

    return write


def test_every_shipped_template_is_known_here():
    """No file is shipped that these tests forget."""
    assert set(SHIPPED_KINDS) == {path.name for path in SHIPPED.iterdir()}


@pytest.mark.parametrize("name", SHIPPED_KINDS)
def test_shipped_templates_work_for_every_lead(name):
    """Each loads, and names the tier or the next step of a lead of whom nothing else is known."""
    template = load_template(name, SHIPPED_KINDS[name])

    text = template.render(item(None, handoff="standard"))

    assert NEXT_STEPS["standard"] in text or "Platinum" in text


@pytest.mark.parametrize("name", SHIPPED_KINDS)
@given(text=texts, word=texts)
def test_shipped_templates_work_for_any_record_strings(name, text, word):
    """Whatever a producer wrote, a text comes out that can be sent as UTF-8."""
    profile = LeadProfile(lead_id=text, email=word, first_name=text, title=word, company=text, phone=word)
    template = TEMPLATES.get(name, SHIPPED_KINDS[name], "pql-qualified")

    made = template.render(item(profile, lead_id=word, tier=text, reasons=[word, text], account_id=word))

    made.encode()
    assert "\x00" not in made


def test_the_samples_are_records():
    """What a template is tried on is what the topics hold."""
    models = {"pql-qualified": PqlQualifiedRecord, "score-changed": ScoreChangedRecord}

    for sample in sample_items(EVERY_KIND):
        models[sample.delivery.of].model_validate(sample.delivery.record)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("one\n{{ tier", "line 2: unexpected end of template"),
        ("{% if tier %}\n\n{% endfor %}", "line 3: Encountered unknown tag 'endfor'"),
        ("a\n{{ naem }}", "line 2: there is no 'naem'; there are crm_url"),
        ("{% if tier == 'x' %}\n{{ naem }}{% endif %}", "line 2: there is no 'naem'"),
        ("{% if tier == 'x' %}\n{{ profile.mail }}{% endif %}", "line 2: profile has no 'mail'"),
        ("{% if tier == 'x' %}\n{{ record.teir }}{% endif %}", "line 2: record has no 'teir'"),
        ("\n\n{{ record.profile.team_size }}", "line 3: 'dict object' has no attribute 'team_size'"),
        ("\n{{ reasons[0] }}", "line 2: list object has no element 0"),
        ("\n{{ profile.email|upper + 1 }}", "line 2: "),
        ("\n{{ profile.email.upper() }}", "line 2: 'None' has no attribute 'upper'"),
        ("{{ tier.__class__.__mro__ }}", "line 1: access to attribute '__class__'"),
        ("{{ reasons.append(1) }}", "line 1: "),
        ("{% for i in range(99999) %}{{ i }}{% endfor %}", "longer than 50,000 characters"),
        ("\n{% include 'nothing.txt' %}", ""),
        ("{{ tier|nosuchfilter }}", "line 1: No filter named 'nosuchfilter'."),
    ],
)
def test_a_broken_template_stops_the_start(load, text, why):
    """Syntax, unknown names, also where no sample comes by, and what fails for some lead: the line and the reason."""
    with pytest.raises(InvalidSettings) as caught:
        load(text, of=("pql-qualified",))

    assert caught.value.what_to_do
    assert why in caught.value.why


def test_a_template_has_to_fit_the_records_of_its_route(load):
    """`record.sales_ready` is of qualifications alone; `tier` and `score` are of both."""
    assert "True" == load("{{ record.sales_ready }}", of=("pql-qualified",)).render(item())
    with pytest.raises(InvalidSettings, match=r"own\.txt cannot be used"):
        load("{{ record.sales_ready }}", of=("score-changed",))
    with pytest.raises(InvalidSettings):
        load("{{ record.sales_ready }}")


def test_a_missing_template_is_named_with_those_there_are(tmp_path):
    """The message lists what can be named."""
    with pytest.raises(InvalidSettings) as caught:
        load_template("sales_slak.txt", "slack", settings=TemplateSettings(directory=tmp_path))

    assert "there is no template sales_slak.txt" == caught.value.what
    assert "sales_slack.txt" in caught.value.what_to_do


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/hostname", "a/../../secret.txt"])
def test_no_file_outside_the_directory_is_a_template(tmp_path, name):
    """Neither by a path nor from within a template."""
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "in" / "own.txt").write_text(f"{{% include {name!r} %}}")
    settings = TemplateSettings(directory=tmp_path / "in")

    for asked in (name, "own.txt"):
        with pytest.raises(InvalidSettings, match="there is no template"):
            load_template(asked, "text", settings=settings)


def test_the_operators_template_replaces_a_shipped_one(tmp_path):
    """By its name, or by its path."""
    (tmp_path / "task_subject.txt").write_text("Call {{ lead_id }}")
    settings = TemplateSettings(directory=tmp_path)

    for name in ("task_subject.txt", str(tmp_path / "task_subject.txt")):
        assert "Call u1" == load_template(name, "line", settings=settings).render(item())


def test_a_template_that_is_taken_in_is_looked_through_too(load):
    """Also where no sample lead comes by."""
    with pytest.raises(InvalidSettings, match=r"part\.txt"):
        load("{{ profile.naem }}", name="part.txt")
    with pytest.raises(InvalidSettings) as caught:
        load("{% if tier == 'x' %}{% include 'part.txt' %}{% endif %}")

    assert "line 1: profile has no 'naem'" == caught.value.why


def test_a_template_that_is_taken_in_may_use_the_takers_variables(tmp_path):
    """It is no template of its own."""
    (tmp_path / "one.txt").write_text("{{ reason }};")
    (tmp_path / "all.txt").write_text("{% for reason in reasons %}{% include 'one.txt' %}{% endfor %}")

    template = load_template("all.txt", "text", settings=TemplateSettings(directory=tmp_path))

    assert "a;b;" == template.render(item(reasons=["a", "b"]))


def test_a_failure_on_an_item_names_no_value(load):
    """The error has the template, the line and the kind of failure; nothing of the lead, not even in its cause."""
    template = load("a\n{{ 1 // (score - 13) }}{{ profile.email }}")

    with pytest.raises(RenderFailed) as caught:
        template.render(item(score=13))

    assert "template own.txt, line 2: ZeroDivisionError" == str(caught.value)
    assert caught.value.__suppress_context__


def test_a_line_is_one_line_whatever_the_lead_is_called(load):
    """No line break, no control character, no turned writing; and not endless."""
    line = load("x {{ profile.company }}", "line").render

    hostile = line(item(LeadProfile(lead_id="u1", company=HOSTILE)))
    long = line(item(LeadProfile(lead_id="u1", company="x" * 9_000)))

    assert "x a Bcc: x@evil.example b[31mc <script>alert(1)</script> <!channel> & \"'" == hostile
    assert (CHARS_MAX["line"], "…") == (len(long), long[-1])


def test_an_empty_line_is_no_subject(load):
    """A template that says nothing of an unknown lead is refused at start."""
    with pytest.raises(InvalidSettings, match="cannot be used"):
        load("{{ profile.company }}", "line")


def test_html_and_slack_escape_every_value(load):
    """In HTML as HTML wants it; for Slack & < > alone. The template's own marks stay."""
    profile = LeadProfile(lead_id="u1", company=HOSTILE)

    html = load("<p>{{ profile.company }}</p>", "html", name="a.html").render(item(profile))
    slack = load("<https://crm.example|{{ profile.company }}>", "slack").render(item(profile))

    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;!channel&gt; &amp;  \"'>" in slack
    assert slack.startswith("<https://crm.example|a\nBcc")


def test_styles_are_written_into_the_elements(load):
    """Mail programs drop style elements; and nothing is fetched for a sheet that lies elsewhere."""
    html = load('<link rel="stylesheet" href="https://127.0.0.1:1/a.css"><style>b{color:red}</style><b>x</b>', "html")

    assert '<b style="color: red;">x</b>' in html.render(item())


def test_what_is_unknown_is_shown_as_nothing(load):
    """A greeting of nobody is better than one of "None"."""
    assert "Hello " == load("Hello {{ profile.first_name }}").render(item(None))


def test_reasons_of_a_changed_score_are_its_rules():
    """The record has no sentences; the rules that gave points stand for them, the largest first."""
    context = context_of(item(of="score-changed"), TemplateSettings())

    assert (["feature adoption (+10)"], "bronze", 60) == (context["reasons"], context["tier"], context["score"])


@pytest.mark.parametrize(
    ("handoff", "step"), [("immediate", NEXT_STEPS["immediate"]), (None, NO_NEXT_STEP), ("partner", NO_NEXT_STEP)]
)
def test_the_next_step_follows_from_the_handoff_class(handoff, step):
    """Also where a pack of the operator's has a class of its own."""
    assert step == context_of(item(handoff=handoff), TemplateSettings())["next_step"]


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("", ""),
        ("https://crm.example/{lead_id}", "https://crm.example/a%2Fb%3F%20%3E"),
        ("https://crm.example/?q={email}&a={account_id}", "https://crm.example/?q=ada%40customer.example&a=acme"),
    ],
)
def test_the_crm_address_quotes_what_it_is_filled_with(pattern, url):
    """A lead id cannot leave its place in the address."""
    assert url == context_of(item(lead_id="a/b? >"), TemplateSettings(crm_url=pattern))["crm_url"]


def test_no_crm_address_where_a_part_of_it_is_unknown():
    """A link to nobody is none."""
    settings = TemplateSettings(crm_url="https://crm.example/{email}")

    assert "" == context_of(item(None), settings)["crm_url"]


@pytest.mark.parametrize(
    "pattern",
    [
        "crm.example/{lead_id}",
        "https://crm.example/{id}",
        "https://x/{lead_id",
        "https://x/{}",
        "https://x/a|b",
        "ftp://x/",
    ],
)
def test_a_crm_address_that_is_none_stops_the_start(pattern):
    """What, why and what to do."""
    with pytest.raises(InvalidSettings) as caught:
        TemplateSettings(crm_url=pattern)

    assert caught.value.why
    assert caught.value.what_to_do


def test_a_missing_template_directory_stops_the_start(tmp_path):
    """A mistyped setting is not silently the shipped templates."""
    with pytest.raises(InvalidSettings, match="is missing"):
        TemplateSettings(directory=tmp_path / "none")


def test_a_file_that_is_no_text_stops_the_start(tmp_path):
    """Not UTF-8."""
    (tmp_path / "own.txt").write_bytes(b"\xff\xfe")

    with pytest.raises(InvalidSettings, match="cannot be used"):
        load_template("own.txt", "text", settings=TemplateSettings(directory=tmp_path))
