"""asker.py PORT STOP - asks a service all the time, over new connections and over kept ones.

Makes the file STOP.begun when each way of asking was answered once.  When the file STOP is there it asks
each way once more and ends; says "ASKED ANSWERED RELEASE..." and what went wrong, if anything.
"""

import http.client
import os
import sys
import threading

PORT, STOP = int(sys.argv[1]), sys.argv[2]
LOCK = threading.Lock()
WAYS = [(path, keep) for path in ("/", "/slow") for keep in (False, True)]
asked, answered, releases, wrong, begun = 0, 0, set(), [], set()


def connect():
    return http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)


def begins(way):
    if way not in begun:
        begun.add(way)
        if len(begun) == len(WAYS):
            open(f"{STOP}.begun", "w", encoding="ascii").close()


def ask(connection, path, keep):
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
            begins((path, keep))
        else:
            wrong.append(f"{response.status} {text}")
    return response.will_close


def keep_asking(path, keep):
    connection, last = None, False
    while not last:
        last = os.path.exists(STOP)
        connection = connection or connect()
        try:
            over = ask(connection, path, keep)
        except (OSError, http.client.HTTPException) as why:
            with LOCK:
                wrong.append(repr(why))
            over = True
        if over or not keep:
            connection.close()
            connection = None


threads = [threading.Thread(target=keep_asking, args=way) for way in WAYS]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("asked" if asked else "idle", "all answered" if asked == answered else "not all answered", *sorted(releases))
for line in wrong[:10]:
    print(line)
