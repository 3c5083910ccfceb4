"""Which policy decides now, and the watcher that exchanges it while requests run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from orchestrator.serving.errors import NoPolicyError
from policies.policy import Policy

log = structlog.get_logger(__name__)


class NoChampionError(Exception):
    """The registry answered, and the model that is followed has no champion.

    Args:
        model: the model followed.
        hint: for the log, what whoever runs the server may do; it may name what clients need not know.
    """

    def __init__(self, model: str, *, hint: str = "") -> None:
        super().__init__(f"no version of {model}, the model this server follows, has been promoted yet")
        self.hint = hint


@dataclass(frozen=True)
class ServedPolicy:
    """A policy and where it came from.

    Attributes:
        version: as registered; logged with every decision.
        since: when it began to serve, seconds since 1970 UTC.
    """

    policy: Policy
    version: str
    since: float


class PolicyHolder:
    """Holds the policy that decides. Exchanging it is one reference assignment, so no request waits or fails."""

    def __init__(self) -> None:
        self._served: ServedPolicy | None = None
        self._refused = ""
        self._missing = "no policy has been promoted yet"

    def lack(self, why: str) -> None:
        """Remember why there is no champion; what serves keeps serving."""
        self._refused, self._missing = "", why

    def refuse(self, version: str) -> None:
        """Remember that this version was promoted but cannot serve; what serves keeps serving."""
        self._refused = version

    def replace(self, served: ServedPolicy) -> None:
        """Let another policy decide from the next batch on."""
        self._served = served
        self._refused = ""

    @property
    def current(self) -> ServedPolicy | None:
        """The policy that decides now, if any."""
        return self._served

    def required(self) -> ServedPolicy:
        """The policy that decides now.

        Raises:
            NoPolicyError: there is none.
        """
        if self._served is None and self._refused:
            raise NoPolicyError(
                f"the champion {self._refused} cannot be served with this configuration; the server's log says why"
            )
        if self._served is None:
            raise NoPolicyError(self._missing)
        return self._served


class ChampionWatcher:
    """Looks for a new champion every so often and puts it in the holder once it is loaded and checked.

    Args:
        holder: where the loaded policy goes.
        champion: version and directory of the champion; none, or `NoChampionError`, while there is none.
        load: reads and checks a policy directory; raises if it must not serve.
        every: seconds between looks.
        clock: seconds since 1970 UTC.
    """

    def __init__(
        self,
        holder: PolicyHolder,
        *,
        champion: Callable[[], tuple[str, Path] | None],
        load: Callable[[Path], Policy],
        every: float,
        clock: Callable[[], float],
    ) -> None:
        self._holder = holder
        self._champion = champion
        self._load = load
        self._every = every
        self._clock = clock
        self._refused: str | None = None
        self._complaint = ""
        self.looked_at: float | None = None  # when the registry last answered, seconds since 1970 UTC
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion-watcher", daemon=True)

    def start(self) -> None:
        """Look once now, then keep looking on a thread."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Serve the champion if it is another version than now; a bad one is logged once and not served."""
        version = None
        try:
            found = self._champion()
            self.looked_at = self._clock()
            if found is None:
                return
            version, directory = found
            served = self._holder.current
            if version != self._refused:
                self._refused = None
            if version == self._refused or (served is not None and version == served.version):
                return
            self._holder.replace(ServedPolicy(self._load(directory), version, self._clock()))
        except NoChampionError as missing:
            self.looked_at = self._clock()
            self._refused = None
            self._holder.lack(str(missing))
            if self._holder.current is None and (complaint := f"{missing}: {missing.hint}") != self._complaint:
                self._complaint = complaint
                log.warning("no policy serves", reason=str(missing), hint=missing.hint)
            return
        except Exception as error:
            # Whatever is wrong with a new champion, the policy that serves keeps serving.
            self._refused = version
            self._holder.refuse(version or "")
            if (complaint := f"{version}: {error!r}") != self._complaint:
                # A registry out of reach stays so for many looks; saying it once is enough.
                self._complaint = complaint
                log.exception("champion not served", version=version, error_type=type(error).__name__)
            return
        self._refused, self._complaint = None, ""
        log.info("champion served", version=version)

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.look()
