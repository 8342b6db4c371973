"""
RavenStack's CSV files to product events: `python -m pql_stream.ops.demo.convert_ravenstack DIR OUT.jsonl.gz`.

Run by people, once; the result lies in `data/`. Every event states a row of the data:

row                         event
account                     Segment identify (team_size from seats) and group (industry; segment enterprise
                            where the plan tier is Enterprise), at the signup date
first trial subscription    native trial_created at its start date
later paid subscription     native trial_converted at the earliest start date after the trial's
usage row                   Segment track feature_used, and usage_count (at most 4) native runs:
                            workflow_failed where error_count is above 0, else workflow_completed
support ticket              Segment track community_post

An account is one lead and its own account id. The company's revenue, churn and the use of tutorials are
not in the data, or have no event, and are left out.

Times: the data knows days. What is dated only once a day happens at 00:00:00 UTC; the uses of a day are
spread over it by a hash of the row's id, and a row's runs over its usage_duration_secs. Nothing is moved
to another day, so most first successes lie before the trial, as they do in the data.

Ids: a row's id, with `.1` to `.4` for its runs. 21 rows repeat the usage_id of another row with other
content; the second in the order of the file is `<usage_id>~2`, so both count.

Team size and account come once, with the profile: repeated on each event they would be a third of the file.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from xxhash import xxh3_64_intdigest

from pql_stream.testing.simulation import Activity, Form, encode

Row = dict[str, str]
Written = tuple[Activity, Form]

RUNS_PER_ROW_MAX = 4
"""A row has 10 uses on average; four keep the file small, and 50 rows a lead still pass the highest band."""
DAY_S = 86_400
SECOND_MS = 1000


def read_rows(path: Path) -> list[Row]:
    """All rows of one CSV file; the files begin with a byte order mark."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def convert(directory: Path) -> Iterator[bytes]:
    """The events of the four files in *directory*, in the order of time, then of their ids."""
    subscriptions = read_rows(directory / "ravenstack_subscriptions.csv")
    accounts_by_subscription = {row["subscription_id"]: row["account_id"] for row in subscriptions}
    written = [
        *_profiles(read_rows(directory / "ravenstack_accounts.csv")),
        *_trials(subscriptions),
        *_uses(read_rows(directory / "ravenstack_feature_usage.csv"), accounts_by_subscription),
        *_posts(read_rows(directory / "ravenstack_supports_ticket.csv")),
    ]
    written.sort(key=lambda item: (item[0].at_ms, item[0].event_id))
    return (encode(activity, form) for activity, form in written)


def write_gzip(lines: Iterable[bytes], path: Path) -> int:
    """
    Write *lines* to *path*; how many there were.

    No name and no time go into the header, so the same lines give the same bytes (of one zlib).
    """
    count = 0
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as file:
        for line in lines:
            file.write(line + b"\n")
            count += 1
    return count


def _profiles(accounts: list[Row]) -> Iterator[Written]:
    for row in accounts:
        at_ms = _day_ms(row["signup_date"])
        lead_id = row["account_id"]
        person = {"team_size": int(row["seats"])}
        company = {"industry": row["industry"]}
        if row["plan_tier"] == "Enterprise":
            company["segment"] = "enterprise"
        yield _event(f"{lead_id}.identify", at_ms, lead_id, "identify", person), "segment"
        yield _event(f"{lead_id}.group", at_ms, lead_id, "group", company, account_id=lead_id), "segment"


def _trials(subscriptions: list[Row]) -> Iterator[Written]:
    """The earliest trial of each account, and the earliest paid start after it."""
    by_start = sorted(subscriptions, key=lambda row: (_day_ms(row["start_date"]), row["subscription_id"]))
    trials: dict[str, Row] = {}
    paid: dict[str, Row] = {}
    for row in by_start:
        account_id = row["account_id"]
        if row["is_trial"] == "TRUE":
            trials.setdefault(account_id, row)
        elif account_id in trials and row["start_date"] != trials[account_id]["start_date"]:
            paid.setdefault(account_id, row)
    for name, rows in (("trial_created", trials), ("trial_converted", paid)):
        for account_id, row in rows.items():
            yield _event(row["subscription_id"], _day_ms(row["start_date"]), account_id, name, {}), "native"


def _uses(usage: list[Row], accounts_by_subscription: dict[str, str]) -> Iterator[Written]:
    seen: Counter[str] = Counter()
    for row in usage:
        usage_id = row["usage_id"]
        seen[usage_id] += 1
        if seen[usage_id] > 1:
            usage_id = f"{usage_id}~{seen[usage_id]}"
        yield from _use(row, usage_id, accounts_by_subscription[row["subscription_id"]])


def _use(row: Row, usage_id: str, lead_id: str) -> Iterator[Written]:
    duration_s = min(int(row["usage_duration_secs"]), DAY_S - 1)
    start_s = xxh3_64_intdigest(usage_id.encode()) % (DAY_S - duration_s)
    day_ms = _day_ms(row["usage_date"])
    start_ms = day_ms + start_s * SECOND_MS
    yield _event(usage_id, start_ms, lead_id, "feature_used", {"feature": row["feature_name"]}), "segment"
    name = "workflow_failed" if int(row["error_count"]) > 0 else "workflow_completed"
    runs = min(int(row["usage_count"]), RUNS_PER_ROW_MAX)
    for run in range(1, runs + 1):
        run_id = f"{usage_id}.{run}"
        at_ms = day_ms + (start_s + duration_s * run // runs) * SECOND_MS
        yield _event(run_id, at_ms, lead_id, name, {"run_id": run_id}), "native"


def _posts(tickets: list[Row]) -> Iterator[Written]:
    for row in tickets:
        at_ms = _day_ms(row["submitted_at"])
        post = {"post_id": row["ticket_id"]}
        yield _event(row["ticket_id"], at_ms, row["account_id"], "community_post", post), "segment"


def _event(
    event_id: str,
    at_ms: int,
    lead_id: str,
    name: str,
    properties: dict[str, Any],
    *,
    account_id: str | None = None,
) -> Activity:
    return Activity(
        event_id=event_id,
        at_ms=at_ms,
        user_id=lead_id,
        account_id=account_id,
        name=name,
        properties=properties,
    )


def _day_ms(text: str) -> int:
    """The start of a day written `dd-mm-yyyy`, in UTC."""
    return int(datetime.strptime(text, "%d-%m-%Y").replace(tzinfo=UTC).timestamp()) * SECOND_MS


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
def main(directory: Path, out: Path) -> None:
    """Convert the RavenStack CSV files in DIRECTORY to the gzipped JSON lines OUT."""
    try:
        count = write_gzip(convert(directory), out)
    except OSError as exc:
        raise click.ClickException(str(exc)) from exc
    click.echo(f"{count} events, {out.stat().st_size} bytes: {out}", err=True)


if __name__ == "__main__":
    main()
