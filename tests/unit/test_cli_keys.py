"""``dashscribe keys`` on a database of its own: a key works until it is revoked, and is shown once."""

import json

import pytest
from typer.testing import CliRunner

from dashscribe import usage
from dashscribe.cli.keys import app
from dashscribe.config import load
from dashscribe.db import open_database, writing
from dashscribe.errors import InvalidApiKeyError
from dashscribe.keys import Keys
from laid_database import lay


def keys() -> Keys:
    settings = load()
    return Keys(open_database(lay(settings.resolved_database_url)), settings)


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_created_key_is_printed_alone_and_works() -> None:
    code, stdout, stderr = run("create", "--owner", "ann", "--name", "laptop")
    assert code == 0
    assert keys().identify(stdout.strip()).owner == "ann"
    assert "not shown again" in stderr


def test_home_that_a_key_is_made_in_first_is_for_its_user_only() -> None:
    assert run("create")[0] == 0
    home = load().home
    assert home.stat().st_mode & 0o777 == 0o700
    assert not [path for path in home.rglob("*") if path.stat().st_mode & 0o077]


def test_list_shows_names_and_states_but_no_secret() -> None:
    secret = run("create", "--name", "laptop")[1].strip()
    assert "laptop" in run("ls")[1]
    assert "works" in run("ls")[1]
    assert secret not in run("ls")[1] + run("ls", "--json")[1]
    assert json.loads(run("ls", "--json")[1])[0]["revoked_at"] is None


def test_revoked_key_stops_working() -> None:
    made = json.loads(run("create", "--json")[1])
    assert run("revoke", made["id"])[0] == 0
    with pytest.raises(InvalidApiKeyError):
        keys().identify(made["secret"])
    assert "revoked" in run("ls")[1]


@pytest.mark.parametrize("key_id", ["7", "x", "-1", ""])
def test_revoking_what_does_not_exist_exits_with_1(key_id: str) -> None:
    code, _, stderr = run("revoke", "--", key_id)
    assert code == 1
    assert repr(key_id) in stderr


def test_revoking_goes_on_after_an_id_that_does_not_exist() -> None:
    made = json.loads(run("create", "--json")[1])
    assert run("revoke", "99", made["id"])[:2] == (1, f"{made['id']} revoked\n")


@pytest.mark.parametrize("text", ["3600", "3600/month"])
def test_quota_is_set_and_shown_with_what_was_used(text: str) -> None:
    made = json.loads(run("create", "--quota-seconds", text, "--json")[1])
    assert made["quota_seconds"] == 3600
    settings = load()
    with writing(open_database(lay(settings.resolved_database_url))) as connection:
        usage.book(connection, owner="default", key_id=made["id"], model="fun-asr", duration_ms=1500)
    assert {"quota_seconds": 3600, "used_seconds": 2}.items() <= json.loads(run("ls", "--json")[1])[0].items()
    assert "3600 s/month" in run("ls")[1]
    assert "2 s" in run("ls")[1]


def test_key_without_quota_says_so() -> None:
    run("create")
    assert "none" in run("ls")[1]
    assert json.loads(run("ls", "--json")[1])[0]["quota_seconds"] is None


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "3600/day", "much", "3600/", "/month", "9" * 11])
def test_quota_that_is_no_number_of_seconds_is_a_usage_error(text: str) -> None:
    code, stdout, stderr = run("create", "--quota-seconds", text)
    assert (code, stdout) == (2, "")
    assert "N/month" in stderr
    assert json.loads(run("ls", "--json")[1]) == []


def test_weight_of_an_owner_is_set_and_shown() -> None:
    run("create", "--owner", "lab")
    run("create")
    assert run("weight", "lab", "3") == (0, "owner lab has the weight 3\n", "")
    assert run("weight", "lab", "5")[0] == 0
    listed = {key["owner"]: key["owner_weight"] for key in json.loads(run("ls", "--json")[1])}
    assert listed == {"lab": 5, "default": 1}
    assert "WEIGHT" in run("ls")[1]


@pytest.mark.parametrize(("owner", "weight"), [("lab", "0"), ("lab", "1001"), ("lab", "x"), ("nobody", "2")])
def test_weight_out_of_range_or_of_nobody_is_a_usage_error(owner: str, weight: str) -> None:
    run("create", "--owner", "lab")
    assert run("weight", owner, weight)[0] == 2
    assert json.loads(run("ls", "--json")[1])[0]["owner_weight"] == 1
