# SPDX-License-Identifier: Apache-2.0
"""Each kind of key, sets of them in a file, and where the claim is, for authorization.py."""

import base64
import json

from authorization_forged import TARGET, TOKENS, good, refused, taken
from authorization_http import ask
from authorization_tokens import KeyPair, Secret, base64url, token


def run(world):
    rsa, other = KeyPair(world.folder, "RS256"), KeyPair(world.folder, "RS256")
    kinds(world, rsa)
    key_set(world, rsa, other)
    claim_path(world)


def kinds(world, rsa):
    """Each kind of key takes its own algorithm, and no other."""
    checks = world.checks
    for name in ("ES256", "ES384", "ES512", "EdDSA"):
        key = KeyPair(world.folder, name)
        with world.serve("--jwt-key", key.public) as server:
            text = token(good(), key)
            taken(server, text)
            refused(server, token(good(), rsa), "token-algorithm")
            for hmac_name in ("HS256", "HS512"):
                refused(server, token(good(), Secret(key.pem), hmac_name), "token-algorithm")
            refused(server, token(good(), KeyPair(world.folder, name)), "token-signature")
            head, payload, signature = text.split(".")
            size = len(base64.urlsafe_b64decode(signature + "=="))
            for odd in (bytes(size), b"\xff" * size, bytes(size - 1), b"", b"\x30\x06\x02\x01\x00\x02\x01\x00"):
                refused(server, f"{head}.{payload}.{base64url(odd)}", ("token-signature", "token-malformed"),
                        "a signature of zeros is none")
            for other in {"ES256", "ES384", "ES512", "EdDSA"} - {name}:
                refused(server, token(good(), KeyPair(world.folder, other)), "token-algorithm")
    for name in ("PS256", "RS512"):
        with world.serve("--jwt-key", rsa.public, "--jwt-algorithm", name) as server:
            taken(server, token(good(), rsa, name))
            for other in {"PS256", "PS384", "RS256", "RS512"} - {name}:
                refused(server, token(good(), rsa, other), "token-algorithm")
    for name in ("HS384", "HS512"):
        with world.serve_secret("--jwt-algorithm", name) as server:
            taken(server, token(good(), world.secret, name))
            refused(server, token(good(), world.secret, "HS256"), "token-algorithm")
            refused(server, token(good(), rsa), "token-algorithm")


