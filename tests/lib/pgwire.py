"""pgwire - the PostgreSQL protocol by hand, for tests: what no client library would send.

    c = Session(dsn)            logged in by SCRAM; dsn is a URI of `route resolve`, or Session.raw(host, port)
    c.send(query("SELECT 1"), sync())
    c.until("Z")                the messages up to and including that one, as (type, body)
    c.says("Z")                 the same as one text: "T D=1 C=SELECT 1 Z=I"

Texts of errors stand as E=SQLSTATE:message.
"""
import base64
import hashlib
import hmac
import os
import socket
import struct
import urllib.parse


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def text(value):
    return value.encode() + b"\0"


def query(sql):
    return message("Q", text(sql))


def parse(name, sql, types=()):
    return message("P", text(name) + text(sql) + struct.pack("!H", len(types)) +
                   b"".join(struct.pack("!I", t) for t in types))


def bind(portal, name, values=()):
    body = text(portal) + text(name) + struct.pack("!HH", 0, len(values))
    for value in values:
        raw = value.encode()
        body += struct.pack("!I", len(raw)) + raw
    return message("B", body + struct.pack("!H", 0))


def describe(kind, name):
    return message("D", kind.encode() + text(name))


def execute(portal="", rows=0):
    return message("E", text(portal) + struct.pack("!I", rows))


def close(kind, name):
    return message("C", kind.encode() + text(name))


def sync():
    return message("S")


def flush():
    return message("H")


def startup(params, version=196608):
    body = struct.pack("!I", version) + b"".join(text(k) + text(v) for k, v in params) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def error(body):
    fields = {f[:1]: f[1:] for f in body.split(b"\0") if f}
    return (fields.get(b"C", b"") + b":" + fields.get(b"M", b"")).decode()


def shown(kind, body):
    if kind in "EN":
        return kind + "=" + error(body)
    if kind == "Z":
        return "Z=" + body.decode()
    if kind == "C":
        return "C=" + body[:-1].decode()
    if kind == "D":
        count, at, values = struct.unpack("!H", body[:2])[0], 2, []
        for _ in range(count):
            size = struct.unpack("!i", body[at:at + 4])[0]
            at += 4
            values.append("null" if size < 0 else body[at:at + size].decode())
            at += max(size, 0)
        return "D=" + ",".join(values)
    if kind == "A":
        return "A=" + body[4:].replace(b"\0", b" ").decode().strip()
    return kind


class Gone(Exception):
    """The other end has closed the connection."""


class Session:
    def __init__(self, dsn=None, settings=(), version=196608, log_in=True, password=None, timeout=60):
        self.key = self.pid = None
        self.settings, self.noticed, self.negotiated = {}, [], None
        if dsn is None:
            return
        uri = urllib.parse.urlsplit(dsn)
        self.host, self.port, self.user = uri.hostname, uri.port, urllib.parse.unquote(uri.username)
        self.database = uri.path[1:]
        passfile = urllib.parse.parse_qs(uri.query)["passfile"][0]
        with open(passfile) as f:
            self.password = f.readline().rstrip("\n").split(":", 4)[4]
        if password is not None:
            self.password = password
        self.connect(timeout)
        if log_in:
            self.log_in(settings, version)

    @classmethod
    def raw(cls, host, port, timeout=60):
        self = cls()
        self.host, self.port = host, port
        self.connect(timeout)
        return self

    def connect(self, timeout=60):
        self.sock = socket.create_connection((self.host, self.port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, *messages):
        self.sock.sendall(b"".join(messages))

    def read(self, n):
        while len(self.buffer) < n:
            try:
                got = self.sock.recv(1 << 16)
            except ConnectionResetError:
                got = b""
            if not got:
                raise Gone(self.buffer)
            self.buffer += got
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def receive(self):
        head = self.read(5)
        return chr(head[0]), self.read(struct.unpack("!I", head[1:])[0] - 4)

    def until(self, last):
        out = []
        while not out or out[-1][0] not in last:
            out.append(self.receive())
        return out

    def says(self, last="Z"):
        return " ".join(shown(*m) for m in self.until(last) if m[0] != "S")

    def ask(self, sql):
        self.send(query(sql))
        return self.says()

    def at_end(self):
        """What comes before the connection is closed."""
        out = []
        try:
            while True:
                out.append(shown(*self.receive()))
        except Gone:
            return " ".join(out)

    def close(self):
        self.sock.close()

    # SCRAM, in steps, so that each can be spoilt

    def first(self, settings=(), version=196608):
        self.send(startup([("user", self.user), ("database", self.database), *settings], version))
        kind, body = self.receive()
        if kind == "v":
            self.negotiated = body
            kind, body = self.receive()
        if kind == "E":
            raise Gone(error(body))
        assert (kind, body[:4]) == ("R", b"\0\0\0\x0a"), (kind, body)

    def nonce(self):
        self.own = base64.b64encode(os.urandom(18)).decode()
        self.bare = f"n=,r={self.own}"
        first = ("n,," + self.bare).encode()
        self.send(message("p", text("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
        kind, body = self.receive()
        if kind == "E":
            raise Gone(error(body))
        self.challenge = body[4:].decode()

    def final(self, nonce=None):
        parts = dict(p.split("=", 1) for p in self.challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(parts["s"]),
                                     int(parts["i"]))
        def mac(key, what):
            return hmac.new(key, what, "sha256").digest()
        key = mac(salted, b"Client Key")
        without = f"c=biws,r={nonce or parts['r']}"
        signed = f"{self.bare},{self.challenge},{without}".encode()
        signature = mac(hashlib.sha256(key).digest(), signed)
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        return f"{without},p={proof}".encode()

    def log_in(self, settings=(), version=196608):
        self.first(settings, version)
        self.nonce()
        self.send(message("p", self.final()))
        for kind, body in self.until("ZE"):
            if kind == "E":
                raise Gone(error(body))
            if kind == "K":
                self.pid, self.key = struct.unpack("!I", body[:4])[0], body[4:]
            if kind == "S":
                name, value = body.split(b"\0")[:2]
                self.settings[name.decode()] = value.decode()
