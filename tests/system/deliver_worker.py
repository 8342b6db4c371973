"""`pql-stream worker --only deliver` in a pipeline where every lead has contact data."""

from __future__ import annotations

from pql_stream.core.profiles import LeadProfile
from pql_stream.ops.delivery import app
from pql_stream.ops.settings import load_settings
from pql_stream.ops.worker import run_worker


class Everybody:
    """The profiles of everybody."""

    def of(self, partition: int, lead_id: str) -> LeadProfile:
        return LeadProfile(
            lead_id=lead_id,
            email=f"{lead_id}@customer.example",
            first_name="Ada",
            last_name=lead_id,
            company="Customer Ltd",
            consent=True,
        )


if __name__ == "__main__":
    # Until the app follows lead-profiles: contact data is no part of what is proved with this.
    app._NoProfiles = Everybody  # type: ignore[assignment,misc]
    run_worker(load_settings(), ("deliver",))
