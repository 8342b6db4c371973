"""The fake Salesforce keeps the rules of the real one that our sink relies on, and those that it must not break."""

import aiohttp
import pytest

from pql_stream.testing.destinations.salesforce import FakeSalesforce
from pql_stream.testing.destinations.salesforce_org import OrgRefusal

ROOT = "/services/data/v66.0"
UPSERT = f"{ROOT}/composite/sobjects/Lead/PQL_User_Id__c"
NEW = {"LastName": "Byron", "Company": "Engines"}


class Client:
    """Somebody with a token."""

    def __init__(self, fake, session):
        self.fake = fake
        self._session = session
        self._headers = {}

    async def token(self, form):
        async with self._session.post("/services/oauth2/token", data=form) as response:
            return response.status, await response.json()

    async def log_in(self):
        form = {"grant_type": "client_credentials", "client_id": "fake-client", "client_secret": "fake-secret"}
        _, said = await self.token(form)
        self._headers = {"Authorization": f"Bearer {said['access_token']}"}

    async def call(self, method, path, body=None, **headers):
        async with self._session.request(method, path, json=body, headers={**self._headers, **headers}) as response:
            return response.status, await response.json() if response.content_length else None

    async def upsert(self, *records, all_or_none=False):
        typed = [{"attributes": {"type": "Lead"}, **record} for record in records]
        return await self.call("PATCH", UPSERT, {"allOrNone": all_or_none, "records": typed})

    async def composite(self, *parts):
        return await self.call("POST", f"{ROOT}/composite", {"allOrNone": True, "compositeRequest": parts})


@pytest.fixture
async def client():
    fake = FakeSalesforce()
    async with aiohttp.ClientSession(await fake.start()) as session:
        client = Client(fake, session)
        await client.log_in()
        yield client
    await fake.close()


def codes(said):
    return [one.get("errorCode") for one in said]


async def test_credentials_in_the_form(client):
    """
    Both ways that the documentation shows are taken: the header, which our sink uses, and the form.
    """
    form = {"grant_type": "client_credentials", "client_id": "fake-client"}

    assert 200 == (await client.token({**form, "client_secret": "fake-secret"}))[0]
    assert (400, "invalid_client") == _error(await client.token({**form, "client_secret": "wrong"}))


def _error(answer):
    status, said = answer
    return status, said["error"]


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "x"}, "invalid_client"),
    ],
    ids=["password", "no certificate"],
)
async def test_grants_that_it_does_not_know(client, form, error):
    """
    The user's password is taken no more, and an app without a certificate knows no assertion.
    """
    assert (400, error) == _error(await client.token(form))


async def test_a_call_without_a_token(client):
    """
    401 with a code of its own.
    """
    status, said = await client.call("GET", f"{ROOT}/query/?q=x", Authorization="Basic x")

    assert (401, ["INVALID_AUTH_HEADER"]) == (status, codes(said))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/services/data/v6/query/"),
        ("GET", "/other"),
        ("PATCH", f"{ROOT}/composite/sobjects/Lead/Other__c"),
        ("POST", f"{ROOT}/sobjects/Nothing"),
    ],
)
async def test_a_resource_that_is_not_there(client, method, path):
    """
    404, as an array.
    """
    assert (404, ["NOT_FOUND"]) == ((answer := await client.call(method, path, {}))[0], codes(answer[1]))


async def test_more_than_two_hundred_records(client):
    """
    The whole call is refused.
    """
    status, said = await client.upsert(*({**NEW, "PQL_User_Id__c": str(number)} for number in range(201)))

    assert (400, ["EXCEEDED_ID_LIMIT"]) == (status, codes(said))


async def test_records_of_another_type(client):
    """
    So is one of another object than the path's.
    """
    status, said = await client.call("PATCH", UPSERT, {"records": [{"attributes": {"type": "Task"}}]})

    assert (400, ["INVALID_TYPE"]) == (status, codes(said))


