"""
A seeded population of trial users and the raw records of what they do, dirt included.

Every rule and every tier appears from about 20 leads and 30 events a lead upwards. No clock: equal
arguments give equal bytes.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.oracle.contacts import contact_facts
from tests.oracle.dirt import dirty_records
from tests.oracle.facts import word
from tests.oracle.render import ANONYMOUS_FORMS, FORMS, Action, Record, disguise, render

START_MS = 1_767_571_200_000  # 2026-01-05T00:00:00Z
SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1000, 60_000, 3_600_000, 86_400_000

FEATURES = (
    "report_builder",
    "dashboards",
    "api_access",
    "alerting",
    "sso",
    "data_export",
    "audit_log",
    "workflow_editor",
    "team_spaces",
)
UNKNOWN_NAMES = (
    "page",
    "screen",
    "alias",
    "login",
    "$pageview",
    "invoice_paid",
    "Ünïcode_thing",
    "feature used!",
)


@dataclass(frozen=True)
class Archetype:
    """What a kind of trial user tends to do; ranges are inclusive."""

    weight: int
    features: tuple[int, int]
    runs: tuple[int, int]
    levels: tuple[str, ...]
    first_value_ms: tuple[int, int]
    posts: tuple[int, int]
    requests: tuple[int, int]
    tutorials: tuple[str, ...]
    team_sizes: tuple[Any, ...]
    revenues: tuple[dict[str, Any], ...]
    industries: tuple[str, ...]
    segments: tuple[str, ...] = ()


def _usd(amount: Any) -> dict[str, Any]:
    return {"company_revenue_usd": amount}


def _band(text: Any) -> dict[str, Any]:
    return {"company_revenue": text}


SMALL_REVENUES = (_usd(250_000), _usd(9_999_999.99), _band("<1M"), _band("1M-10M"), _band("$500K \u2013 $2M"))
LARGE_REVENUES = (_usd(10_000_000), _usd(2.5e8), _band("100M+"), _band(">10M"), _band("$10M\u2013$100M"))
LARGE_BANDS = (_band("10-50M"), _band("1b+"), _band("> $ 25,000,000"), _band(12_000_000))
REGULATED = ("finance", "financial_services", "health care", "insurance", "Banking", "fintech", "enterprise")
TECH = ("software", "SaaS", "devtools", "technology", "edtech", "cybersecurity")

ARCHETYPES = {
    "champion": Archetype(
        100, (7, 9), (50, 58), ("basic", "advanced"), (MINUTE_MS, HOUR_MS - 1), (3, 6), (1, 3), ("intro",),
        (6, 12, 80.0), LARGE_REVENUES, REGULATED,
    ),
    "enterprise": Archetype(
        65, (5, 7), (20, 40), ("advanced",), (20 * MINUTE_MS, HOUR_MS - 1), (2, 4), (1, 2), ("intro",),
        (25, 400), LARGE_REVENUES + LARGE_BANDS, REGULATED, ("enterprise", "Enterprise"),
    ),
    "team": Archetype(
        50, (5, 6), (20, 30), ("basic",), (HOUR_MS, DAY_MS - 1), (3, 5), (0, 1), ("intro",),
        (5, 6, 9), SMALL_REVENUES + LARGE_REVENUES, TECH + REGULATED, ("mid_market",),
    ),
    "starter": Archetype(
        30, (3, 5), (5, 12), ("basic",), (HOUR_MS, 3 * DAY_MS), (1, 3), (0, 1), ("intro",),
        (2, 4, 6), SMALL_REVENUES, (*TECH, "retail"), ("smb",),
    ),
    "tourist": Archetype(
        8, (0, 2), (0, 2), ("none",), (DAY_MS, 9 * DAY_MS), (0, 1), (0, 0), (),
        (0, 1, 2), (_usd(0), *SMALL_REVENUES), ("retail", "mining"), (),
    ),
}  # fmt: skip
ORDER = ("champion", "enterprise", "team", "starter", "tourist", "team", "starter", "enterprise")


@dataclass
class _Lead:
    """One trial user and the actions drawn for it so far."""

    user: str | int
    anonymous: bool
    archetype: Archetype
    account: str | int | None
    trial_at_ms: int
    number: int
    actions: list[Action]


def records(seed: int, leads: int, events: int, *, dirt: float = 0.05) -> list[Record]:
    """
    *events* records of *leads* trial users, in order of arrival; the share *dirt* of them is refused,
    skipped or just within a limit.

    Timestamps never fall from record to record. Records keep the key `lead id`, except where dirt has none.
    """
    rng = random.Random(seed)
    dirty = round(events * dirt)
    population = [_lead(rng, number) for number in range(leads)]
    budgets = _budgets([lead.archetype.weight for lead in population], events - dirty)
    made = [record for lead, budget in zip(population, budgets, strict=True) for record in _journey(rng, lead, budget)]
    hosts = [(str(lead.user), lead.trial_at_ms) for lead in population if not lead.anonymous]
    made += dirty_records(rng, hosts or [("u-dirt", START_MS)], dirty)
    return sorted(made, key=lambda record: record.timestamp_ms)


def write_lines(made: Iterable[Record], path: Path) -> list[Record]:
    """
    Write those of *made* that can be lines of a file, and return them; line n is item n - 1.

    A line has no headers, no line end inside, and is neither empty nor blank. There is no Kafka timestamp
    in a file, so that a record refused for a time too far ahead of it is accepted there.
    """
    lines = [record for record in made if _can_be_line(record)]
    path.write_bytes(b"".join((record.value or b"") + b"\n" for record in lines))
    return lines


def _can_be_line(record: Record) -> bool:
    value = record.value
    if not value or record.headers or b"\n" in value or not value.strip():
        return False
    return not value.startswith(b"\xef\xbb\xbf")  # skipped at the start of a file, refused elsewhere


def _budgets(weights: list[int], total: int) -> list[int]:
    """*total* shared out by weight; the remainder goes to the first ones."""
    shares = [total * weight // max(1, sum(weights)) for weight in weights]
    for index in range(total - sum(shares)):
        shares[index % len(shares)] += 1
    return shares


def _lead(rng: random.Random, number: int) -> _Lead:
    kind = ORDER[number] if number < len(ORDER) else rng.choice(ORDER)
    anonymous = number >= len(ORDER) and rng.random() < 0.1
    user: str | int = rng.choice((f"u{number}", f"u{number}@shop.example", f"zoë-{number}", f"用户/{number}"))
    if rng.random() < 0.1:
        user = 10_000 + number
    account = rng.choice((None, f"acme-{number % 7}", f"Globex {number}", 900 + number))
    trial_at_ms = START_MS + rng.randrange(10 * DAY_MS)
    return _Lead(user, anonymous, ARCHETYPES[kind], account, trial_at_ms, number, [])


def _journey(rng: random.Random, lead: _Lead, budget: int) -> list[Record]:
    actions = _essentials(rng, lead)[:budget]
    lead.actions = list(actions)
    made = [_sent(rng, action) for action in actions]
    while len(made) < budget:
        if made and rng.random() < 0.25:
            made.append(_sent_again(rng, rng.choice(made)))
        else:
            made.append(_sent(rng, _filler(rng, lead)))
    return made


def _sent(rng: random.Random, action: Action) -> Record:
    late_ms = rng.randrange(50, 5000)
    roll = rng.random()
    if roll < 0.08:
        late_ms = rng.randrange(3 * DAY_MS)  # offline, so out of order
    elif roll < 0.1:
        late_ms = -rng.randrange(23 * HOUR_MS)  # a clock that runs ahead, within 24 h
    return render(rng, _with_contacts(action), action.at_ms + late_ms)


def _with_contacts(action: Action) -> Action:
    """Events that say something of the company say something of the person, too."""
    if word(action.name) not in _SAY_WHO:
        return action
    seed = repr((action.own_id, action.name, action.properties))
    who = "".join(letter for letter in str(action.user or action.anonymous) if letter.isalnum())
    return replace(action, properties={**contact_facts(seed, who or "x"), **action.properties})


_SAY_WHO = ("profile completed", "profile updated", "team size changed", "identify", "group")


def _sent_again(rng: random.Random, record: Record) -> Record:
    """An exact duplicate, later."""
    later_ms = rng.randrange(2 * DAY_MS)
    return replace(record, timestamp_ms=record.timestamp_ms + later_ms, note=f"{record.note} again")


def _action(
    rng: random.Random, lead: _Lead, name: str, after_ms: int, properties: dict[str, Any] | None = None
) -> Action:
    count = len(lead.actions)
    own_id: str | int = rng.choice((f"e{lead.number}-{count}", f"é{lead.number}-{count}"))
    if rng.random() < 0.05:
        own_id = lead.number * 1_000_000 + count
    action = Action(
        own_id=own_id,
        user=lead.user,
        anonymous=lead.anonymous,
        account=lead.account if rng.random() < 0.6 else None,
        name=disguise(rng, name).strip() if rng.random() < 0.2 else name,
        at_ms=lead.trial_at_ms + after_ms,
        form=rng.choice(ANONYMOUS_FORMS if lead.anonymous else FORMS),
        properties=properties or {},
    )
    lead.actions.append(action)
    return action


def _essentials(rng: random.Random, lead: _Lead) -> list[Action]:
    """The actions that earn the points of the archetype, roughly the more telling first."""
    kind = lead.archetype
    first_value_ms = rng.randint(*kind.first_value_ms)
    actions = [_action(rng, lead, "trial_created", 0)]
    actions.append(_run(rng, lead, 0, first_value_ms))
    rest = [
        *_features(rng, lead),
        *(_run(rng, lead, n, _later(rng, first_value_ms)) for n in range(1, rng.randint(*kind.runs))),
        *(
            _action(rng, lead, "compliance_level_changed", (n + 1) * DAY_MS, {"level": disguise(rng, level)})
            for n, level in enumerate(kind.levels)
        ),
        *_posts(rng, lead),
    ]
    rest += [
        _action(rng, lead, "tutorial_completed", _later(rng), {"tutorial_id": tutorial_id})
        for tutorial_id in kind.tutorials
    ]
    rest += _profile(rng, lead)
    if rng.random() < 0.2:
        rest.append(_action(rng, lead, rng.choice(("trial_converted", "subscription_started")), 12 * DAY_MS))
    rng.shuffle(rest)
    return actions + rest


def _later(rng: random.Random, from_ms: int = 0) -> int:
    return from_ms + rng.randrange(12 * DAY_MS)


def _run(rng: random.Random, lead: _Lead, number: int, after_ms: int) -> Action:
    properties: dict[str, Any] = {"run_id": rng.choice((f"run-{number}", f"run-{number}", number))}
    if number % 9 == 8:
        properties = {}  # counted by its event id
    properties |= rng.choice(({}, {"status": "success"}, {"status": disguise(rng, "success")}, {"status": None}))
    return _action(rng, lead, rng.choice(("workflow_completed", "workflow_success")), after_ms, properties)


def _features(rng: random.Random, lead: _Lead) -> list[Action]:
    chosen = rng.sample(FEATURES, rng.randint(*lead.archetype.features))
    return [
        _action(
            rng,
            lead,
            "feature_used",
            _later(rng),
            rng.choice(({"feature": disguise(rng, name)}, {"feature_name": name}, {"feature": 5, "x": name}))
            if name == "sso"
            else rng.choice(({"feature": disguise(rng, name)}, {"feature": "", "feature_name": name})),
        )
        for name in chosen
    ]


def _posts(rng: random.Random, lead: _Lead) -> list[Action]:
    posts = [
        _action(
            rng,
            lead,
            "community_post",
            _later(rng),
            {"post_id": f"p{n}", **rng.choice(({}, {"kind": disguise(rng, "forum_post")}, {"kind": None}))},
        )
        for n in range(rng.randint(*lead.archetype.posts))
    ]
    requests = rng.randint(*lead.archetype.requests)
    return posts + [_request(rng, lead, f"r{n}") for n in range(requests)]


def _request(rng: random.Random, lead: _Lead, request_id: str) -> Action:
    """The same request by either name (R15), or one without an id."""
    as_post = {"post_id": request_id, "kind": disguise(rng, "feature_request")}
    name, properties = rng.choice(
        (
            ("feature_requested", {"request_id": request_id}),
            ("community_post", as_post),
            ("feature_requested", {}),
        )
    )
    return _action(rng, lead, name, _later(rng), properties)


def _profile(rng: random.Random, lead: _Lead) -> list[Action]:
    """The facts of the company in one event, or spread over several."""
    kind = lead.archetype
    size = rng.choice(kind.team_sizes)
    facts = [
        rng.choice(({"team_size": size}, {"employees": size}, {"team_size": "many", "employees": size})),
        rng.choice(kind.revenues),
        {"industry": disguise(rng, rng.choice(kind.industries))},
    ]
    if kind.segments:
        facts.append({"segment": rng.choice(kind.segments)})
    if rng.random() < 0.5:
        merged = {name: value for fact in facts for name, value in fact.items()}
        return [_action(rng, lead, _profile_name(rng), _later(rng), merged)]
    return [_action(rng, lead, _profile_name(rng), _later(rng), fact) for fact in facts]


def _profile_name(rng: random.Random) -> str:
    return rng.choice(("profile_completed", "profile_updated", "team_size_changed", "identify", "group"))


# --- what fills the rest: repeats, conflicts, noise, values that are unknown ---

UNKNOWN_VALUES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("profile_updated", {"team_size": "6"}),
    ("profile_updated", {"team_size": 5.5}),
    ("profile_updated", {"team_size": -1, "employees": True}),
    ("identify", {"company_revenue_usd": "20000000"}),
    ("group", {"company_revenue_usd": -5}),
    ("group", {"company_revenue": "€5M"}),
    ("group", {"company_revenue": "10M"}),
    ("group", {"company_revenue": "50M-10M"}),
    ("group", {"company_revenue": "<0"}),
    ("identify", {"industry": 7, "segment": ["enterprise"]}),
    ("compliance_level_changed", {"level": "gold"}),
    ("compliance_level_changed", {"level": 2}),
    ("compliance_level_changed", {}),
    ("community_post", {"post_id": "px", "kind": "chat"}),
    ("community_post", {"post_id": "px", "kind": 5}),
    ("feature_used", {}),
    ("feature_used", {"feature": ["sso"]}),
    ("feature_used", {"feature": True}),
    ("feature_used", {"feature": 5.5}),
    ("workflow_completed", {"run_id": "run-x", "status": "failed"}),
    ("workflow_success", {"run_id": "run-y", "status": "error"}),
)


def _unknown_value(rng: random.Random, lead: _Lead) -> Action:
    name, properties = rng.choice(UNKNOWN_VALUES)
    return _action(rng, lead, name, _later(rng), dict(properties))


def _other_content_same_id(rng: random.Random, lead: _Lead) -> Action:
    """The same id at the same time, with other words: R18."""
    first = rng.choice(lead.actions) if lead.actions else _action(rng, lead, "login", 0)
    facts = rng.choice(
        (
            {"team_size": rng.randrange(12), "industry": rng.choice(REGULATED + TECH)},
            {"level": rng.choice(("none", "basic", "advanced"))},
            {
                "company_revenue": rng.choice(("<1M", "20M+", 5_000_000)),
                "segment": rng.choice(("enterprise", "smb")),
            },
        )
    )
    account = rng.choice((first.account, "zz-other", "aa-other"))
    return replace(first, name=_name_of_facts(rng, facts), properties=facts, account=account)


def _other_event_same_time(rng: random.Random, lead: _Lead) -> Action:
    """Ids whose order differs between code points and UTF-16: the later one by code points wins."""
    at_ms = rng.choice(lead.actions).at_ms if lead.actions else lead.trial_at_ms
    facts = rng.choice(({"team_size": rng.randrange(12)}, {"level": rng.choice(("none", "basic", "advanced"))}))
    action = _action(rng, lead, _name_of_facts(rng, facts), at_ms - lead.trial_at_ms, facts)
    prefix = rng.choice(("\uff5e", "\U0001f600", "Z", "a"))
    return replace(action, own_id=f"{prefix}{rng.randrange(1000)}")


def _name_of_facts(rng: random.Random, facts: dict[str, Any]) -> str:
    return "compliance_level_changed" if "level" in facts else _profile_name(rng)


def _noise(rng: random.Random, lead: _Lead) -> Action:
    return _action(rng, lead, rng.choice(UNKNOWN_NAMES), _later(rng), {"url": "/pricing", "team_size": 99})


def _run_again(rng: random.Random, lead: _Lead) -> Action:
    """Another event for a run that may have been counted; now and then before the trial."""
    after_ms = -rng.randrange(DAY_MS) if rng.random() < 0.05 else _later(rng, DAY_MS)
    return _run(rng, lead, rng.randrange(6), after_ms)


def _request_again(rng: random.Random, lead: _Lead) -> Action:
    return _request(rng, lead, f"r{rng.randrange(2)}")


def _failed_run(rng: random.Random, lead: _Lead) -> Action:
    name = rng.choice(("workflow_failed", "workflow_failure"))
    return _action(rng, lead, name, _later(rng), {"run_id": f"run-{rng.randrange(60)}"})


def _new_trial(rng: random.Random, lead: _Lead) -> Action:
    return _action(rng, lead, "trial_created", rng.randrange(5 * DAY_MS))


def _other_account(rng: random.Random, lead: _Lead) -> Action:
    return replace(_noise(rng, lead), account=rng.choice(("umbrella", "initech", "ünion")))


FILLERS: tuple[tuple[Callable[[random.Random, _Lead], Action], int], ...] = (
    (_unknown_value, 25),
    (_noise, 20),
    (_run_again, 15),
    (_failed_run, 10),
    (_other_account, 8),
    (_other_event_same_time, 6),
    (_other_content_same_id, 6),
    (_new_trial, 2),
    (_request_again, 1),
)


def _filler(rng: random.Random, lead: _Lead) -> Action:
    (draw,) = rng.choices([filler for filler, _ in FILLERS], [weight for _, weight in FILLERS])
    return draw(rng, lead)
