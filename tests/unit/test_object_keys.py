"""Names of uploads: made safe, kept apart by owner, read from URLs."""

import pytest

from dashscribe.object_keys import MAX_NAME_BYTES, is_good_key, keys_of, new_folder, safe_name


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("a.wav", "a.wav"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("..", "file"),
        ("", "file"),
        ("a\0b\r\n.wav", "a_b__.wav"),
        ("会议 1.wav", "会议 1.wav"),
        ("a\ud800.wav", "a_.wav"),
        ("\u202egpj.wav", "_gpj.wav"),
    ],
)
def test_name_is_made_safe(given: str, safe: str) -> None:
    assert safe_name(given) == safe
    assert is_good_key(f"{new_folder('secret', 'owner')}/{safe}")


def test_long_name_keeps_its_end() -> None:
    name = safe_name("会" * 200 + ".wav")
    assert name.endswith("会.wav")
    assert MAX_NAME_BYTES - 3 < len(name.encode()) <= MAX_NAME_BYTES


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "a/../b", "a/./b", "a\\..\\b", "a\nb", "a\0", "x" * 1024, "\ud800"]
)
def test_bad_key_is_noticed(key: str) -> None:
    assert not is_good_key(key)


def test_folder_of_keys_does_not_tell_whose_it_is() -> None:
    one, other = new_folder("secret", "alice"), new_folder("secret", "alice")
    assert one != other
    assert one.split("/")[1] == other.split("/")[1] != new_folder("another secret", "alice").split("/")[1]


def test_url_may_be_escaped() -> None:
    assert keys_of("oss://d/a%20b.wav") == ("d/a%20b.wav", "d/a b.wav")
    assert keys_of("oss://d/a b.wav") == ("d/a b.wav",)
