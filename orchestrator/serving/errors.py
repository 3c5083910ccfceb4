"""Errors of the service: what a request can be refused with, whatever carries the request.

ServiceError
├── UnknownCustomerError    no event of this customer was ever received
├── UnknownDecisionError    no decision has this id
├── UnknownSlotError        an outcome of a result that the decision does not have
├── KeyReusedError          an idempotency key came back with another request
├── NoPolicyError           nothing is promoted yet
├── OverloadedError         the queue is full
├── WaitedTooLongError      not begun in time, and not done
├── StoppingError           the service is shutting down
├── StorageUnavailableError the database did not confirm the write
└── OtherConfigurationError the profiles are of another configuration by now
"""


class ServiceError(Exception):
    """A request is refused; the message says what was wrong and the fix.

    Attributes:
        retry_after: seconds after which trying again may help, where it may at all.
    """

    def __init__(self, message: str = "", *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnknownCustomerError(ServiceError):
    """No event of this customer was ever received."""


class UnknownDecisionError(ServiceError):
    """No decision has this id."""


class UnknownSlotError(ServiceError):
    """An outcome of a result that the decision does not have."""


class KeyReusedError(ServiceError):
    """An idempotency key came back with another request."""


class NoPolicyError(ServiceError):
    """Nothing is promoted yet."""


class OverloadedError(ServiceError):
    """The queue is full."""


class WaitedTooLongError(ServiceError):
    """The request was not begun in time, and will not be done."""


class StoppingError(ServiceError):
    """The service is shutting down."""


class StorageUnavailableError(ServiceError):
    """The database did not confirm the write: nothing was kept, unless only its last word was lost."""


class OtherConfigurationError(ServiceError):
    """The profiles in the database are of another configuration by now; nothing was kept."""
