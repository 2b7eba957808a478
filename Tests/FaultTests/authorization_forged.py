# SPDX-License-Identifier: Apache-2.0
"""Forged, malformed and untimely tokens, for authorization.py."""

import base64
import json
import socket
import time

from authorization_http import ask
from authorization_tokens import KeyPair, Secret, base64url, claims, match, token

OWN = "key and algorithm come from our own table, never from the token"
TOKENS = "`exp` required, `nbf`, `iss`, `aud` (never empty) checked, leeway 60 s"
TARGET = "/topics/own/1?wait=0"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ANY_SHAPE = ("token-malformed", "token-algorithm")


def good(**more):
    return claims(subscribe=[match("own/*")], **{"iss": "https://issuer", "aud": "hub", **more})


def run(world):
    rsa, other = KeyPair(world.folder, "RS256"), KeyPair(world.folder, "RS256")
    with world.serve("--jwt-key", rsa.public, "--jwt-issuer", "https://issuer", "--jwt-audience", "hub") as server:
        algorithms(world, server, rsa, other)
        shapes(server, rsa)
        times(server, rsa)
        audiences(server, rsa)
        subjects_and_rights(server, rsa)
        fields(server, rsa)


def taken(server, text, because=OWN):
    server.checks.answer(ask(server, "GET", TARGET, bearer=text), 200, because=because)


def refused(server, text, code, because=OWN):
    server.checks.answer(ask(server, "GET", TARGET, bearer=text), 401, code, because)


def algorithms(world, server, rsa, other):
    text = token(good(), rsa)
    taken(server, text)
    head, payload, signature = text.split(".")
    for name in ("none", "None", "NONE", "nOnE", ""):
        for end in ("", signature):
            for more in ({}, {"kid": "x"}):
                unsigned = base64url(json.dumps({"alg": name, **more}).encode())
                refused(server, f"{unsigned}.{payload}.{end}", ANY_SHAPE)
    for odd in ({}, {"alg": None}, {"alg": ["RS256"]}, {"alg": 1}, {"alg": "rs256"}, {"alg": "RS256 "},
                {"alg": {"RS256": 1}}):
        refused(server, token(good(), rsa, "RS256", head=odd), ANY_SHAPE)
    # The public key as the secret of an HMAC.
    for data in (rsa.pem, rsa.pem.strip(), rsa.pem.replace(b"\n", b"\r\n"), rsa.der,
                 b"".join(rsa.pem.splitlines()[1:-1])):
        for name in ("HS256", "HS384", "HS512"):
            refused(server, token(good(), Secret(data), name), "token-algorithm")
    refused(server, token(good(), Secret(b"")), "token-algorithm")
    for name in ("RS384", "RS512", "PS256", "PS384", "PS512"):
        refused(server, token(good(), rsa, name), "token-algorithm")
    for key in (KeyPair(world.folder, "ES256"), KeyPair(world.folder, "EdDSA")):
        refused(server, token(good(), key), "token-algorithm")
    refused(server, token(good(), other), "token-signature")
    # A key that the token brings, or names.
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
    for more in ({"jwk": other.jwk()}, {"jku": url}, {"x5u": url}, {"jwk": other.jwk(), "kid": "a", "jku": url},
                 {"x5c": [base64.b64encode(other.der).decode()]}):
        refused(server, token(good(), other, **more), ("token-signature", "token-malformed", "token-key"))
    listener.setblocking(False)
    try:
        listener.accept()
        server.checks.expect(False, "the server has connected to a token's `jku`", OWN)
    except BlockingIOError:
        server.checks.expect(True, "", OWN)
    listener.close()
    for crit in (["exp"], ["b64"], [], "exp", None, ["x"]):
        refused(server, token(good(), rsa, crit=crit, x=1), None, "an unknown `crit` is refused")
    for kid in ("any", "", "../../dev/null", "' OR 1=1", "x" * 500):
        taken(server, token(good(), rsa, kid=kid), "`kid`: ignored with one PEM or secret")