def key_set(world, rsa, other):
    checks, folder = world.checks, world.folder
    curve, edwards = KeyPair(folder, "ES256"), KeyPair(folder, "EdDSA")
    encrypts, signs, small, wrong, second = (KeyPair(folder, "RS256", bits) for bits in (2048, 2048, 1024, 2048, 2048))
    shared = Secret(b"k" * 32)
    keys = [
        rsa.jwk(kid="r1"), curve.jwk(kid="e1", alg="ES256"), edwards.jwk(kid="ed", use="sig"),
        {"kty": "oct", "k": base64url(shared.data), "kid": "oct", "alg": "HS256"},
        encrypts.jwk(kid="enc", use="enc"), signs.jwk(kid="ops", key_ops=["sign"]), small.jwk(kid="small"),
        wrong.jwk(kid="wrong", alg="HS256"),
        {"kty": "XYZ", "kid": "kind"}, {**curve.jwk(kid="curve"), "crv": "secp256k1"},
        {"kty": "EC", "kid": "point", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "RSA", "kid": "bad", "n": "!!", "e": "AQAB"},
        {"kty": "RSA", "kid": "even", "n": base64url(b"\x80" + bytes(255)), "e": "AQAB"}, {"kid": "no"},
        {"kty": "RSA", "kid": "one", "n": rsa.jwk()["n"], "e": "AQ"},
    ]
    because = ("keys of `kty` `oct`, `use` other than `sig`, `key_ops` without `verify` are unusable in a set; "
               "unusable keys are skipped")
    path = world.file("set.json", json.dumps({"keys": keys}))
    unusable = ("token-key", "token-algorithm", "token-signature")
    with world.serve("--jwks", path, "--jwt-issuer", "https://issuer", "--jwt-audience", "hub") as server:
        for key, kid in ((rsa, "r1"), (curve, "e1"), (edwards, "ed")):
            taken(server, token(good(), key, kid=kid), because)
            taken(server, token(good(), key), "`kid`: required in a set unless just one key fits")
        for key, kid, name in ((shared, "oct", "HS256"), (encrypts, "enc", None), (signs, "ops", None),
                               (small, "small", None), (wrong, "wrong", None),
                               (rsa, "one", None), (curve, "curve", None), (curve, "point", None), (rsa, "bad", None),
                               (rsa, "no", None)):
            refused(server, token(good(), key, name, kid=kid), unusable, because)
        for data in (rsa.pem, rsa.der, shared.data, base64.urlsafe_b64decode(rsa.jwk()["n"] + "==")):
            for kid in ("r1", "wrong", "oct", "e1"):
                refused(server, token(good(), Secret(data), "HS256", kid=kid), unusable)
        refused(server, token(good(), rsa, "PS256", kid="r1"), "token-algorithm",
                "without `alg`: `--jwt-algorithm`, RS256")
        for kid in ("R1", "r1 ", "unknown", "", "r\u0031\u0301"):
            refused(server, token(good(), rsa, kid=kid), "token-key", "an unknown `kid` is refused")
        for kid in (1, None, ["r1"], {"r1": 1}):
            refused(server, token(good(), rsa, kid=kid), ("token-key", "token-malformed"),
                    "an unknown `kid` is refused")
        refused(server, token(good(), rsa, kid="e1"), "token-algorithm")
        refused(server, token(good(), curve, kid="r1"), "token-algorithm")
        refused(server, token(good(), other, kid="r1"), "token-signature")
        refused(server, token(good(iss="other"), rsa, kid="r1"), "token-issuer", TOKENS)
        refused(server, token(good(aud=None), rsa, kid="r1"), "token-audience", TOKENS)
        checks.expect("skip" in server.text.lower() or "enc" in server.text, server.text[-3000:],
                      "unusable keys are skipped with a log line")
    path = world.file("two.json", json.dumps({"keys": [rsa.jwk(kid="r1"), second.jwk(kid="r2")]}))
    with world.serve("--jwks", path, "--jwt-issuer", "https://issuer", "--jwt-audience", "hub") as server:
        refused(server, token(good(), rsa), "token-key", "`kid`: required in a set unless just one key fits")
        taken(server, token(good(), second, kid="r2"))
        refused(server, token(good(), second, kid="r1"), "token-signature")
    for name, content in (("duplicate.json", {"keys": [rsa.jwk(kid="r1"), second.jwk(kid="r1")]}),
                          ("list.json", [rsa.jwk()]), ("text.json", "no set")):
        world.refuses_start("--jwks", world.file(name, json.dumps(content)), "--jwt-issuer", "i", "--jwt-audience", "a",
                            names="jwks",
                            because="two keys of one `kid` refuse the set")


def claim_path(world):
    for path, wrap in (("https:~1~1example.org~1hub", lambda rights: {"https://example.org/hub": rights}),
                       ("a/b", lambda rights: {"a": {"b": rights}}),
                       ("x~0y", lambda rights: {"x~y": rights})):
        with world.serve_secret("--jwt-claim", path) as server:
            right = {"subscribe": ["own/1"]}
            taken(server, token({**good(plinth=None), **wrap(right)}, world.secret),
                  "Claim path: `--jwt-claim a/b`, escaped as RFC 6901")
            answer = ask(server, "GET", TARGET, bearer=token(good(), world.secret))
            server.checks.answer(answer, 403, "forbidden", "no claim: 403")
            refused(server, token({**good(plinth=None), **wrap("x")}, world.secret), "token-claim",
                    "Rights that cannot be read: 401")
