"""relay.py TARGET - stands between a gateway and a PostgreSQL server on that port of 127.0.0.1.

Prints "listening PORT", then "accepted" for each connection.  A line on stdin: "farewell" says to every
client that the server ends its session, and keeps the connections open; it prints "farewell" when all
have been told.
"""
import socket
import struct
import sys
import threading

clients = []
lock = threading.Lock()


def say(text):
    with lock:
        print(text, flush=True)


def pump(source, sink):
    try:
        while True:
            got = source.recv(65536)
            if not got:
                break
            sink.sendall(got)
    except OSError:
        pass
    for s in (source, sink):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client, target):
    server = socket.create_connection(("127.0.0.1", target))
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    pump(client, server)


def accept(listener, target):
    while True:
        client, _ = listener.accept()
        clients.append(client)
        say("accepted")
        threading.Thread(target=serve, args=(client, target), daemon=True).start()


def farewell():
    body = b"SFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
    for client in clients:
        try:
            client.sendall(b"E" + struct.pack("!I", len(body) + 4) + body)
        except OSError:
            pass
    say("farewell")


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    say(f"listening {listener.getsockname()[1]}")
    threading.Thread(target=accept, args=(listener, int(sys.argv[1])), daemon=True).start()
    for line in sys.stdin:
        if line.strip() == "farewell":
            farewell()


main()
