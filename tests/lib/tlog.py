"""tlog.py DIR [KEY [OLD-CHECKPOINT...]] - a second reader of a published log (C2SP tlog-tiles), which shares nothing with the first.

Reads checkpoint, tiles and entries of DIR, computes every hash of every level anew, and checks the
signatures of the checkpoint with openssl under KEY (default: the first line of DIR/key).  Each older
checkpoint must be of a tree that this one begins with.  Prints the entries, one a line; says what is
wrong and ends with 1.

tlog.py proof FILE ENTRY KEY - does a c2sp.org/tlog-proof hold for the bytes in the file ENTRY?
"""

import base64
import hashlib
import os
import struct
import subprocess
import sys
import tempfile


def wrong(what):
    sys.exit(f"tlog: {what}")


def leaf(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root(hashes):
    if not hashes:
        return hashlib.sha256(b"").digest()
    while len(hashes) > 1:
        hashes = [node(*hashes[i : i + 2]) if i + 1 < len(hashes) else hashes[i] for i in range(0, len(hashes), 2)]
    return hashes[0]


def path(kind, number, width):
    digits = f"{number:03d}"
    parts = []
    while len(digits) % 3:
        digits = "0" + digits
    for i in range(0, len(digits), 3):
        parts.append(("x" if i + 3 < len(digits) else "") + digits[i : i + 3])
    return f"tile/{kind}/{'/'.join(parts)}" + (f".p/{width}" if width < 256 else "")


def read(folder, name):
    try:
        with open(os.path.join(folder, name), "rb") as file:
            return file.read()
    except OSError as error:
        wrong(error)


def verify(key, message, signature):
    der = bytes.fromhex("302a300506032b6570032100") + key
    with tempfile.TemporaryDirectory() as temp:
        for name, data in (("key", der), ("message", message), ("signature", signature)):
            with open(os.path.join(temp, name), "wb") as file:
                file.write(data)
        return (
            subprocess.run(
                ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", f"{temp}/key"]
                + ["-rawin", "-in", f"{temp}/message", "-sigfile", f"{temp}/signature"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ).returncode
            == 0
        )


def checkpoint(text, vkey):
    name, number, key = vkey.strip().split("+", 2)
    key = base64.b64decode(key)
    body, _, signatures = text.rpartition(b"\n\n")
    body += b"\n"
    origin, size, hash64 = body.decode().splitlines()[:3]
    if origin != name:
        wrong(f"the checkpoint is of {origin}, not of {name}")
    if hashlib.sha256(f"{name}\n".encode() + key).digest()[:4].hex() != number:
        wrong("the key's id is not its own")
    good = 0
    for line in signatures.decode().splitlines():
        signer, sig = line.removeprefix("\u2014 ").split(" ")
        sig = base64.b64decode(sig)
        if signer != name:
            continue
        if sig[:4].hex() == number:
            if not verify(key[1:], body, sig[4:]):
                wrong("the log's signature does not hold")
            good += 1
        elif sig[:4] == hashlib.sha256(f"{name}\n".encode() + b"\4" + key[1:]).digest()[:4]:
            time = struct.unpack(">Q", sig[4:12])[0]
            if not verify(key[1:], f"cosignature/v1\ntime {time}\n".encode() + body, sig[12:]):
                wrong("the log's own cosignature does not hold")
            good += 1
    if good != 2:
        wrong(f"{good} signatures of the log instead of 2")
    return int(size), base64.b64decode(hash64)


def bundle(data, width):
    entries = []
    while data:
        (length,) = struct.unpack(">H", data[:2])
        entries.append(data[2 : 2 + length])
        if len(entries[-1]) != length:
            wrong("a bundle ends early")
        data = data[2 + length :]
    if len(entries) != width:
        wrong(f"a bundle has {len(entries)} entries instead of {width}")
    return entries


def log(folder, vkey=None, *older):
    vkey = vkey or read(folder, "key").decode().splitlines()[0]
    size, expected = checkpoint(read(folder, "checkpoint"), vkey)
    entries = []
    for n in range(0, size, 256):
        width = min(256, size - n)
        entries += bundle(read(folder, path("entries", n // 256, width)), width)
    hashes = [leaf(entry) for entry in entries]
    if root(hashes) != expected:
        wrong("the entries have another root than the checkpoint")
    level = 0
    while hashes:
        for n in range(0, len(hashes), 256):
            tile = hashes[n : n + 256]
            if read(folder, path(level, n // 256, len(tile))) != b"".join(tile):
                wrong(f"tile {n // 256} of level {level} has other hashes")
        hashes = [root(hashes[n : n + 256]) for n in range(0, len(hashes) - 255, 256)]
        level += 1
    for file in older:
        was, its_root = checkpoint(read("", file), vkey)
        if was > size or root([leaf(entry) for entry in entries[:was]]) != its_root:
            wrong(f"{file} is of a tree of {was} that is no part of this one")
    for entry in entries:
        sys.stdout.write(entry.decode() + "\n")


def proof(file, entry, vkey):
    text = read("", file)
    head, _, note = text.partition(b"\n\n")
    lines = head.decode().splitlines()
    if lines.pop(0) != "c2sp.org/tlog-proof@v1":
        wrong("this is no proof")
    data = read("", entry)
    if lines[0].startswith("extra "):
        if base64.b64decode(lines.pop(0)[6:]) != data:
            wrong("the proof speaks of another entry")
    index = int(lines.pop(0).removeprefix("index "))
    size, expected = checkpoint(note, vkey)
    at, last, total = index, size - 1, leaf(data)
    for line in lines:
        other = base64.b64decode(line)
        if at & 1 or at == last:
            total = node(other, total)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            total = node(total, other)
        at, last = at >> 1, last >> 1
    if last or total != expected:
        wrong("the proof does not hold")
    print(f"entry {index} of {size}")


if sys.argv[1] == "proof":
    proof(*sys.argv[2:])
else:
    log(*sys.argv[1:])
