"""Settings: command-line flags, then ``DASHSCRIBE_*`` variables, then a TOML file, then the defaults below.

``load()`` is the one door; nothing reads the environment elsewhere, and settings are passed on, never fetched from a
global. ``dashscribe config`` prints each value with its origin.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import platformdirs
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from dashscribe.errors import ConfigError
from dashscribe.redact import redact

#: The largest number that a setting may have, by what its name ends with: more is as good as for ever, or a slip, and
#: does not fit where it goes, clocks, limits of the system and other processes among them.
_LARGEST = {
    "retention": (10**6, "hours, which is 114 years"),
    "_s": (10**9, "seconds, which is 31 years"),
    "_bytes": (2**60, "bytes, which is 1 EiB"),
    "_mb": (2**30, "MiB, which is 1 PiB"),
    "": (10**9, ""),
}
_UNBOUNDED_IF_0 = frozenset({"task_timeout_s", "max_queued_files", "max_owner_files"})


def default_home() -> Path:
    """The platform's data folder for this program."""
    return Path(platformdirs.user_data_dir("dashscribe", appauthor=False))


def usable_cores() -> int:
    """Processor cores that this process may run on: fewer than the machine has under taskset or in a container."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def config_file() -> Path:
    """``DASHSCRIBE_CONFIG``, else ``config.toml`` in the home folder."""
    home = Path(os.environ.get("DASHSCRIBE_HOME") or default_home())
    with suppress(RuntimeError):  # no such user, which the settings tell
        home = home.expanduser()
    return Path(os.environ.get("DASHSCRIBE_CONFIG") or home / "config.toml")


def _base_url(value: str, example: str, instead: str) -> str:
    """A URL that paths can be put behind; raises ValueError saying what to give, of a password ``instead``."""
    url = value.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        is_base = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(f"{error}: give the base of an http or https URL, as in {example}") from error
    if url and not is_base:
        raise ValueError(f"give the base of an http or https URL, as in {example}")
    if "?" in url or "#" in url:
        raise ValueError("leave out what begins with ? or #: paths are put behind the URL")
    if "@" in parts.netloc:
        raise ValueError(f"leave name and password out{instead}")
    return url


def _in_ascii(url: str) -> str:
    """A base URL whose host and path are in ASCII; raises ValueError for a host that no name server can know."""
    import idna  # few need it, and it takes a while

    parts = urlsplit(url)
    host = str(parts.hostname)
    try:
        host = host if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError(f"{host!r} is no name of a host: {error}") from error
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*", host):
        raise ValueError(f"{host!r} is no name of a host")
    port = "" if parts.port is None else f":{parts.port}"
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~")
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{path}"


class Settings(BaseSettings):
    """Every setting with its unit and default; the environment variable is the name in upper case after DASHSCRIBE_."""

    model_config = SettingsConfigDict(env_prefix="DASHSCRIBE_", extra="forbid", frozen=True)

    home: Path = Field(default_factory=default_home, description="Folder for the database, stored files and locks.")
    api_key: SecretStr | None = Field(
        None, description="A key accepted besides those in the database; owner 'default'."
    )
    database_url: str = Field(
        "", description="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; default: dashscribe.db in the home."
    )
    database_connections: int = Field(
        20, ge=4, le=1000, description="Most connections of one process to PostgreSQL, whose own limit is for all."
    )
    lease_s: float = Field(
        30.0, ge=3, description="PostgreSQL: after this silence of a worker, in seconds, others take over its work."
    )
    store_url: str = Field(
        "",
        description="Where audio and results lie: file:///PATH, or s3://BUCKET/PREFIX with credentials, region and "
        "endpoint in AWS_* variables; default: store/ in the home folder.",
    )
    store_cache_bytes: int = Field(
        4 * 1024**3, ge=0, description="Copies of what lies in s3://… that are kept in the home folder, in bytes."
    )
    public_url: str = Field(
        "",
        description="Base of the URLs that the server mints, https://asr.example.com or with a path behind it; "
        "default: the request's Host.",
    )
    fetch_allow: str = Field(
        "", description="Comma list of host names and CIDRs exempt from the guard against private addresses."
    )
    models_dir: Path | None = Field(
        None, description="Folder of installed model weights; default: models/ in the home folder."
    )
    models_mirror: str = Field(
        "",
        description="Comma list of base URLs that models are pulled from instead of their own origins: BASE/<file>, "
        "in this order; the word origins in the list stands for the models' own.",
    )
    engine: str = Field("", description="Force one engine for every model.")
    openai_url: str = Field(
        "", description="Base URL of an OpenAI-compatible endpoint that recognizes, http://gpu:8000/v1; empty for none."
    )
    openai_api_key: SecretStr | None = Field(None, description="The key that this endpoint wants, if any.")
    openai_model: str = Field("whisper-1", description="Name of the model there.")
    openai_interface: Literal["transcriptions", "chat"] = Field(
        "transcriptions", description="How it is asked: /audio/transcriptions, or a sound in /chat/completions."
    )
    openai_languages: str = Field("", description="Comma list of codes of the languages it reads; empty for any.")
    openai_concurrency: int = Field(
        8, ge=1, le=256, description="Requests to it at once, which recognition slots bound as well."
    )
    openai_timeout_s: float = Field(
        60.0, gt=0, le=3600, description="Longest wait for what it hears in one piece, all tries together, in seconds."
    )
    openai_pause_s: float = Field(
        15.0, gt=0, description="How long it is left alone once it is down, in seconds; doubled up to 20 times that."
    )
    provider: Literal["cpu", "cuda"] = Field(
        "cpu", description="What engines compute on; cuda needs a sherpa-onnx that was built for it."
    )
    workers: int = Field(default_factory=usable_cores, ge=1, le=256, description="Parallel recognition slots.")
    retention: float = Field(24.0, gt=0, description="Hours that a finished task's files are kept.")
    time_zone: str = Field("Asia/Shanghai", description="Zone of the times on the wire, which carry none themselves.")
    max_file_bytes: int = Field(2 * 1024**3, gt=0, description="Largest source, in bytes.")
    max_duration_s: int = Field(12 * 3600, gt=0, description="Longest source, in seconds.")
    strict_oss: bool = Field(
        False, description="Refuse oss:// sources without the header X-DashScope-OssResourceResolve, as the cloud does."
    )
    rate_limits: str = Field(
        "",
        description="Calls per owner and model: empty for no limit, cloud for the service's, or MODEL=N/minute,…",
    )
    max_queued_files: int = Field(
        0, ge=0, description="Files of tasks that may wait or be worked on, of all owners; more are refused. 0: any."
    )
    max_owner_files: int = Field(0, ge=0, description="The same of one owner. 0: any.")
    calls: int = Field(0, ge=0, description="Synchronous calls worked on at once; 0: two per recognition slot.")
    call_wait_s: float = Field(10.0, ge=0, description="How long a synchronous call waits for its turn, then 429.")
    stop_grace_s: int = Field(
        2, ge=0, le=3600, description="How long a stop waits for calls under way, in seconds; new ones are refused."
    )
    fetch_timeout_s: float = Field(3600.0, gt=0, description="Longest download in all, in seconds.")
    task_timeout_s: float = Field(
        0.0, ge=0, description="Longest task in seconds; 0 means no limit (the cloud: 10800)."
    )
    disk_reserve_bytes: int = Field(
        1024**3, ge=0, description="Preparing pauses, and tasks are refused, while less disk than this is free."
    )
    waiting_audio_s: int = Field(7200, gt=0, description="Preparing pauses while more decoded audio than this waits.")
    host_memory_mb: int = Field(
        4096, gt=0, description="An engine or media process that is larger than this after a call is replaced, in MiB."
    )
    host_idle_s: float = Field(600.0, gt=0, description="An idle engine process is ended after this many seconds.")
    sensitive_words: Path | None = Field(
        None, description="File of words that models with a filter for them mask, one a line; none if left out."
    )
    metrics: Literal["local", "key", "open", "off"] = Field(
        "local",
        description="Who may read /metrics: local means programs on this machine, and others with a key of the owner "
        "'default'; key, only those with such a key; open, everybody; off, nobody.",
    )
    metrics_owners: bool = Field(
        False, description="Tell usage in /metrics by owner, too: a series per owner and model."
    )
    access_log: bool = Field(True, description="A line in the log for every request that was answered.")
    log_format: Literal["text", "json"] = Field("text", description="How the server logs to stderr.")

    callback_url: str = Field(
        "", description="Comma list of URLs that are told of the end of every task, besides `dashscribe callbacks add`."
    )
    callback_token: SecretStr | None = Field(None, description="The token that goes with events to those URLs, if any.")
    callback_timeout_s: float = Field(
        10.0, ge=5, le=300, description="Longest wait for a callback target's answer, in seconds."
    )

    @field_validator("models_dir", "sensitive_words", mode="before")
    @classmethod
    def _unset_if_empty(cls, value: object) -> object:
        """An empty variable, as compose files pass on, means the default, not the current folder."""
        return None if value == "" else value

    @field_validator("home", mode="before")
    @classmethod
    def _default_if_empty(cls, value: object) -> object:
        return default_home() if value == "" else value

    @field_validator("home", "models_dir", "sensitive_words")
    @classmethod
    def _make_absolute(cls, value: Path | None) -> Path | None:
        """URLs are made of the home, and children work elsewhere; no shell expands a ``~`` in a file or a unit."""
        try:
            return value and value.expanduser().absolute()
        except RuntimeError as error:
            raise ValueError("there is no such user: give the path of the folder") from error

    @field_validator("*")
    @classmethod
    def _check_number(cls, value: object, info: ValidationInfo) -> object:
        """Numbers are finite, and not beyond what can be meant."""
        if isinstance(value, int | float):
            name = str(info.field_name)
            largest, unit = next(bound for end, bound in _LARGEST.items() if name.endswith(end))
            if not value <= largest:
                no_limit = "; 0 means no limit" if name in _UNBOUNDED_IF_0 else ""
                raise ValueError(f"give {largest} {unit}".rstrip() + f" at most{no_limit}")
        return value

    @field_validator("openai_url")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        """A base URL to which paths can be added; a password in it would end up in messages."""
        return _base_url(value, "http://gpu:8000/v1", " and give the key in DASHSCRIBE_OPENAI_API_KEY")

    @field_validator("public_url")
    @classmethod
    def _check_public(cls, value: str) -> str:
        """The same, in ASCII: it goes into headers and into URLs that any client has to understand."""
        url = _base_url(value, "https://asr.example.com", "")
        return url and _in_ascii(url)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, TOML file: the first that names a setting wins."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())

    @property
    def resolved_database_url(self) -> str:
        """``database_url``, or the SQLite file in the home folder."""
        # Only what would end or change the path: the rest is easier to read as it is.
        path = re.sub(r"[%?#]", lambda found: f"%{ord(found[0]):02X}", str(self.home / "dashscribe.db"))
        return self.database_url or f"sqlite:///{path}"

    @property
    def resolved_store_url(self) -> str:
        """``store_url``, or the folder in the home folder."""
        return self.store_url or (self.home / "store").as_uri()

    @property
    def resolved_models_dir(self) -> Path:
        """``models_dir``, or the folder in the home folder."""
        return self.models_dir or self.home / "models"


def load(**flags: Any) -> Settings:
    """Settings from all sources; ``flags`` that are None count as not given.

    Raises ConfigError naming each unusable value.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(
            redact(f"{'.'.join(map(str, e['loc']))}={e['input']!r}: {e['msg']}")
            for e in error.errors(include_url=False)
        )
        # Not "from error": its text repeats the values, and a traceback would show them.
        raise ConfigError(f"unusable settings: {problems}") from None
