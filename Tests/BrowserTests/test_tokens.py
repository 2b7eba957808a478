# SPDX-License-Identifier: Apache-2.0
"""The Tokens example over HTTP: a model's response as a stream, with errors and clients that disconnect."""

import http.client
import json
import time

from cases import ServerCase
from servers import ExampleServer


class TokensExample(ServerCase):
    def setUp(self):
        self.server = self.start(ExampleServer("Tokens", interval_ms=20))

    def post(self, prompt, server=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", (server or self.server).port, timeout=10)
        self.addCleanup(connection.close)
        body = json.dumps({"prompt": prompt}) if body is None else body
        connection.request("POST", "/generate", body, {"Content-Type": "application/json"})
        return connection, connection.getresponse()

    def events(self, answer):
        blocks = answer.read().decode().split("\n\n")
        events = []
        for block in blocks:
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if fields:
                events.append((fields.get("event"), fields.get("data")))
        return events

    def test_an_answer_is_its_tokens_and_a_summary(self):
        _, answer = self.post("three little words")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["Content-Type"], "text/event-stream; charset=UTF-8")
        self.assertEqual(
            self.events(answer),
            [("token", "words "), ("token", "little "), ("token", "three "), ("done", '{"tokens":3}')],
        )
        self.server.wait_for("generate: complete after 3 tokens")

    def test_an_error_before_the_first_token_is_a_status(self):
        _, answer = self.post("overloaded today")
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.headers["Retry-After"], "30")
        self.assertIn(b"the model is overloaded", answer.read())
        _, answer = self.post("last word is a break")
        self.assertEqual(answer.status, 502)
        _, answer = self.post(None, body="no json")
        self.assertEqual(answer.status, 400)

    def test_an_error_after_the_first_token_is_the_last_event(self):
        _, answer = self.post("never said break two one")
        self.assertEqual(answer.status, 200)
        self.assertEqual(
            self.events(answer), [("token", "one "), ("token", "two "), ("error", "the model failed")]
        )

    def test_one_too_many_is_told_when_to_try_again(self):
        server = self.start(ExampleServer("Tokens", interval_ms=50, places=1))
        _, first = self.post("words " * 200, server)
        self.assertEqual(first.status, 200)
        _, second = self.post("words", server)
        self.assertEqual(second.status, 429)
        self.assertEqual(second.headers["Retry-After"], "2")

    def test_a_reader_that_leaves_cancels_the_generation(self):
        server = self.start(ExampleServer("Tokens", interval_ms=50, places=1))
        connection, answer = self.post("words " * 10_000, server)
        self.assertEqual(answer.readline(), b"event: token\n")
        began = time.monotonic()
        answer.close()
        connection.close()
        server.wait_for("generate: cancelled after [0-9]+ tokens", timeout=1)
        self.note(f"cancelled {1000 * (time.monotonic() - began):.0f} ms after the reader left")
        # The place is free again.
        _, answer = self.post("free", server)
        self.assertEqual(answer.status, 200)

    def test_a_reader_that_leaves_before_the_first_token_cancels_it_too(self):
        server = self.start(ExampleServer("Tokens", interval_ms=60_000))
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        body = json.dumps({"prompt": "slow"})
        connection.request("POST", "/generate", body, {"Content-Type": "application/json"})
        time.sleep(0.3)
        connection.close()
        server.wait_for("generate: cancelled after 0 tokens", timeout=1)
