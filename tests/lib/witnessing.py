"""witnessing.py - logs, clients and witnesses of C2SP tlog-witness, written from the specifications alone.

It shares nothing with Copyhold but the formats: hashes are hashlib's, signatures are OpenSSL's.

  key FILE NAME TYPE                    makes a key (TYPE 1: a log's, 4: a witness's), prints its verifier key
  request FILE NAME OLD SIZE [FORK]     a request of a log with leaves "0", "1"...; from FORK on it has others
  cosigned VKEY                         standard input: a checkpoint and further lines; prints the time that VKEY says
  serve FILE NAME STATE LOG_VKEY...     a witness on a free port of 127.0.0.1; prints its address
"""

import base64
import ctypes
import hashlib
import http.server
import json
import os
import sys
import time

ED25519 = 1087  # EVP_PKEY_ED25519

crypto = ctypes.CDLL("libcrypto.so.3")
for function in ("EVP_PKEY_new_raw_private_key", "EVP_PKEY_new_raw_public_key", "EVP_MD_CTX_new"):
    getattr(crypto, function).restype = ctypes.c_void_p


# --- keys and signatures ---------------------------------------------------------------


def private_key(seed):
    key = crypto.EVP_PKEY_new_raw_private_key(ED25519, None, seed, ctypes.c_size_t(len(seed)))
    assert key
    return ctypes.c_void_p(key)


def public_of(seed):
    out, size = ctypes.create_string_buffer(32), ctypes.c_size_t(32)
    key = private_key(seed)
    assert crypto.EVP_PKEY_get_raw_public_key(key, out, ctypes.byref(size)) == 1
    crypto.EVP_PKEY_free(key)
    return out.raw[: size.value]


def sign(seed, message):
    out, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
    key, context = private_key(seed), ctypes.c_void_p(crypto.EVP_MD_CTX_new())
    assert crypto.EVP_DigestSignInit(context, None, None, None, key) == 1
    assert crypto.EVP_DigestSign(context, out, ctypes.byref(size), message, ctypes.c_size_t(len(message))) == 1
    crypto.EVP_MD_CTX_free(context)
    crypto.EVP_PKEY_free(key)
    return out.raw[: size.value]


def verifies(public, message, signature):
    key = crypto.EVP_PKEY_new_raw_public_key(ED25519, None, public, ctypes.c_size_t(len(public)))
    if not key:
        return False
    key, context = ctypes.c_void_p(key), ctypes.c_void_p(crypto.EVP_MD_CTX_new())
    assert crypto.EVP_DigestVerifyInit(context, None, None, None, key) == 1
    sizes = ctypes.c_size_t(len(signature)), ctypes.c_size_t(len(message))
    right = crypto.EVP_DigestVerify(context, signature, sizes[0], message, sizes[1])
    crypto.EVP_MD_CTX_free(context)
    crypto.EVP_PKEY_free(key)
    return right == 1


def key_id(name, kind, public):
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def vkey(name, kind, public):
    return f"{name}+{key_id(name, kind, public).hex()}+{base64.b64encode(bytes([kind]) + public).decode()}"


def read_vkey(text):
    name, number, data = text.split("+", 2)
    data = base64.b64decode(data, validate=True)
    assert key_id(name, data[0], data[1:]).hex() == number
    return name, data[0], data[1:]


def read_seed(path):
    with open(path, "rb") as file:
        return file.read()


def line_of(name, kind, public, signature):
    return f"— {name} {base64.b64encode(key_id(name, kind, public) + signature).decode()}\n"


# --- trees: RFC 6962, 2.1, as it is written there ----------------------------------------


def sha(data):
    return hashlib.sha256(data).digest()


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def root(leaves):
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return sha(b"\0" + leaves[0])
    k = split(len(leaves))
    return sha(b"\1" + root(leaves[:k]) + root(leaves[k:]))


def subproof(m, leaves, whole):
    if m == len(leaves):
        return [] if whole else [root(leaves)]
    k = split(len(leaves))
    if m <= k:
        return subproof(m, leaves[:k], whole) + [root(leaves[k:])]
    return subproof(m - k, leaves[k:], False) + [root(leaves[:k])]


