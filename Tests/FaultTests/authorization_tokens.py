# SPDX-License-Identifier: Apache-2.0
"""Keys, and tokens good and forged, for authorization.py: HMAC here, the other signatures by the `openssl` command."""

import base64
import hashlib
import hmac
import itertools
import json
import os
import subprocess
import time


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def match(pattern):
    """A pattern, as a claim writes it."""
    return {"match": pattern}


def claims(subject="alice", publish=(), subscribe=(), operate=None, lifetime=600, **more):
    """A token's claims; those given as None are left out."""
    now = int(time.time())
    rights = {"publish": list(publish), "subscribe": list(subscribe)}
    if operate is not None:
        rights["operate"] = operate
    found = {"sub": subject, "iat": now, "exp": now + lifetime, "plinth": rights, **more}
    return {name: value for name, value in found.items() if value is not None}


class Secret:
    """An HMAC key."""

    def __init__(self, data, algorithm="HS256"):
        self.data, self.algorithm = data, algorithm

    def sign(self, text, algorithm):
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
        return hmac.new(self.data, text, digest).digest()


class KeyPair:
    """A key pair in two PEM files."""

    _numbers = itertools.count()
    CURVES = {"ES256": ("P-256", 32), "ES384": ("P-384", 48), "ES512": ("P-521", 66)}

    def __init__(self, folder, algorithm, bits=2048):
        self.algorithm = algorithm
        number = next(self._numbers)
        self.private, self.public = (os.path.join(folder, f"{number}.{kind}.pem") for kind in ("private", "public"))
        if algorithm in self.CURVES:
            kind = ["EC", "-pkeyopt", f"ec_paramgen_curve:{self.CURVES[algorithm][0]}"]
        elif algorithm == "EdDSA":
            kind = ["ED25519"]
        else:
            kind = ["RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}"]
        _openssl("genpkey", "-algorithm", *kind, "-out", self.private)
        _openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)

    @property
    def pem(self):
        with open(self.public, "rb") as file:
            return file.read()

    @property
    def der(self):
        return _openssl("pkey", "-pubin", "-in", self.public, "-outform", "DER")

    def sign(self, text, algorithm):
        if algorithm == "EdDSA":
            path = f"{self.private}.{next(self._numbers)}"
            with open(path, "wb") as file:
                file.write(text)
            return _openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.private, "-in", path)
        options = []
        if algorithm.startswith("PS"):
            options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
        signature = _openssl("dgst", f"-sha{algorithm[2:]}", "-sign", self.private, *options, given=text)
        return _raw(signature, self.CURVES[algorithm][1]) if algorithm in self.CURVES else signature

    def jwk(self, **more):
        """The public key as a member of a key set."""
        if self.algorithm in self.CURVES:
            name, size = self.CURVES[self.algorithm]
            point = self.der[-2 * size:]
            found = {"kty": "EC", "crv": name, "x": base64url(point[:size]), "y": base64url(point[size:])}
        elif self.algorithm == "EdDSA":
            found = {"kty": "OKP", "crv": "Ed25519", "x": base64url(self.der[-32:])}
        else:
            text = _openssl("rsa", "-pubin", "-in", self.public, "-modulus", "-noout").decode()
            modulus = bytes.fromhex(text.strip().partition("=")[2])
            found = {"kty": "RSA", "n": base64url(modulus), "e": "AQAB"}
        return {**found, **more}


def _openssl(*arguments, given=None):
    return subprocess.run(["openssl", *arguments], input=given, check=True, capture_output=True).stdout


def _raw(der, size):
    """An ECDSA signature's two numbers, of a DER sequence of two integers."""
    at = 3 if der[1] & 0x80 else 2
    numbers = b""
    for _ in range(2):
        length = der[at + 1]
        numbers += der[at + 2:at + 2 + length].lstrip(b"\0").rjust(size, b"\0")
        at += 2 + length
    return numbers


def token(payload, key, algorithm=None, head=None, **fields):
    """A signed token; a payload or a head of bytes is taken as it is."""
    algorithm = algorithm or key.algorithm
    head = {"alg": algorithm, "typ": "JWT", **fields} if head is None else head
    parts = [base64url(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (head, payload)]
    text = ".".join(parts)
    return f"{text}.{base64url(key.sign(text.encode(), algorithm))}"


def certificate(folder):
    """A self-signed certificate for this machine, and its key."""
    names = os.path.join(folder, "server.certificate.pem"), os.path.join(folder, "server.key.pem")
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", names[1], "-out", names[0])
    return names
