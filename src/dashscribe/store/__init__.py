"""Blobs under keys: in a local folder, or in a bucket of S3 or what speaks like it, which many machines share.

A put is whole and kept when it returns, or nothing of it is seen. Who may read a blob and how long it lives is decided
elsewhere. Trouble of any kind is an OSError, so that work waits for a store as it waits for a disk.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from dashscribe.config import Settings
from dashscribe.errors import ConfigError
from dashscribe.store.blobs import CHUNK_BYTES as CHUNK_BYTES
from dashscribe.store.blobs import MAX_KEY_CHARS as MAX_KEY_CHARS
from dashscribe.store.blobs import Store as Store
from dashscribe.store.blobs import Stored as Stored
from dashscribe.store.blobs import StoreError as StoreError
from dashscribe.store.drafts import Drafts as Drafts
from dashscribe.store.folder import Folder
from dashscribe.store.marker import Memory


def open_store(settings: Settings, memory: Memory | None = None) -> Store:
    """The store that ``store_url`` names; nothing is asked of it yet. Raises ConfigError for one that cannot be.

    ``memory`` is what its database knows of it: a folder that is not mounted is told by that from one without blobs.
    """
    url = settings.resolved_store_url
    if urlsplit(url).scheme != "s3":
        return Folder(url, memory)
    try:
        from dashscribe.store.s3 import Bucket
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        raise ConfigError(
            "store_url=s3://… needs a package that is not installed: pip install 'dashscribe[s3]'"
        ) from error
    from dashscribe.store.cache import Cache

    # Twice the reserve: below the reserve work pauses, which copies of what lies in the bucket are no reason for.
    cache = Cache(settings.home / "cache", settings.store_cache_bytes, 2 * settings.disk_reserve_bytes)
    return Bucket(url, cache)