def extends(m, old, n, new, proof):
    """RFC 9162, 2.1.4.2."""
    if m == n:
        return not proof and old == new
    if m == 0:
        return not proof
    if not proof:
        return False
    path = ([old] if m & (m - 1) == 0 else []) + proof
    fn, sn = m - 1, n - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = sha(b"\1" + c + fr), sha(b"\1" + c + sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = sha(b"\1" + sr + c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == old and sr == new


# --- notes -----------------------------------------------------------------------------


def split_note(text):
    body, lines = text.rsplit("\n\n", 1)
    signatures = []
    for line in lines.splitlines():
        dash, name, data = line.split(" ")
        assert dash == "—"
        data = base64.b64decode(data, validate=True)
        signatures.append((name, data[:4], data[4:]))
    return body + "\n", signatures


def cosigned_message(body, when):
    return f"cosignature/v1\ntime {when}\n{body}".encode()


def signed_by(text, key):
    """The time of a cosignature, 0 of a plain signature, None if there is none."""
    name, kind, public = read_vkey(key)
    body, signatures = split_note(text)
    for other, number, data in signatures:
        if other != name or number != key_id(name, kind, public):
            continue
        if kind == 1:
            return 0 if verifies(public, body.encode(), data) else None
        when = int.from_bytes(data[:8], "big")
        return when if verifies(public, cosigned_message(body, when), data[8:]) else None
    return None


# --- the verbs ---------------------------------------------------------------------------


def make_key(path, name, kind):
    seed = os.urandom(32)
    with open(path, "wb") as file:
        file.write(seed)
    print(vkey(name, int(kind), public_of(seed)))


def request(path, name, old, size, fork="1000000"):
    old, size, seed = int(old), int(size), read_seed(path)
    leaves = [(b"%d" if i < int(fork) else b"other %d") % i for i in range(size)]
    body = f"{name}\n{size}\n{base64.b64encode(root(leaves)).decode()}\n"
    proof = subproof(old, leaves, True) if 0 < old <= size else []
    sys.stdout.write(f"old {old}\n")
    for one in proof:
        sys.stdout.write(base64.b64encode(one).decode() + "\n")
    sys.stdout.write(f"\n{body}\n{line_of(name, 1, public_of(seed), sign(seed, body.encode()))}")


def cosigned(key):
    when = signed_by(sys.stdin.read(), key)
    if when is None:
        sys.exit("not signed")
    print(when)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def reply(self, status, text, kind="text/plain"):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except ConnectionError:  # who asked has not waited
            self.close_connection = True

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path != "/add-checkpoint":
            return self.reply(404, "no such path\n")
        head, note = text.split("\n\n", 1)
        first, *lines = head.split("\n")
        old = int(first.removeprefix("old "))
        proof = [base64.b64decode(line, validate=True) for line in lines]
        body, _ = split_note(note)
        origin, size, digest = body.splitlines()[:3]
        size, digest = int(size), base64.b64decode(digest, validate=True)
        if origin not in self.server.logs:
            return self.reply(404, "unknown log\n")
        if signed_by(note, self.server.logs[origin]) is None:
            return self.reply(403, "unknown key\n")
        if old > size or len(proof) > 63:
            return self.reply(400, "bad request\n")
        known, known_root = self.server.state.get(origin, (0, sha(b"").hex()))
        if old != known or (size == known and digest.hex() != known_root):
            return self.reply(409, f"{known}\n", "text/x.tlog.size")
        if not extends(known, bytes.fromhex(known_root), size, digest, proof):
            return self.reply(422, "bad proof\n")
        self.server.keep(origin, size, digest)
        return self.reply(200, self.server.cosign(body))


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, path, name, state, keys):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seed, self.name, self.path = read_seed(path), name, state
        self.logs = {read_vkey(key)[0]: key for key in keys}
        self.state = {}
        if os.path.exists(state):
            with open(state, encoding="utf-8") as file:
                self.state = json.load(file)

    def keep(self, origin, size, digest):
        self.state[origin] = (size, digest.hex())
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.state, file)
        os.rename(self.path + ".new", self.path)

    def cosign(self, body):
        when = int(time.time())
        signature = when.to_bytes(8, "big") + sign(self.seed, cosigned_message(body, when))
        # Lines of keys that nobody asked for are to be ignored.
        stranger = line_of("stranger.example", 4, bytes(32), bytes(72))
        return stranger + line_of(self.name, 4, public_of(self.seed), signature)


def serve(path, name, state, *keys):
    server = Server(path, name, state, keys)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    {"key": make_key, "request": request, "cosigned": cosigned, "serve": serve}[sys.argv[1]](*sys.argv[2:])
