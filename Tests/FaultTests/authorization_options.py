# SPDX-License-Identifier: Apache-2.0
"""Options that must refuse the start, for authorization.py."""

import json
import os

from authorization_tokens import KeyPair

USAGE = 64
KEY = "k" * 40


def line(key=KEY, **more):
    return f"{key} {json.dumps({'subject': 's', 'publish': ['a'], **more})}\n"


def run(world):
    file, folder = world.file, world.folder
    secret, rsa, curve = os.path.join(folder, "secret"), KeyPair(folder, "RS256"), KeyPair(folder, "ES256")
    small = KeyPair(folder, "RS256", 1024)
    public, both = file("as-secret", rsa.pem), ("--jwt-issuer", "i", "--jwt-audience", "a")
    key_set = file("good.json", json.dumps({"keys": [rsa.jwk(kid="a")]}))
    missing, good = os.path.join(folder, "missing"), ("--jwt-secret-file", secret)
    excluding = "PEM, secret and set exclude each other."
    contents = ("`--jwt-key` takes PEM only, `--jwt-secret-file` secrets only (refuses `-----BEGIN`); "
                "HMAC at least 32 bytes; RSA 2,048 to 8,192 bits")
    for options, name, because in (
        (("--jwt-key", rsa.public, *good), "jwt-", excluding),
        (("--jwt-key", rsa.public, "--jwks", key_set, *both), "jwks", excluding),
        (("--jwks", key_set, *both, *good), "jwks", excluding),
        (("--jwt-key", missing), "jwt-key", "a key that cannot be read refuses the start"),
        (("--jwt-key", secret), "jwt-key", contents), (("--jwt-key", key_set), "jwt-key", contents),
        (("--jwt-key", small.public), "jwt-key", contents),
        (("--jwt-key", file("empty", "")), "jwt-key", contents),
        (("--jwt-key", file("cut", rsa.pem[:200])), "jwt-key", contents),
        (("--jwt-secret-file", public), "jwt-secret-file", contents),
        (("--jwt-secret-file", rsa.private), "jwt-secret-file", contents),
        (("--jwt-secret-file", missing), "jwt-secret-file", "a secret that cannot be read refuses the start"),
        (("--jwt-secret-file", file("short", "s" * 31)), "jwt-secret-file", contents),
        (("--jwt-secret-file", file("none", "")), "jwt-secret-file", contents),
        (("--jwt-secret-file", file("line", "s" * 31 + "\n")), "jwt-secret-file",
         "Secret: the file's bytes, less one trailing line end."),
        ((*good, "--jwt-algorithm", "none"), "jwt-algorithm", "`--jwt-algorithm` where the key does not fix it"),
        ((*good, "--jwt-algorithm", "RS256"), "jwt-algorithm", "`--jwt-algorithm` where the key does not fix it"),
        ((*good, "--jwt-algorithm", ""), "jwt-algorithm", "`--jwt-algorithm` where the key does not fix it"),
        (("--jwt-key", rsa.public, "--jwt-algorithm", "HS256"), "jwt-algorithm", "algorithm confusion by option"),
        (("--jwt-key", rsa.public, "--jwt-algorithm", "ES256"), "jwt-algorithm",
         "`--jwt-algorithm` where the key does not fix it"),
        (("--jwt-key", curve.public, "--jwt-algorithm", "RS256"), "jwt-algorithm",
         "`--jwt-algorithm` where the key does not fix it"),
        (("--jwks", "http://127.0.0.1:1/keys", *both), "jwks", "A key set by URL: https"),
        (("--jwks", "ftp://127.0.0.1/keys", *both), "jwks", "A key set by URL: https"),
        (("--jwks", missing, *both), "jwks", "a set that cannot be read refuses the start"),
        (("--jwks", "https://127.0.0.1:1/keys", "--jwks-ca", missing, *both), "jwks-ca", "https (`--jwks-ca FILE`)"),
        (("--jwks", "https://127.0.0.1:1/keys", "--jwks-ca", secret, *both), "jwks-ca", "https (`--jwks-ca FILE`)"),
        (("--jwks", key_set, "--jwt-audience", "a"), "jwt-issuer",
         "With `--jwks` issuer and audience are required options"),
        (("--jwks", key_set, "--jwt-issuer", "i"), "jwt-audience",
         "With `--jwks` issuer and audience are required options"),
        ((*good, "--jwt-issuer", ""), "jwt-issuer", "`iss`, `aud` (never empty)"),
        (("--jwks", key_set, "--jwt-issuer", "", "--jwt-audience", ""), "jwt-issuer",
         "With `--jwks` issuer and audience are required options"),
        ((*good, "--jwt-audience", ""), "jwt-audience", "`iss`, `aud` (never empty)"),
        ((*good, "--jwt-leeway", "6m"), "jwt-leeway", "leeway at most 5 minutes"),
        ((*good, "--jwt-leeway", "301s"), "jwt-leeway", "leeway at most 5 minutes"),
        ((*good, "--jwt-leeway", "soon"), "jwt-leeway", "a time"),
        ((*good, "--jwt-leeway=-1s",), "jwt-leeway", "a time"),
        ((*good, "--jwt-claim", ""), "jwt-claim", "Claim path"),
        ((*good, "--jwt-claim", "a~2b"), "jwt-claim", "escaped as RFC 6901"),
        ((*good, "--jwt-maximum-lifetime", "0s"), "jwt-maximum-lifetime", "a lifetime"),
        ((*good, "--jwt-maximum-lifetime", "long"), "jwt-maximum-lifetime", "a lifetime"),
        (("--jwt-issuer", "i"), "jwt-issuer", "an option of tokens without a key must not start an open hub"),
        (("--jwt-audience", "a"), "jwt-audience", "an option of tokens without a key must not start an open hub"),
        (("--jwt-maximum-lifetime", "1h"), "jwt-maximum-lifetime",
         "an option of tokens without a key must not start an open hub"),
        (("--api-keys", missing), "api-keys", "a key file that cannot be read refuses the start"),
        (("--api-keys", file("readable", line(), 0o644)), "api-keys", "a file that others may read is refused"),
        ((*good, "--cookie", "a b"), "cookie", "a cookie's name"),
        ((*good, "--cookie", ""), "cookie", "a cookie's name"),
        ((*good, "--cookie", "a=b"), "cookie", "a cookie's name"),
        ((*good, "--cookie", "a;b"), "cookie", "a cookie's name"),
        ((*good, "--public-origin", "hub.example"), "public-origin", "an origin"),
        ((*good, "--public-origin", "null"), "public-origin", "`null` is not ours"),
        ((*good, "--public-origin", "https://hub.example/path"), "public-origin", "an origin"),
        ((*good, "--public-origin", "*"), "public-origin", "an origin"),
        ((*good, "--allow-origin", "*"), "allow-origin", "`*` is refused at start"),
        ((*good, "--allow-origin", "null"), "allow-origin", "an origin"),
        ((*good, "--allow-origin", ""), "allow-origin", "an origin"),
        ((*good, "--allow-origin", "https://a.example/x"), "allow-origin", "an origin"),
        ((*good, "--allow-origin", "https://*.example"), "allow-origin", "`*` is refused at start"),
        (("--allow-origin", "*"), "allow-origin", "`*` is refused at start"),
        ((*good, "--allow-anonymous", "operate"), "allow-anonymous", "publish|subscribe|all"),
        ((*good, "--allow-anonymous", ""), "allow-anonymous", "publish|subscribe|all"),
        (("--allow-anonymous", "everything"), "allow-anonymous", "publish|subscribe|all"),
        (("--host", "0.0.0.0"), "allow-anonymous",
         "Without an authorizer `plinth serve` listens on loopback only, unless told `--allow-anonymous`"),
        (("--host", "::"), "allow-anonymous",
         "Without an authorizer `plinth serve` listens on loopback only, unless told `--allow-anonymous`"),
        (("--host", "0.0.0.0", "--allow-origin", "https://a.example"), "allow-anonymous",
         "Without an authorizer … on loopback only"),
        (("--host", "0.0.0.0", "--public-origin", "https://a.example"), "allow-anonymous",
         "Without an authorizer … on loopback only"),
    ):
        world.refuses_start(*options, names=name, because=because, status=USAGE)
    bad_lines(world)
    for options in (("--host", "0.0.0.0", "--allow-anonymous", "all"), ("--host", "0.0.0.0", *good)):
        with world.serve(*options, grants="--allow-anonymous" not in options):
            world.checks.count("checks")
    log = world.serve("--jwt-secret-file", secret)
    world.checks.expect("issuer" in log.text and "audience" in log.text, log.text,
                        "with one's own key they are optional and a log line says that they are missing")
    log.close()


def bad_lines(world):
    """Each is the third line of its file."""
    because = "a bad line refuses the start and names its number"
    head = line("a" * 40) + line("b" * 40)
    for number, bad in enumerate((
        line("k" * 31), line("k" * 256), "k" * 40 + "\n", "k" * 40 + " {}\n", f"{KEY} not json\n",
        f"{KEY} {{\"publish\":[\"a\"]}}\n", f"{KEY} []\n",
        line(subject=""), line(subject="s" * 256), line(subject=7), line(publish="a"), line(publish=[{"match": "a*"}]),
        line(expires="soon"), line("sha256:abc"),
        line("sha256:" + "z" * 64), line("k" * 20 + "\u00e9" * 20), f"{KEY} {{\"subject\":\"s\",\"subject\":\"t\"}}\n",
        line("a" * 40, subject="again"),
    )):
        world.refuses_start("--api-keys", world.file(f"line{number}", head + bad), names="line 3", because=because,
                            status=USAGE)
        world.refuses_start("--api-keys", os.path.join(world.folder, f"line{number}"), names="api-keys",
                            because=because, status=USAGE)