def shapes(server, rsa):
    text = token(good(), rsa)
    head, payload, signature = text.split(".")
    because = "the head and key sets are parsed by us; lengths are checked first"
    shape = ("token-malformed", "token-signature")
    last = ALPHABET.index(signature[-1])
    for odd in (
        f"{head}.{payload}", f"{head}.{payload}.", f"{head}..{signature}", f".{payload}.{signature}", "..", ".", "x",
        "a.b.c", f"{text}.", f".{text}", f"{text}.{signature}", f"{text}.{payload}.{signature}", f"{text}=",
        f"{head}=.{payload}.{signature}", f"{text}==", f"{head}.{payload}.{signature[:-1]}{ALPHABET[last ^ 1]}",
        f"{head}.{payload}.{signature[:-1]}", f"{text}A", f"{text}AAAA",
        f"{head}.{payload}.{signature.translate(str.maketrans('-_', '+/'))}"
        if set("-_") & set(signature) else f"{head}.{payload}.+{signature[1:]}",
        f"{head}.{payload}.{signature[:9]}%41{signature[10:]}", f"{head}.{payload}A.{signature}",
        f"{head}.{payload}.{signature[1:]}{signature[0]}",
        f"{head}.{payload}.{'A' * len(signature)}", f"{head}.{payload}.{'_' * len(signature)}",
        f"{payload}.{head}.{signature}",
    ):
        refused(server, odd, shape, because)
    for at in range(0, len(text), 41):
        flipped = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1:]
        refused(server, flipped, (*shape, "token-algorithm"), "each bit of a token counts")
        refused(server, text[:at] or "x", (*shape, "token-algorithm"), "a token that is cut off is none")
    for payload in (b"", b"null", b"[]", b"1", b"\"x\"", b"{", b"{}x", b"\xef\xbb\xbf{}", b"\xff",
                    "{}".encode("utf-16"), b"[" * 3000, b"{\"a\":" * 1500,
                    b"{\"sub\":\"a\xff\"}", b"{'sub':'a'}", b"{\"sub\":\"a\",}", b"{\"sub\":\"\\ud800\"}",
                    b"{\"exp\":01}", b"{\"exp\":NaN}"):
        refused(server, token(payload, rsa), None, because)
    for head in (b"", b"null", b"[]", b"{", b"{\"alg\":\"RS256\",\"alg\":\"RS256\"}",
                 b"{\"alg\":\"none\",\"alg\":\"RS256\"}",
                 b"{\"alg\":\"RS256\",\"\\u0061lg\":\"none\"}", b"{\"alg\":\"RS256\"}x", b"\xff" * 8):
        refused(server, token(good(), rsa, "RS256", head=head), ANY_SHAPE, "duplicate JSON members refused")
    for name, value in (("sub", "bob"), ("exp", 9999999999), ("plinth", {"subscribe": [match("**")]}),
                        ("aud", "other")):
        body = json.dumps(good())
        for twice in (f'{{"{name}":{json.dumps(value)},{body[1:]}', f'{body[:-1]},"{name}":{json.dumps(value)}}}',
                      f'{body[:-1]},"\\u{ord(name[0]):04x}{name[1:]}":{json.dumps(value)}}}'):
            refused(server, token(twice.encode(), rsa), ("token-malformed", "token-claim"),
                    "duplicate JSON members refused")
    twice = json.dumps(good()).replace('"subscribe"', '"subscribe":[],"subscribe"').encode()
    refused(server, token(twice, rsa), ("token-malformed", "token-claim"), "duplicate JSON members refused")
    refused(server, token(good(filler="x" * 20_000), rsa), "token-malformed", "lengths are checked first")
    for size in (70_000, 1 << 20):
        answer = ask(server, "GET", TARGET, bearer="x" * size)
        server.checks.expect(answer.status in (401, 431), f"{answer.status} to {size} bytes",
                             "lengths are checked first")


def times(server, rsa):
    now = int(time.time())
    for more in ({"exp": now - 30}, {"nbf": now + 30}, {"iat": now + 30}, {"exp": now + 600.5}, {"iat": None},
                 {"nbf": now - 9}):
        taken(server, token(good(**more), rsa), "leeway 60 s")
    for more, code in (
        ({"exp": now - 90}, "token-expired"), ({"exp": 0}, "token-expired"), ({"exp": None}, "token-expired"),
        ({"exp": -1}, ("token-expired", "token-malformed")),
        ({"nbf": now + 90}, "token-early"), ({"iat": now + 90}, "token-early"), ({"nbf": 99999999999}, "token-early"),
        ({"exp": now - 3600, "iat": now - 7200}, "token-expired"),
    ):
        refused(server, token(good(**more), rsa), code, TOKENS)
    for name in ("exp", "nbf", "iat"):
        for odd in (str(now + 600), True, [now + 600], {"a": 1}):
            refused(server, token(good(**{name: odd}), rsa), None, f"a {name} that is no number is not checked")
    for odd in ("1e999", "-1e999", "1e308", "9223372036854775807", "9223372036854775808", "18446744073709551616",
                "-9223372036854775809", "1e-400", "9" * 400):
        for name in ("exp", "nbf", "iat"):
            body = json.dumps(good(**{name: "ODD"})).replace('"ODD"', odd).encode()
            answer = ask(server, "GET", TARGET, bearer=token(body, rsa))
            server.checks.expect(answer.status in (200, 401), answer.report(),
                                 "no traps or unchecked arithmetic on anything from outside")


