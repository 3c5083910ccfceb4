"""The keys of the database in memory, so that no request has to ask the database for one."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable, Mapping

import structlog

from orchestrator.access.keys import ApiKey, digest, split
from orchestrator.errors import AccessError

log = structlog.get_logger(__name__)

# Seconds after which a key that was made or revoked is known in every process.
REFRESH = 1.0
# Seconds; when a key was last used is kept no finer than this, so that using it is not a write.
COARSE = 3600.0


class KeyRing:
    """Finds keys by their text. All keys are read again every second, on a thread.

    While the database cannot be read, the keys read before stay: nearly everything else refuses then anyway.

    Args:
        load: all keys, by id.
        note: keeps when keys were last used, by id, seconds since 1970 UTC.
        clock: seconds since 1970 UTC.
        every: seconds between readings.
    """

    def __init__(
        self,
        *,
        load: Callable[[], Mapping[str, ApiKey]],
        note: Callable[[Mapping[str, float]], None],
        clock: Callable[[], float],
        every: float = REFRESH,
    ) -> None:
        self._load = load
        self._note = note
        self._clock = clock
        self._every = every
        self._keys: Mapping[str, ApiKey] = {}
        self._used: dict[str, float] = {}
        self._nobodys = digest(secrets.token_hex(32))
        self._complained = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="key-ring", daemon=True)

    def start(self) -> None:
        """Read the keys once now, then keep reading them on a thread."""
        self._keys = self._load()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def find(self, text: str) -> ApiKey:
        """The key of this text.

        Raises:
            AccessError: it is unknown, revoked or expired; the message goes on from "the key ".
        """
        key_id, secret = split(text)
        key = self._keys.get(key_id)
        # As much work for an unknown id as for a wrong secret: how long it takes tells nothing.
        matches = hmac.compare_digest(digest(secret), key.digest if key else self._nobodys)
        if key is None or not matches:
            raise AccessError("is not known here")
        now = self._clock()
        if fault := key.fault(now):
            raise AccessError(fault)
        if key.last_used_at is None or now - key.last_used_at >= COARSE:
            self._used[key_id] = now // COARSE * COARSE
        return key

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            # First what is refused from now on; that a key was used can wait.
            self._read()
            self._keep_used()

    def _read(self) -> None:
        try:
            self._keys = self._load()
            self._complained = False
        except Exception as error:  # whatever it is, keys must go on being read
            if not self._complained:
                log.error("keys not read", error_type=type(error).__name__)
            self._complained = True

    def _keep_used(self) -> None:
        used, self._used = self._used, {}
        if not used:
            return
        try:
            self._note(used)
        except Exception as error:
            self._used = {**used, **self._used}  # to be tried again
            log.warning("use of keys not kept", error_type=type(error).__name__)
