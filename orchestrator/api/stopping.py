"""A server that says it will stop before it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import FrameType

import uvicorn


class DrainingServer(uvicorn.Server):
    """On the first signal it says so and goes on for a while; then it accepts nothing new and finishes the rest.

    A second signal ends that while; a third one ends everything at once.

    Args:
        config: of uvicorn.
        stopping: called in the signal's handler, so it must only note the fact.
        drain_seconds: how long requests are still accepted.
    """

    def __init__(self, config: uvicorn.Config, *, stopping: Callable[[], None], drain_seconds: float) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._drain_seconds = drain_seconds
        self._until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if self._until is None:
            self._until = time.monotonic() + self._drain_seconds
            self._stopping()
            if self._drain_seconds == 0:
                super().handle_exit(sig, frame)
            else:
                self._captured_signals.append(sig)
        elif not self.should_exit:
            self.should_exit = True
        else:
            self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop accepting; asked ten times a second."""
        if self._until is not None and time.monotonic() >= self._until:
            self.should_exit = True
        return await super().on_tick(counter)
