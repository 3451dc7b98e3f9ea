"""Reads tasks and chats from Redis Streams into the ledger."""

import os

import redis

from ledger import record

GROUP, WORKER = "ledger-python", "worker-1"
PREFIX = os.environ.get("REDIS_PREFIX", "{relay}:")

client = redis.Redis.from_url(
    os.environ.get("REDIS_URL", "redis://localhost:6379/0"), decode_responses=True, protocol=2
)
position = {PREFIX + "tasks": "0", PREFIX + "chat": "0"}  # "0": what this worker took and did not acknowledge
for stream in position:
    try:
        client.xgroup_create(stream, GROUP, id="0", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise

while True:
    for stream, entries in client.xreadgroup(GROUP, WORKER, position, count=100, block=1000):
        if not entries:
            position[stream] = ">"  # what is new
        for entry_id, event in entries:
            record(event, event["data"])
            client.xack(stream, GROUP, entry_id)  # after the effect: a crash before this line repeats the event
