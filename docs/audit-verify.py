#!/usr/bin/python3
"""audit-verify.py EVIDENCE.zip KEY-FILE - a second verifier of Copyhold's audit evidence.

Written from docs/audit-formats.md alone, with nothing but Python's own library,
for those who would rather read one page than trust a program.  It is slow, and
it does not look at page.html or at witnesses' policies.  Exit code 0: whole, and
signed by the key that was given.
"""

import base64
import hashlib
import hmac
import json
import re
import sys
import zipfile

MEMBERS = ["MANIFEST", "README.txt", "checkpoint", "events.jsonl", "export.json", "keys",
           "openings.jsonl", "page.html", "policy", "proof"]


def need(condition, what):
    if not condition:
        sys.exit(f"wrong: {what}")


# --- Ed25519 (RFC 8032, section 6) ---------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    s, t = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    u, v = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = t - s, v - u, v + u, t + s
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = add(result, point)
        point, n = add(point, point), n >> 1
    return result


def point_of(data):
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def genuine(public, message, signature):
    a, r, s = point_of(public), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    left, right = times(s, BASE), add(r, times(int.from_bytes(digest, "little") % ORDER, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and \
        (left[1] * right[2] - right[1] * left[2]) % P == 0


# --- keys and notes --------------------------------------------------------------------

def key_of(line):
    name, number, rest = line.split("+", 2)
    data = base64.b64decode(rest, validate=True)
    own = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    need(len(data) == 33 and own.hex() == number, "a key is malformed")
    return name, own, data[0], data[1:]


def note_of(data):
    text, blank, lines = data.decode().rpartition("\n\n")
    need(blank and lines.endswith("\n"), "a note is malformed")
    signatures = []
    for line in lines.splitlines():
        dash, name, rest = line.split(" ")
        need(dash == "\u2014", "a signature line is malformed")
        signatures.append((name, base64.b64decode(rest, validate=True)))
    return (text + "\n").encode(), signatures


def signed(note, key):
    """True or False, or the time of a cosignature."""
    text, signatures = note
    name, number, kind, public = key
    for who, data in signatures:
        if who != name or data[:4] != number:
            continue
        if kind == 1:
            return genuine(public, text, data[4:])
        at = int.from_bytes(data[4:12], "big")
        said = f"cosignature/v1\ntime {at}\n".encode() + text
        return at if genuine(public, said, data[12:]) else False
    return None


# --- the tree (RFC 6962) ------------------------------------------------------------------

def leaf(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def subtrees(begin, end):
    """The perfect aligned subtrees that make up [begin, end): their levels, left to right."""
    while begin < end:
        level = (end - begin).bit_length() - 1
        if begin:
            level = min(level, (begin & -begin).bit_length() - 1)
        yield level
        begin += 1 << level


def push(stack, level, node):
    while stack and stack[-1][0] == level:
        node, level = hashlib.sha256(b"\1" + stack.pop()[1] + node).digest(), level + 1
    stack.append((level, node))


def root_of(stack):
    if not stack:
        return hashlib.sha256(b"").digest()
    node = stack[-1][1]
    for _, left in reversed(stack[:-1]):
        node = hashlib.sha256(b"\1" + left + node).digest()
    return node


# --- the file ---------------------------------------------------------------------------------

def number_of(text):
    need(text.isdigit() and str(int(text)) == text, "a number is malformed")
    return int(text)


def read_proof(text):
    lines = text.decode().split("\n")
    need(lines[0] == "copyhold proof/1" and lines.pop() == "", "proof is malformed")
    origin, tree, events = lines[1], lines[2].split(" "), lines[3].split(" ")
    need([tree[0], events[0], len(tree), len(events)] == ["tree", "events", 2, 3], "proof is malformed")
    size, begin, end = number_of(tree[1]), number_of(events[1]), number_of(events[2])
    need(begin <= end <= size, "proof is malformed")
    sides, at = [], 4
    for word, first, last in ("left", 0, begin), ("right", end, size):
        levels = list(subtrees(first, last))
        need(lines[at] == f"{word} {len(levels)}", "proof is malformed")
        nodes = [base64.b64decode(line, validate=True) for line in lines[at + 1:at + 1 + len(levels)]]
        need(all(len(node) == 32 for node in nodes), "proof is malformed")
        sides.append(list(zip(levels, nodes)))
        at += 1 + len(levels)
    need(at == len(lines), "proof is malformed")
    return origin, size, begin, end, sides


def canonical(value):
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return re.sub(r"\\u....|\\.", lambda found: "\\" + found[0][1] + found[0][2:].upper(), text).encode()


def check_openings(lines, events, begin):
    last = None
    for line in lines:
        opening = json.loads(line)
        place = (opening["index"], opening["path"].encode())
        need(last is None or last < place, "openings are not in order")
        need(begin <= place[0] < begin + len(events), "an opening is of no event")
        value = json.loads(events[place[0] - begin])
        for step in opening["path"].split("."):
            value = value[step]
        commit = hmac.new(bytes.fromhex(opening["salt"]), opening["value"].encode(), "sha256")
        need(value == {"commit": commit.hexdigest()}, f"a value of event {place[0]} is another")
        last = place


def lines_of(data):
    need(data == b"" or data.endswith(b"\n"), "a member ends in the middle of a line")
    return data.split(b"\n")[:-1]


def main(path, key_file):
    with open(key_file, encoding="utf-8") as file:
        keys = [key_of(line) for line in file.read().splitlines() if line and line[0] != "#"]
    archive = zipfile.ZipFile(path)
    need(sorted(archive.namelist()) == MEMBERS, "members are missing, or there are others")
    members = {name: archive.read(name) for name in MEMBERS}

    manifest = note_of(members["MANIFEST"])
    mark, origin, *listed = manifest[0].decode().splitlines()
    need(mark == "copyhold evidence/1", "MANIFEST is malformed")
    key = [key for key in keys if key[0] == origin and key[2] == 1]
    need(key, "the key of this log was not given")
    need(signed(manifest, key[0]) is True, "MANIFEST is not signed by the key")
    need([line.split(" ")[0] for line in listed] == MEMBERS[1:], "MANIFEST is malformed")
    for name, size, digest in (line.split(" ") for line in listed):
        own = "tree" if name == "events.jsonl" else hashlib.sha256(members[name]).hexdigest()
        need(number_of(size) == len(members[name]) and digest == own, f"{name} is another")

    note = note_of(members["checkpoint"])
    need(signed(note, key[0]) is True, "checkpoint is not signed by the key")
    name, size, root = note[0].decode().splitlines()[:3]
    proof_origin, tree, begin, end, (left, right) = read_proof(members["proof"])
    asked = json.loads(members["export.json"])
    need(name == proof_origin == asked["origin"] == origin and number_of(size) == tree,
         "members are of several logs or trees")

    events, stack = lines_of(members["events.jsonl"]), []
    need(len(events) == end - begin, "events are missing, or there are others")
    for level, node in left:
        push(stack, level, node)
    for event in events:
        need(canonical(json.loads(event)) == event, "an event is not canonical")
        push(stack, 0, leaf(event))
    for level, node in right:
        push(stack, level, node)
    need(root_of(stack) == base64.b64decode(root, validate=True), "the events are not those of the tree")
    check_openings(lines_of(members["openings.jsonl"]), events, begin)

    at = [json.loads(event)["at"] for event in events]
    need(begin == 0 or (asked["since"] and at and at[0] < asked["since"]), "earlier events are missing")
    need(end == tree or (asked["until"] and at and at[-1] >= asked["until"]), "later events are missing")
    print(f"events {begin} to {end - 1} of {tree} in {origin}: all there, unchanged, in order")
    for line in members["keys"].decode().splitlines():
        when = signed(note, key_of(line))
        need(when is not False, "a signature under the checkpoint is wrong")
        if key_of(line)[2] == 4 and when is not None:
            print(f"cosigned by {key_of(line)[0]} at {when}")


main(*sys.argv[1:])
