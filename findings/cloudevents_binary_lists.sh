#!/usr/bin/env bash
# cloudevents 2.2.0 (Python): an event whose JSON data is a list is written as JSON in structured mode, and in binary mode
# as Python's own notation, with single quotes and True, under Content-Type application/json. Text is sent without its
# quotes. Nothing is raised, so the receiver sees a body that is no JSON.
#
# The SDK's own reader hands such a body back as text, so a round trip does not show it either.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cloudevents==2.2.0 python-dateutil==2.9.0.post0 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import json
from importlib.metadata import version

from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent

print("cloudevents", version("cloudevents"))
attributes = {
    "id": "881", "source": "/shop/orders", "type": "com.example.cart", "specversion": "1.0",
    "datacontenttype": "application/json",
}


def bodies(data):
    event = CloudEvent(attributes=dict(attributes), data=data)
    binary, structured = http.to_binary_event(event), http.to_structured_event(event)
    assert binary.headers["content-type"] == "application/json"
    print("structured:", json.dumps(json.loads(structured.body)["data"]), " binary:", binary.body.decode())
    return json.loads(structured.body)["data"], binary


items = [{"category": "pantry", "gift": True}]
structured, binary = bodies(items)
assert structured == items
assert binary.body == b"[{'category': 'pantry', 'gift': True}]"
try:
    json.loads(binary.body)
except json.JSONDecodeError as error:
    print("not JSON:", error)
else:
    raise SystemExit("binary mode writes JSON now")
assert http.from_binary_event(binary).get_data() == binary.body.decode()  # text, not the list

structured, binary = bodies({"category": "pantry", "gift": True})
assert json.loads(binary.body) == structured  # an object is JSON in both
structured, binary = bodies("a gift")
assert (structured, binary.body) == ("a gift", b"a gift")
PYTHON
