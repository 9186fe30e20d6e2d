"""fakeserver.py PORT TARGET - what stands where a PostgreSQL server is expected, and misbehaves.

Reads the way to behave from stdin, a word a line, and prints it back when it is in force:
  relay            everything goes to TARGET (a port of 127.0.0.1) and back
  hang             takes connections and says nothing
  refuse           closes each at once
  cut N            closes when the real server has said N bytes
  ready            logs in by relay; behind the first ReadyForQuery, in the same packet, it says farewell
  cleartext md5 nothing sasl-other nonce-long nonce-other signature garbage long error-bare zero
  final-first final-second ok-second sasl-twice challenge-twice ok-unsigned salts
                   say this in place of the login
  after WORD       logs in by relay; at the first Query afterwards says WORD: extra-z row stray-error long
                   garbage error-bare
"""
import base64
import os
import socket
import struct
import sys
import threading

mode = ["relay"]
READY = b"Z\0\0\0\5I"


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def auth(code, more=b""):
    return message(b"R", struct.pack("!I", code) + more)


def startup(client):
    while True:
        head = client.recv(4, socket.MSG_WAITALL)
        body = client.recv(struct.unpack("!I", head)[0] - 4, socket.MSG_WAITALL)
        if body != struct.pack("!I", 80877103):
            return body
        client.sendall(b"N")


def reply(client):
    head = client.recv(5, socket.MSG_WAITALL)
    return client.recv(struct.unpack("!I", head[1:])[0] - 4, socket.MSG_WAITALL)


SASL = auth(10, b"SCRAM-SHA-256\0\0")
IN = auth(0) + message(b"K", b"\0" * 8) + message(b"Z", b"I")
ZEROS = auth(12, b"v=" + base64.b64encode(b"\0" * 32))
FAREWELL = message(b"E", b"SFATAL\0C57P01\0Mgoing down\0\0")


def challenge(client, nonce=None, salt=b"0123456789abcdef", rounds=b"4096"):
    first = reply(client)
    own = first[first.index(b"r=") + 2:]
    return auth(11, b"r=" + (nonce(own) if nonce else own + b"server") + b",s=" + base64.b64encode(salt) +
                b",i=" + rounds)


def scram(client, nonce=None, signature=None):
    client.sendall(SASL)
    client.sendall(challenge(client, nonce))
    if signature:
        reply(client)
        client.sendall(auth(12, signature) + IN)


def first_then(client, *answers):
    client.sendall(SASL)
    first = challenge(client)
    client.sendall(b"".join(a(first) if callable(a) else a for a in answers))


def salts(client):
    client.sendall(SASL)
    client.sendall(challenge(client, None, os.urandom(16), b"65536"))
    reply(client)
    client.shutdown(socket.SHUT_RDWR)


LOGINS = {
    "cleartext": lambda c: c.sendall(auth(3)),
    "md5": lambda c: c.sendall(auth(5, b"salt")),
    "nothing": lambda c: c.sendall(auth(0) + message(b"K", b"\0" * 8) + message(b"Z", b"I")),
    "sasl-other": lambda c: c.sendall(auth(10, b"PLAIN\0\0")),
    "nonce-long": lambda c: scram(c, lambda own: own + b"x" * 20000),
    "nonce-other": lambda c: scram(c, lambda own: b"other" + own),
    "signature": lambda c: scram(c, None, b"v=" + base64.b64encode(b"0" * 32)),
    "garbage": lambda c: c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "long": lambda c: c.sendall(b"R\x7f\xff\xff\xff" + b"x" * 100000),
    "zero": lambda c: c.sendall(b"R\0\0\0\0"),
    "error-bare": lambda c: c.sendall(message(b"E", b"\0")),
    # a signature of nothing, where none has been asked for yet
    "final-first": lambda c: c.sendall(ZEROS + IN),
    "final-second": lambda c: first_then(c, ZEROS + IN),
    "ok-second": lambda c: first_then(c, IN),
    "sasl-twice": lambda c: first_then(c, SASL),
    "challenge-twice": lambda c: first_then(c, lambda first: first + first),
    "ok-unsigned": lambda c: (scram(c), reply(c), c.sendall(IN)),
    "salts": salts,
}
AFTER = {
    "extra-z": message(b"Z", b"I") * 2,
    "row": message(b"C", b"SELECT 1\0") + message(b"Z", b"I") + message(b"D", b"\0\1\0\0\0\1x"),
    "stray-error": message(b"C", b"SELECT 1\0") + message(b"Z", b"I") +
        message(b"E", b"SERROR\0C22012\0Mstray\0\0"),
    "long": b"D\x7f\xff\xff\xff",
    "zero": b"C\0\0\0\1",
    "garbage": b"\xff\xfe\0\0\0\5x",
    "error-bare": message(b"E", b"\0") + message(b"Z", b"I"),
    "error-cut": message(b"E", b"SERROR\0Mno end"),
    "status": message(b"C", b"SELECT 1\0") + message(b"Z", b"Q"),
    "eof": b"",
}


def pump(source, sink, limit=None, at_query=None, at_ready=None):
    try:
        while True:
            got = source.recv(65536)
            if not got:
                break
            if at_query is not None and got[:1] == b"Q":
                source.sendall(AFTER[at_query])
                break
            if limit is not None:
                got, limit = got[:limit], limit - len(got)
            end = got.find(READY) if at_ready else -1
            if end >= 0:
                sink.sendall(got[:end + len(READY)] + at_ready)
                break
            sink.sendall(got)
            if limit is not None and limit <= 0:
                break
    except OSError:
        pass
    for s in (source, sink):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def relay(client, target, limit=None, at_query=None, at_ready=None):
    server = socket.create_connection(("127.0.0.1", target))
    threading.Thread(target=pump, args=(server, client, limit, None, at_ready), daemon=True).start()
    pump(client, server, None, at_query)


def serve(client, target):
    words = mode[0].split()
    try:
        if words[0] == "relay":
            relay(client, target)
        elif words[0] == "cut":
            relay(client, target, int(words[1]))
        elif words[0] == "ready":
            relay(client, target, None, None, FAREWELL)
        elif words[0] == "after":
            relay(client, target, None, words[1])
        elif words[0] == "hang":
            while client.recv(65536):
                pass
        elif words[0] in LOGINS:
            startup(client)
            LOGINS[words[0]](client)
            while client.recv(65536)[:1] not in (b"", b"Q"):  # who believes it is left alone
                pass
    except (OSError, struct.error):
        pass
    client.close()


def accept(listener, target):
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, target), daemon=True).start()


def main():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    print("listening", listener.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(listener, int(sys.argv[2])), daemon=True).start()
    for line in sys.stdin:
        mode[0] = line.strip()
        print(mode[0], flush=True)


main()
