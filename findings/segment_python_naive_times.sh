#!/usr/bin/env bash
# segment-analytics-python 2.4.0: a timestamp without a zone is taken as local time if it is less than five seconds old or
# lies ahead, and as UTC if it is older. Two events of one visit, ten seconds apart on the shop's clock, arrive hours apart.
#
# So a queue that hands events over a moment late moves them by the zone of the machine, and only the events that waited.
# Senders must give times with a zone; who receives cannot tell the two kinds apart.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    segment-analytics-python==2.4.0 python-dateutil==2.9.0.post0 2>/dev/null
TZ=America/New_York "$folder/venv/bin/python" - <<'PYTHON'
from datetime import datetime, timedelta, timezone
from importlib.metadata import version

from segment.analytics.client import Client

client = Client("write-key", send=False)  # makes messages as ever, and hands them back
print("segment-analytics-python", version("segment-analytics-python"))

clock = datetime.now()  # the shop's own clock, without a zone, as a database column gives it
ages = {"now": 0, "ten seconds ago": 10, "an hour ahead": -3600}
sent = [client.track("c-1", "Viewed", timestamp=clock - timedelta(seconds=age))[1] for age in ages.values()]
offsets = {}
for name, message in zip(ages, sent, strict=True):
    told = datetime.fromisoformat(str(message["timestamp"]))
    offsets[name] = told.utcoffset()
    print(f"{name:16} {told.isoformat()}")
assert offsets["ten seconds ago"] == timedelta(0), offsets
assert offsets["now"] == offsets["an hour ahead"] in {timedelta(hours=-5), timedelta(hours=-4)}, offsets
now, before = (datetime.fromisoformat(str(m["timestamp"])).astimezone(timezone.utc) for m in sent[:2])
apart = now - before
print(f"ten seconds on the shop's clock became {apart}")
assert timedelta(hours=4) <= apart <= timedelta(hours=5, seconds=20)
PYTHON
