"""CloudEvents 1.0, in each of the content modes of HTTP, as our own event records.

Not read by the project's own package: that one replaces what is not UTF-8, reads data that is not JSON as a text, knows
no batches, and cannot name the attribute at fault.

Source: CloudEvents 1.0.2 (github.com/cloudevents/spec): `spec.md`, `formats/json-format.md`,
`bindings/http-protocol-binding.md`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

from pydantic_core import from_json

from orchestrator.config.fact_types import EVENT_TYPES
from orchestrator.errors import Fault, WireError, suggestion
from orchestrator.ingest.identifiers import fitting_id

Mode = Literal["structured", "batch", "binary"]

MEDIA_TYPE, BATCH_MEDIA_TYPE = "application/cloudevents+json", "application/cloudevents-batch+json"
_PREFIX = "ce-"
# Fields of our events that are attributes there; the others are in the data.
_ATTRIBUTES = {"event_id": "id", "type": "type", "timestamp": "time"}
# Headers that binary mode has others for (HTTP binding 3.1.1 and 3.1.2), so that there could be two truths.
_SAID_ELSEWHERE = {
    f"{_PREFIX}datacontenttype": "Content-Type",
    f"{_PREFIX}data": "the body",
    f"{_PREFIX}data_base64": "the body",
}
# Characters quoted of what is wrong.
_QUOTED = 60
_JSON = re.compile(r"(application|text)/([a-z0-9.\-]+\+)?json", re.IGNORECASE)


def content_mode(headers: Mapping[str, str]) -> Mode | None:
    """How a request carries CloudEvents; none if it does not.

    Args:
        headers: by lower-case name.

    Raises:
        WireError: CloudEvents in a format other than JSON.
    """
    given = headers.get("content-type", "")
    media_type = given.partition(";")[0].strip().lower()
    if media_type == MEDIA_TYPE:
        return "structured"
    if media_type == BATCH_MEDIA_TYPE:
        return "batch"
    if media_type.startswith("application/cloudevents"):
        fix = f"send {MEDIA_TYPE} or {BATCH_MEDIA_TYPE}"
        raise WireError([Fault("header Content-Type", f"{_quoted(given)} is of a format not read here", fix)])
    return "binary" if f"{_PREFIX}specversion" in headers else None


def from_headers(headers: Sequence[tuple[str, str]], body: bytes) -> dict[str, Any]:
    """The event of a request in binary mode, as structured mode would have it.

    Args:
        headers: lower-case names, and values.
        body: the event's data; empty if it has none.

    Raises:
        WireError: a header or the body cannot be read; the faults name which.
    """
    event: dict[str, Any] = {}
    faults = []
    names = set()
    for name, value in headers:
        if name != "content-type" and not name.startswith(_PREFIX):
            continue
        field = "header Content-Type" if name == "content-type" else f"header {name}"
        if name in names:
            faults.append(Fault(field, "is there twice", "send it once"))
        elif name in _SAID_ELSEWHERE:
            faults.append(Fault(field, f"is said by {_SAID_ELSEWHERE[name]} in binary mode", "remove it"))
        elif name == "content-type":
            event["datacontenttype"] = value
        else:
            try:
                event[name.removeprefix(_PREFIX)] = _unquoted(value)
            except UnicodeDecodeError:
                faults.append(Fault(field, "is not UTF-8 once percent-decoded", "encode it as UTF-8"))
        names.add(name)
    if faults:
        raise WireError(faults)
    if body:
        _refuse_other_data(event, "header Content-Type")
        event["data"] = _json(body, "body")
    return event


@dataclass(frozen=True)
class CloudEvents:
    """Some CloudEvents.

    Attributes:
        sent: each as it was sent, in the form of structured mode.
        mode: how.
    """

    sent: Sequence[Any]
    mode: Mode

    def records(self, types: Mapping[str, str]) -> list[dict[str, Any]]:
        """Our event records; what the data holds is not checked yet.

        `source` and `id` together are the event's id, and `time` is its time. `subject` is the customer unless the
        data has a `customer_id`. A type is one of `types`, or ours, alone or behind dots: `com.example.purchase`.

        Args:
            types: our event types by type of theirs.

        Raises:
            WireError: attributes that are missing or wrong; the faults name each.
        """
        faults: list[Fault] = []
        records = []
        for i, event in enumerate(self.sent):
            reader = _Reader(event)
            records.append(reader.record(types))
            faults += (Fault(self._place(i, f.field), f.problem, f.fix) for f in reader.faults)
        if faults:
            raise WireError(faults)
        return records

    def field(self, ours: str) -> str:
        """Where a field of ours was sent: `[3].event_id` as `[3].id`."""
        found = re.fullmatch(r"(?:\[(\d+)\]\.?)?(.*)", ours, re.DOTALL)
        index, name = int(found[1] or 0) if found else 0, found[2] if found else ours
        if not name:
            return ours
        if name in _ATTRIBUTES:
            return self._place(index, _ATTRIBUTES[name])
        event = self.sent[index] if index < len(self.sent) else {}
        if name == "customer_id" and "customer_id" not in _fields(event):
            return self._place(index, "subject")
        return self._place(index, f"data.{name}")

    def _place(self, index: int, name: str) -> str:
        if self.mode == "batch":
            return f"[{index}].{name}" if name else f"[{index}]"
        if self.mode == "binary":
            if name == "datacontenttype":
                return "header Content-Type"
            inside = name.removeprefix("data.")
            return inside if inside != name else "body" if name == "data" else f"header {_PREFIX}{name}"
        return name or "body"


class _Reader:
    """One event being read; faults are gathered."""

    def __init__(self, event: Any) -> None:
        self._event = event
        self.faults: list[Fault] = []

    def record(self, types: Mapping[str, str]) -> dict[str, Any]:
        if not isinstance(self._event, Mapping):
            self._fault("", f"is a {type(self._event).__name__}", "send a JSON object")
            return {}
        if (version := self._event.get("specversion")) != "1.0":
            self._fault("specversion", f"is {_quoted(version)}" if version else "is missing", "send CloudEvents 1.0")
        identity, source = self._text("id"), self._text("source")
        if re.search(r"\s", source):
            self._fault("source", f"{_quoted(source)} is no URI reference", "leave out the spaces")
        record: dict[str, Any] = dict(self._data())
        for ours, theirs in _ATTRIBUTES.items():
            if ours in record:
                self._fault(f"data.{ours}", f"is said by the attribute {theirs!r}", "remove it from the data")
        record["event_id"] = fitting_id(f"{source} {identity}")
        record["type"] = self._type(types)
        if self._event.get("time") is not None:
            record["timestamp"] = self._text("time")
        if record.get("customer_id") is None:
            subject = self._event.get("subject")
            if subject is None:
                self._fault("subject", "is missing", "add the customer's id, or customer_id to the data")
            record["customer_id"] = subject
        return record

    def _fault(self, field: str, problem: str, fix: str) -> None:
        self.faults.append(Fault(field, problem, fix))

    def _text(self, name: str) -> str:
        value = self._event.get(name)
        if value is None:
            self._fault(name, "is missing", "add this attribute")
        elif not isinstance(value, str) or not value.strip() or re.search(r"[\x00-\x1f\x7f]", value):
            self._fault(name, f"{_quoted(value)} is no printable text", "send a text")
        else:
            return value
        return ""

    def _type(self, types: Mapping[str, str]) -> str:
        name = self._text("type")
        ours = types.get(name, name.rpartition(".")[2])
        if name and ours not in EVENT_TYPES:
            hint = suggestion(name[:_QUOTED], EVENT_TYPES)
            self._fault("type", f"unknown {_quoted(name)}", f"{hint}; or name it under `cloudevents` in events.yaml")
        return ours

    def _data(self) -> Mapping[str, Any]:
        if self._event.get("data") is not None and self._event.get("data_base64") is not None:
            self._fault("data_base64", "is there beside data", "send one of the two")
        try:
            _refuse_other_data(self._event, "datacontenttype")
            data = _data(self._event)
        except WireError as error:
            self.faults += error.faults
            return {}
        if data is None:
            return {}
        if not isinstance(data, Mapping):
            self._fault("data", f"is a {type(data).__name__}", "send a JSON object with the fields of an event")
            return {}
        return data


def _fields(event: Any) -> Iterator[str]:
    try:
        data = _data(event) if isinstance(event, Mapping) else None
    except WireError:
        return
    if isinstance(data, Mapping):
        yield from (name for name, value in data.items() if value is not None)


def _data(event: Mapping[str, Any]) -> Any:
    if event.get("data_base64") is None:
        return event.get("data")
    try:
        return _json(base64.b64decode(event["data_base64"], validate=True), "data_base64")
    except (TypeError, ValueError, binascii.Error):
        raise WireError([Fault("data_base64", "is no Base64 text", "encode it as RFC 4648 says")]) from None


def _refuse_other_data(event: Mapping[str, Any], field: str) -> None:
    given = event.get("datacontenttype")
    if given is not None and not (isinstance(given, str) and _JSON.fullmatch(given.partition(";")[0].strip())):
        raise WireError([Fault(field, f"{_quoted(given)} is not read here", "send data as application/json")])


def _json(body: bytes, field: str) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise WireError([Fault(field, f"is not JSON: {error}", "send one JSON document in UTF-8")]) from None


def _quoted(value: Any) -> str:
    """The beginning of what was sent, which may be long."""
    text = repr(value[: _QUOTED + 1] if isinstance(value, str) else value)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"


def _unquoted(value: str) -> str:
    """A header's value, unescaped as the HTTP binding says (3.1.3.2): quoted strings first, then percent-decoding."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return unquote_to_bytes(value.encode("latin-1")).decode("utf-8")
