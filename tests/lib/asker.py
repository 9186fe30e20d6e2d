"""asker.py PORT STOP - asks a service all the time, over new connections and over kept ones.

Ends when the file STOP is there; says "ASKED ANSWERED RELEASE..." and what went wrong, if anything.
"""

import http.client
import os
import sys
import threading

PORT, STOP = int(sys.argv[1]), sys.argv[2]
LOCK = threading.Lock()
asked, answered, releases, wrong = 0, 0, set(), []


def connect():
    return http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)


def ask(connection, path):
    global asked, answered
    with LOCK:
        asked += 1
    connection.request("GET", path)
    response = connection.getresponse()
    text = response.read().decode()
    with LOCK:
        if response.status == 200:
            answered += 1
            releases.add(text.split()[0])
        else:
            wrong.append(f"{response.status} {text}")
    return response.will_close


def keep_asking(path, keep):
    connection = None
    while not os.path.exists(STOP):
        connection = connection or connect()
        try:
            over = ask(connection, path)
        except (OSError, http.client.HTTPException) as why:
            with LOCK:
                wrong.append(repr(why))
            over = True
        if over or not keep:
            connection.close()
            connection = None


threads = [
    threading.Thread(target=keep_asking, args=(path, keep)) for path in ("/", "/slow") for keep in (False, True)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("asked" if asked else "idle", "all answered" if asked == answered else "not all answered", *sorted(releases))
for line in wrong[:10]:
    print(line)