def audiences(server, rsa):
    taken(server, token(good(aud=["x", "hub"]), rsa), "`aud` is a non-empty string or list")
    for aud in (None, "", [], [""], "other", ["other", "x"], "HUB", "hub ", "hu", "hubs", "hub,other", "hub other", 1,
                {"hub": 1}, [["hub"]], True, "h\u0075\u0301b"):
        refused(server, token(good(aud=aud), rsa), ("token-audience", "token-claim", "token-malformed"), TOKENS)
    for aud in (None, "", [], "other", ["other"]):
        refused(server, token(good(aud=aud), rsa), "token-audience", TOKENS)
    for issuer in (None, "", "https://issuer/", "HTTPS://issuer", "https://issuer.evil", "https://issue",
                   "http://issuer"):
        refused(server, token(good(iss=issuer), rsa), "token-issuer", TOKENS)
    for issuer in (["https://issuer"], 1, {"https://issuer": 1}, True):
        refused(server, token(good(iss=issuer), rsa), ("token-issuer", "token-claim", "token-malformed"), TOKENS)


def subjects_and_rights(server, rsa):
    because = "`sub` is required, 1 to 255 bytes"
    for sub in ("*", "x" * 255, "\u00e9" * 127, "a b", "a/b", "../x"):
        taken(server, token(good(sub=sub), rsa), because)
    for sub in (None, "", "x" * 256, "\u00e9" * 128, 7, ["alice"], {"a": 1}, True):
        refused(server, token(good(sub=sub), rsa), "token-claim", because)
    because = "Rights that cannot be read: 401 `token-claim`"
    for rights in ("own/1", [], 1, True, {"subscribe": "own/1"}, {"subscribe": {"match": "**"}}, {"subscribe": [1]},
                   {"subscribe": [["own/1"]]},
                   {"subscribe": [{"match": 1}]}, {"subscribe": [{"topic": "own/1"}]},
                   {"subscribe": ["own/1"], "operate": "true"},
                   {"subscribe": ["own/1"], "operate": 1}, {"publish": ["own/1", {}], "subscribe": ["own/1"]},
                   {"subscribe": ["own/1", "a\u0000"]}):
        refused(server, token(good(plinth=rights), rsa), "token-claim", because)
    for rights in ({"subscribe": ["own/1"], "unknown": [1]}, {"subscribe": ["own/1"], "operate": False}):
        taken(server, token(good(plinth=rights), rsa), "unknown members ignored")


def fields(server, rsa):
    checks, text = server.checks, token(good(), rsa)
    judged = "A request with a credential is judged by it alone"
    for value in (f"bearer {text}", f"BEARER {text}"):
        checks.answer(ask(server, "GET", TARGET, {"Authorization": value}), 200,
                      because="RFC 7235: the scheme is not case-sensitive")
    for value in ("Bearer", "Bearer ", f"Basic {base64.b64encode(b'a:b').decode()}", text, f"Token {text}",
                  f"Bearer {text} x", f"Bearer {text}, Bearer {text}", f"Bearer \"{text}\"", f"Bearer={text}",
                  f"Bearer\t{text}x", [f"Bearer {text}", f"Bearer {text}"], ["Bearer x", f"Bearer {text}"],
                  [f"Bearer {text}", "Basic YTpi"]):
        answer = ask(server, "GET", TARGET, {"Authorization": value})
        checks.expect(answer.status in (400, 401), answer.report(), judged)
    for name in ("access_token", "token", "authorization", "jwt"):
        checks.answer(ask(server, "GET", f"{TARGET}&{name}={text}"), 401, "unauthorized",
                      "a credential is `Authorization` or the cookie")
    for name in ("X-Authorization", "Proxy-Authorization", "X-Forwarded-Authorization", "X-Forwarded-User"):
        checks.answer(ask(server, "GET", TARGET, {name: f"Bearer {text}"}), 401, "unauthorized",
                      "a credential is `Authorization` or the cookie")