async def test_a_key_twice_or_not_at_all(client):
    """
    Both of the records with the same key are refused, and the one without; the others are written.
    """
    records = [{"PQL_User_Id__c": "a"}, {"PQL_User_Id__c": "b"}, {"PQL_User_Id__c": "a"}, {}]

    status, said = await client.upsert(*({**NEW, **record} for record in records))

    assert 200 == status
    assert [False, True, False, False] == [one["success"] for one in said]
    assert ["DUPLICATE_VALUE", "DUPLICATE_VALUE", "MISSING_ARGUMENT"] == [
        one["errors"][0]["statusCode"] for one in said if not one["success"]
    ]


async def test_all_or_none_of_a_collection(client):
    """
    With allOrNone one refusal takes back the others, and leaves no effect.
    """
    client.fake.org.broken["b"] = OrgRefusal("UNABLE_TO_LOCK_ROW", "")

    _, said = await client.upsert(*({**NEW, "PQL_User_Id__c": key} for key in "ab"), all_or_none=True)

    assert ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "UNABLE_TO_LOCK_ROW"] == [
        one["errors"][0]["statusCode"] for one in said
    ]
    assert ([], []) == (client.fake.org.leads("a"), client.fake.journal.effects)


async def test_the_key_in_path_and_body(client):
    """
    Salesforce refuses a single upsert that says its key twice.
    """
    status, said = await client.call("PATCH", f"{ROOT}/sobjects/Lead/PQL_User_Id__c/a", {**NEW, "PQL_User_Id__c": "a"})

    assert (400, ["INVALID_FIELD"]) == (status, codes(said))


async def test_a_reference_to_a_part_that_is_not_there(client):
    """
    Nothing is written.
    """
    task = {"method": "POST", "url": f"{ROOT}/sobjects/Task", "referenceId": "t", "body": {"WhoId": "@{lead.id}"}}

    _, said = await client.composite(task)

    assert [400] == [part["httpStatusCode"] for part in said["compositeResponse"]]
    assert {} == client.fake.org.records["Task"]


async def test_a_task_for_nobody_or_for_a_converted_lead(client):
    """
    Neither is made.
    """
    await client.upsert({**NEW, "PQL_User_Id__c": "a"})
    client.fake.org.convert("a")
    (lead,) = client.fake.org.leads("a")

    answers = [await client.call("POST", f"{ROOT}/sobjects/Task", {"WhoId": who}) for who in ("00Q0", lead["Id"])]

    assert [["MALFORMED_ID"], ["CANNOT_UPDATE_CONVERTED_LEAD"]] == [codes(said) for _, said in answers]


async def test_a_composite_request_of_too_many_parts(client):
    """
    Twenty-five are the limit.
    """
    status, said = await client.composite(*({"referenceId": str(number)} for number in range(26)))

    assert (400, ["LIMIT_EXCEEDED"]) == (status, codes(said))


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Id FROM Lead WHERE", "MALFORMED_QUERY"),
        ("SELECT Id, FROM Lead", "MALFORMED_QUERY"),
        ("SELECT 'Id' FROM Lead", "MALFORMED_QUERY"),
        ("UPDATE Lead", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead WHERE Id IN 'a'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead WHERE Id = a", "MALFORMED_QUERY"),
        (r"SELECT Id FROM Lead WHERE Id = '\q'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead LIMIT 1 2", "MALFORMED_QUERY"),
        ("SELECT Id FROM Other", "INVALID_FIELD"),
        ("SELECT Other FROM Lead", "INVALID_FIELD"),
    ],
)
async def test_queries_that_it_refuses(client, soql, code):
    """
    What cannot be read, and what names nothing.
    """
    status, said = await client.call("GET", f"{ROOT}/query/?q={soql}")

    assert (400, [code]) == (status, codes(said))


async def test_a_query(client):
    """
    Texts are compared without case.
    """
    await client.upsert(*({**NEW, "PQL_User_Id__c": key} for key in ("Ada", "Bob")))

    _, said = await client.call(
        "GET",
        f"{ROOT}/query/?q=SELECT PQL_User_Id__c FROM Lead "
        "WHERE PQL_User_Id__c IN ('ADA', 'x') AND IsConverted = false LIMIT 5",
    )

    assert (1, True, ["Ada"]) == (said["totalSize"], said["done"], [one["PQL_User_Id__c"] for one in said["records"]])
