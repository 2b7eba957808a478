# SPDX-License-Identifier: Apache-2.0
"""A client of a hub whose disk is failing: an answer, no answer, or a refusal; and what a hub holds."""

import collections
import http.client
import json
import socket

Event = collections.namedtuple("Event", "id topic type data")


class Lost(Exception):
    """There was no answer: the hub was stopped."""


class Refused(Exception):
    """503; `code` says whether anything was taken, and `answer` is all that was said."""

    def __init__(self, answer):
        super().__init__(str(answer))
        self.answer, self.code = answer, answer.get("code")


class Failed(Exception):
    """The hub did something wrong."""


class Client:
    """One connection, which is opened again after it broke."""

    def __init__(self, hub, patience=30):
        self.hub, self.patience = hub, patience
        self.denied = None  # The last time that there was more, though the hub said that there was not.
        self.connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=patience)

    def call(self, method, target, body=None, fields=None):
        """Returns status, fields and JSON; raises Lost or Refused."""
        try:
            self.connection.request(method, target, body, {"Host": "localhost", **(fields or {})})
            answer = self.connection.getresponse()
            text = answer.read()
        except socket.timeout as error:
            raise Failed(f"no answer within {self.patience} s to {method} {target}") from error
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise Lost() from error
        value = json.loads(text) if text else None
        if answer.status == 503:
            raise Refused(value)
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, value

    def post(self, target, data, fields=None):
        return self.call("POST", target, data.encode(), fields)

    def head(self, target, fields=None):
        """The fields of an answer without a body."""
        return self.call("HEAD", target, fields=fields)[1]

    def read(self, query, after="earliest"):
        """Everything after an ID, and the gaps that were told, each with the ID after which it was.

        Nothing is published meanwhile, so `more` can be checked.
        """
        events, gaps, has_more = [], [], True
        while True:
            status, _, answer = self.call("GET", f"/topics?{query}&wait=0&last-event-id={after}")
            if not has_more:
                if not answer["events"]:
                    return events, gaps
                self.denied = f"{query} after {after}: {len(answer['events'])} events, though `more` was false"
            if status != 200:
                raise Failed(f"{query} after {after}: {status} {answer}")
            events += [Event(one["id"], one["topic"], one["type"], one["data"]) for one in answer["events"]]
            if answer["gap"]:
                gaps.append((after, answer["gap"]))
            has_more = answer["more"]
            if has_more and answer["next"] == after:
                # So a long-poll answers while history cannot be read.
                raise Refused({"code": "no step further"})
            after = answer["next"]


class Ledger:
    """Every event that anybody was ever told of, by ID."""

    def __init__(self, totals):
        self.totals, self.events = totals, {}

    def note(self, id, type, data):
        known = self.events.setdefault(id, (type, data))
        if known != (type, data):
            self.totals.fail(f"{id} is {known[1][:60]!r}, and {data[:60]!r}", "IDs of two events")


def topics(event):
    """The topics of an event of these scripts: its data begin with them."""
    return {event.topic} if event.type != "message" else set(event.data.split(" ", 1)[0].split(","))
