"""Secrets are taken out of texts by their looks, and nothing else is."""

import pytest

from dashscribe.redact import MASK, redact

SECRETS = [
    "GET https://b.oss.example/a.wav?Expires=1&OSSAccessKeyId=LTAI5hidden99&Signature=hidden%2B99",
    "https://s3.example/a?X-Amz-Credential=hidden99&X-Amz-Signature=hidden99&X-Amz-Security-Token=hidden99",
    "https://blob.example/a?sv=2021&sig=hidden99",
    "https://a.example/hook?token=hidden99&x=1",
    "https://a.example/hook?x=1&api_key=hidden99",
    "https://me:hidden99@a.example/a.wav",
    "https://:hidden99@a.example/a.wav",
    "postgresql+psycopg://me:hidden99@host/db",
    "Authorization: Bearer hidden99",
    "authorization: bearer hidden99",
    "{'authorization': 'Bearer hidden99'}",
    'headers {"Authorization": "Basic hidden99=="}',
    "the key sk-hidden99hidden99 was refused",
    "st-hidden99hidden99hidden99",
    "AWS_SECRET_ACCESS_KEY=hidden99",
    "aws_secret_access_key = hidden99",
    '{"api_key": "hidden99"}',
    "DASHSCRIBE_OPENAI_API_KEY='hidden99'",
    "password: hidden99",
]
HARMLESS = [
    "file 3 of task 0f1e9a60-5d0c-9e1f-8a55-1c2d3e4f5a6b failed: DECODE_ERROR The audio file cannot be decoded.",
    "the host a.example leads to 127.0.0.1, a loopback address, which is not fetched from",
    "GET https://a.example:8080/a.wav?page=2&size=10#top",
    "the API key is unknown, expired or revoked; `dashscribe keys create` makes one",
    "2026-06-01T12:00:00.104Z INFO dashscribe.files: window 0-3 of task x waits for the machine: OSError: no space",
    "the model sensevoice-small wants 163 MB",
    "Send the header Authorization: Bearer KEY.",
    "a mask-like task-id risk-assessment",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secret_is_masked(text: str) -> None:
    assert "hidden" not in redact(text)
    assert MASK in redact(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "text", ["?" * 100_000, "key=" * 50_000, "://" * 50_000, "a" * 200_000, "Bearer " * 40_000, "-_." * 60_000]
)
def test_long_texts_take_no_long_time(text: str) -> None:
    redact(text)  # a pattern that tries all ways would not end
