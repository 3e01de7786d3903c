"""The page of hotword lists, with a stand-in for the server."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from fake_recordings import Fake
from playwright.sync_api import expect


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ("2020-01-02 03:04:05", "Jan 1, 2020, 02:04 PM"),
        ("2020-07-02 03:04:05", "Jul 1, 2020, 03:04 PM"),
    ],
)
def test_the_time_of_a_change_is_that_of_the_browser(
    visit: Callable[..., Any], fake: Fake, changed: str, shown: str
) -> None:
    told = {"vocabulary_list": [{"vocabulary_id": "vocab-harbor-1"}], "vocabulary": [{"text": "Kestrel", "weight": 4}]}
    told |= {"target_model": "fun-asr", "gmt_modified": changed}
    fake.others["/api/v1/services/audio/asr/customization"] = {"output": told}
    page = visit("/nowhere")
    zone = {"timezoneId": "America/New_York"}
    page.context.new_cdp_session(page).send("Emulation.setTimezoneOverride", zone)
    page.evaluate("() => { location.hash = '#/hotwords'; }")
    expect(page.get_by_role("article")).to_contain_text(re.compile(f"1 word.* changed {shown}"))
