/*
 * worker_intern.h - a worker of the gateway: clients, their servers, the pools between
 * them.  One thread, one loop; everything below lives in one Worker.
 *
 *	client.c   a client from its first packet to the end
 *	take.c     what it says to its server
 *	names.c    its prepared statements
 *	login.c    a client's login
 *	proof.c    what both sides of a login prove, without a socket
 *	server.c   a server connection from dial to close; what it says
 *	dial.c     connecting to a server: TLS, login
 *	pool.c     which client has which server connection; caps, queues, gates
 *	settings.c what of a client's settings is said to it and to its server
 *	statement.c prepared statements that outlive a server connection
 *	guard.c    what pins a session, what is refused on guarded routes
 *	cancel.c   cancel requests
 *	report.c   what is told to people
 *	conn.c, queue.c  bytes that come, bytes that wait to be sent
 *
 * A server connection belongs to one (tenant, role) for life.  It changes hands
 * between clients of that pair only when nothing is owed on it (replies.h), it is
 * not in a transaction, and no cancel request is under way to it.
 */
#pragma once

#include "lib/adapters/loop.h"
#include "lib/adapters/stream.h"
#include "region/gateway/entry.h"
#include "region/gateway/link.h"
#include "region/gateway/replies.h"
#include "region/gateway/wire.h"
#include "region/gateway/words.h"
#include "region/gateway/worker.h"

typedef struct Worker Worker;
typedef struct Client Client;
typedef struct Server Server;
typedef struct Pool Pool;
typedef struct Tenancy Tenancy;	/* a tenant, as long as it has clients or servers here */
typedef struct Statement Statement;
typedef struct Cancel Cancel;

/* --- bytes that wait (queue.c) ----------------------------------------------------- */

#define QUEUE_CHUNK	16384
#define QUEUE_HIGH	(256 * 1024)	/* more waits: the other side is read no further... */
#define QUEUE_LOW		(64 * 1024)	/* ...until so little does */

typedef struct Chunk { struct Chunk *next; uint32_t from, to; unsigned char bytes[QUEUE_CHUNK]; } Chunk;
typedef struct Queue { Chunk *first, *last; size_t n; } Queue;

void	 queue_add(Worker *w, Queue *o, const void *bytes, size_t n);
ssize_t	 queue_flush(Worker *w, Queue *o, Stream *to);	/* >= 0 all that could be was sent; STREAM_BROKEN */
void	 queue_clear(Worker *w, Queue *o);

typedef struct SpareKept SpareKept;	/* conn.c */

/* What a connection has in common, whichever end is outside. */
typedef struct Conn {
	Worker		*w;
	Stream		 io;
	Watch		*watch;
	Queue		 out;
	Arena		*kept_mem;	/* what has come and could not be used yet */
	unsigned char	*kept;
	uint32_t	 kept_n, kept_cap;
	uint32_t	 pass;		/* bytes of a message that are still to come and go straight through */
	bool		 drop;		/* ...or nowhere */
	bool		 deaf;		/* not read: the other side is slow, or nobody is there */
} Conn;

void	 conn_open(Conn *c, Worker *w, int fd, WatchFn fn, void *ptr);
void	 conn_close(Conn *c);
void	 conn_watch(Conn *c);		/* asks the loop for what is wanted now */
/* Reads once; everything that has come and is not used is at *at, in a room that lasts until the next
 * call of the worker.  The caller uses some of it and gives the rest back by conn_keep(). */
ssize_t	 conn_read(Conn *c, unsigned char **at, size_t *n);
void	 conn_keep(Conn *c, const unsigned char *at, size_t n);
bool	 conn_flush(Conn *c);		/* false: broken */

/* --- settings that follow a client ------------------------------------------------ */

enum { VAR_ENCODING, VAR_DATESTYLE, VAR_TIMEZONE, VAR_INTERVALSTYLE, VAR_STRINGS, VAR_APPLICATION, VAR_FLOATS, VARS };
extern const char *const var_names[VARS];
int	 var_of(const char *name);	/* -1: not one of them */
/* A value, interned: equal pointers are equal values. */
const char *worker_text(Worker *w, const char *text);

/* --- settings.c ------------------------------------------------------------------- */

bool	 settings_known(const Client *c);	/* it can be told them without a server */
void	 settings_welcome(Client *c);		/* tells them; what no server of its pool has said is guessed */
void	 settings_give(Server *s, Client *c);	/* the server is told those that are not as the client left them */
void	 settings_sent(Client *c, uint32_t resets);	/* a text that sets these back is being sent */
bool	 settings_wait(const Client *c, char type);	/* a message of this type waits until that is answered */
void	 settings_tag(Server *s, const char *tag);	/* a command has ended that may have done so */
void	 settings_restore(Server *s);		/* they are brought back, before its ReadyForQuery is passed on */

/* --- prepared statements (statement.c) ---------------------------------------------- */

struct Statement {		/* one text with its parameter types, for however many clients */
	uint64_t	 id;
	uint32_t	 users;
	const char	*key;
	Arena		*mem;
	const char	*sql;
	size_t		 sql_n;
	const unsigned char *types;
	size_t		 types_n;
	uint32_t	 found;		/* Word */
	uint32_t	 savepoints;
	uint32_t	 resets;	/* as Words has it */
	bool		 forgets;	/* it takes all prepared statements with it */
	char		 deallocates[64];	/* the name, if it is DEALLOCATE of one */
};

#define STATEMENT_TEXT	(256 * 1024)	/* a longer one pins its client to its server */
#define SERVER_STATEMENTS 128		/* prepared on one server connection; more only after errors */
#define CLIENT_STATEMENTS (16 * 1024 * 1024)	/* bytes that the prepared statements of one client may take */
#define TENANT_STATEMENTS (256 * 1024 * 1024)	/* ...and of all clients of a tenant, in a worker */

Statement *statement_get(Worker *w, const WireParse *p, bool standard_strings);	/* one user more */
void	 statement_drop(Worker *w, Statement *s);		/* one less; NULL is fine */
const char *statement_name(const Statement *s, char out[32]);	/* on servers */

/* --- the things ------------------------------------------------------------------------ */

typedef enum ClientState {
	CLIENT_HELLO,		/* the first packet, or the one after TLS */
	CLIENT_TLS,		/* in the handshake */
	CLIENT_SASL,		/* waits for SASLInitialResponse */
	CLIENT_VERIFIER,	/* waits for the master */
	CLIENT_CANCEL,		/* a cancel request that another worker looks at */
	CLIENT_PROOF,		/* waits for the proof */
	CLIENT_WELCOME,		/* logged in, waits for a server to be told of */
	CLIENT_READY,
	CLIENT_CLOSING,		/* sends what it has to send */
	CLIENT_DEAD		/* freed at the end of the turn */
} ClientState;

typedef struct LoginTry LoginTry;	/* of login.c: only while it lasts */

typedef struct HopedName {	/* a Parse, or what takes a statement away, that is not answered yet */
	uint64_t	 id;
	const char	*name;		/* "": the unnamed one */
	Statement	*closed;	/* that the name has again if it fails */
	bool		 closes;
} HopedName;
typedef struct Hoped { HopedName *at; size_t n, cap; } Hoped;

struct Client {
	Conn		 conn;
	ClientState	 state;
	uint64_t	 serial;	/* no other client of this worker has had it */
	uint32_t	 slot;		/* in w->clients; with the worker's number it is the process id that the client sees */
	unsigned char	 secret[4];
	Client		*prev, *next;	/* of w->logging, or of those that wait in the pool */
	Client		*wait_prev, *wait_next;	/* of w->waiting */
	Client		*tenant_prev, *tenant_next;	/* of tenant->clients */
	Pool		*pool;
	Server		*server;	/* that it has now */
	LoginTry	*login;
	int64_t		 since_ms, waiting_ms;	/* 0: does not wait */
	char		 user[ROUTE_NAME], from[48];
	const char	*var[VARS];	/* NULL: as the server has it */
	const char	*start[VARS];	/* that it asked for at start: what RESET brings back */
	uint32_t	 resets;	/* by 1 << VAR_*: a text that sets them back is not answered yet */
	bool		 reset;		/* ...and has done so */
	bool		 guessed;	/* it was told settings that no server of its pool has said */
	const StartupParam *own;	/* other settings at start: a server connection of its own */
	size_t		 nown;
	Arena		*mem;		/* of own; NULL until needed */
	Arena		*names_mem, *words_mem;
	Map		*names;		/* its prepared statements: name -> Statement */
	Hoped		 hoped;
	Arena		*hoped_mem;
	size_t		 hoped_live, hoped_garbage;	/* bytes of names there */
	size_t		 names_bytes;	/* that its statements take; counted in tenant->names_bytes, too */
	Statement	*unnamed;
	bool		 unnamed_long;	/* it was too long to be kept: it is where the client is pinned */
	Words		*words;		/* of a long query that is streaming through */
	uint32_t	 pins;		/* Word: why it keeps its server; PIN_* too */
	uint32_t	 pins_since;	/* those of what was sent since it said DISCARD ALL, which is not answered yet */
	bool		 discards;	/* ...and pins_since is kept */
	bool		 recodes;	/* what may change client_encoding is not answered yet */
	uint32_t	 savepoints, savepoints_sent;	/* open; said, and not answered yet */
	bool		 skipping;	/* refused without a server: up to the next Sync all is passed over */
	bool		 waits;		/* stands in pool->waiting */
	bool		 local;
	bool		 refused_one;	/* the message at the front of what is kept has been refused */
};

#define PIN_SETTINGS	(1u << 30)	/* settings at start that we do not track */
#define PIN_STATEMENT	(1u << 31)	/* a prepared statement that is too long to carry along */

typedef enum ServerState {
	SERVER_DIAL,		/* dial.c has it */
	SERVER_IDLE,		/* in pool->idle */
	SERVER_LINKED,		/* a client has it */
	SERVER_RESET,		/* DISCARD ALL or ROLLBACK under way */
	SERVER_DEAD		/* freed at the end of the turn */
} ServerState;

typedef struct ServerDial ServerDial;	/* of dial.c: only while it lasts */

struct Server {
	Conn		 conn;
	ServerState	 state;
	Pool		*pool;
	Client		*client;
	ServerDial	*dial;
	Server		*prev, *next;	/* of pool->servers */
	Server		*idle_next;		/* of pool->idle, the newest first */
	Server		*lru_prev, *lru_next;	/* of w->idle, the oldest first */
	int64_t		 born_ms, since_ms, busy_ms, quiet_tx_ms;	/* busy: something is owed since; 0: nothing is */
	Replies		 replies;
	Arena		*mem;
	const char	*var[VARS];
	StartupParam	*welcome;	/* own: what it said of itself */
	size_t		 nwelcome;
	uint32_t	 cluster, route_id;
	uint64_t	 wanted_by;	/* own: serial of the client */
	int64_t		 epoch;		/* of the route that it was dialled for */
	uint32_t	 pid;		/* for cancel requests */
	unsigned char	 key[CANCEL_KEY_MAX];
	uint16_t	 key_n;
	uint16_t	 cancels;	/* requests under way */
	int64_t		 looked_ms;	/* whether its and its client's lines are alive */
	bool		 cancel_later;	/* one waits until what is our own has been answered */
	bool		 own;		/* for its first client alone: settings at start */
	bool		 dirty;		/* DISCARD ALL before another gets it */
	bool		 old;		/* not to be used again */
	char		 tx;		/* I T E: as its last ReadyForQuery said */
	uint32_t	 refused;	/* why the answer under way is cut off: a Refusal, 0: it is not */
	int64_t		 answer_bytes;	/* of the answer under way */
	uint64_t	 statements[2 * SERVER_STATEMENTS];	/* ids prepared there, the latest used first */
	uint16_t	 nstatements;
	bool		 unsure;	/* it may have others of ours: each is closed before it is prepared */
	uint64_t	 unnamed;	/* id of its unnamed statement; 0: none that we know */
};

struct Pool {			/* one (tenant, role) */
	Worker		*w;
	Tenancy		*tenant;
	Pool		*next;		/* of the tenant */
	char		 user[ROUTE_NAME], role[ROUTE_NAME];
	Server		*servers, *idle;
	int32_t		 nservers, nidle, ndialing, nclients;
	Client		*first, *last;	/* that wait, in order */
	int32_t		 nwaiting;
	StartupParam	*welcome;	/* what a server reports of itself; NULL: none has said so yet */
	size_t		 nwelcome;
	Arena		*welcome_mem;
	int64_t		 retry_ms;	/* not dialled before */
	int		 failures;
	Pool		*ring_next;	/* of w->ring: those that wait for a place on a cluster */
	bool		 in_ring, in_serve;
	uint32_t	 ring_cluster;
	Pool		*serve_next;	/* of w->serve */
};

struct Tenancy {
	Route		 route;
	Pool		*pools;
	Client		*clients;
	int32_t		 nclients, nservers, nwaiting, held;
	int64_t		 shut_ms;	/* when the gate was seen closed the last time */
	size_t		 names_bytes;	/* of the prepared statements of all clients here */
	uint32_t	 waiting_id;	/* route.id when the others were told that somebody waits */
	Arena		*mem;
};

typedef struct WorkerCluster {	/* as the master said it */
	RouteCluster	 c;
	StreamTls	*tls;
	Arena		*mem;
	const char	*why;		/* its TLS settings cannot be used */
	StartupParam	*welcome;	/* what a server there said of itself last; NULL: none has */
	size_t		 nwelcome;
	Arena		*welcome_mem;
} WorkerCluster;

typedef struct WorkerStats {
	int64_t		 queries, transactions, logins, logins_failed, cancels, bytes_in, bytes_out, refused;
} WorkerStats;

struct Worker {
	Ctx		*cx;
	Arena		*mem;
	Loop		*loop;
	LinkStart	 start;
	LinkCounters	*counters;
	RouteTable	*table;
	StreamTls	*cert;
	Map		*tenants, *texts, *statements;
	Arena		*texts_mem;
	size_t		 texts_bytes, texts_full;	/* full: then those in use are counted */
	uint64_t	 last_statement;
	WorkerCluster	*clusters;	/* by id */
	uint32_t	 nclusters;
	Client		**clients;	/* by slot; NULL: free */
	uint32_t	 nslots, live;
	uint64_t	 last_serial;
	uint32_t	*free_slots, nfree;
	Client		*logging, *waiting, *waiting_last;
	Client		*dead_clients, *spare_clients;
	Server		*idle, *idle_last;	/* the oldest first */
	Server		*dead_servers, *spare_servers;
	Pool		*serve, *serve_last;
	Cancel		*cancels, *spare_cancels;
	Chunk		*spare_chunks;
	SpareKept	*spare_kept;
	uint32_t	 nspare_kept;
	Pool		*ring, *ring_last;
	struct Asked	*asked, *spare_asked;	/* of the master, not answered yet */
	struct Asked	*unsent, *unsent_last;	/* the master has more to do than it can take now */
	bool		 unacked;
	uint64_t	 last_asked;
	int64_t		 lease_until, drain_until;
	bool		 lapsed, draining, go, listening;
	Watch		*link_watch, **listen_watch;
	Timer		*tick;
	WorkerStats	 stats;
	unsigned char	*packet;	/* LINK_MAX bytes: the master's message */
	unsigned char	*scratch;	/* SCRATCH bytes: where everything is read into */
	unsigned char	 build[STARTUP_MAX + 1024];	/* where our own messages are made */
};

#define SCRATCH (128 * 1024)

/* --- client.c ------------------------------------------------------------------------- */

void	 client_new(Worker *w, int fd);
void	 client_go_on(Client *c);	/* it has a server now, or what it waited for has come */
void	 client_told(Client *c);	/* there is something new in its out: sends it */
void	 client_fatal(Client *c, const char *sqlstate, const char *message, const char *hint);
void	 client_close(Client *c);
void	 client_refuse(Client *c, const char *sqlstate, const char *message);	/* its next message, while it has no server */
void	 client_ready(Client *c);	/* the pool knows what to say: login is finished */
void	 client_listens(Client *c);	/* what it did not take has been sent */
void	 client_rest(Client *c);	/* a server that it has and does nothing with is given back */
void	 client_logged(Client *c);	/* the login is over: nothing is waited for but a server */
void	 client_swept(Client *c, int64_t now);
void	 client_login(Client *c);				/* login.c */
bool	 client_login_message(Client *c, char type, const unsigned char *body, size_t n);
void	 client_login_free(Client *c);
void	 client_welcome(Client *c);
Entry	*client_entry(Client *c);	/* while it logs in */

/* --- names.c: a client's prepared statements ------------------------------------------- */

Statement *names_get(const Client *c, const char *name);	/* NULL: there is none */
void	 names_set(Client *c, const char *name, Statement *st);
void	 names_drop(Client *c, const char *name);
void	 names_unnamed(Client *c, Statement *st);	/* NULL: it has none any more */
void	 names_free(Client *c);		/* all, and the unnamed one */
void	 names_forget(Client *c);	/* DISCARD ALL, DEALLOCATE ALL was done */
bool	 names_room(const Client *c, const Statement *st, const char *name);	/* for one more */
void	 names_hope(Client *c, uint64_t id, const char *name);	/* its Parse is not answered yet */
void	 names_close(Client *c, const char *name, uint64_t id);	/* what takes it away is not answered yet; id: by which
							 * names_lost() and names_done() will know that */
void	 names_lost(Client *c, uint64_t id);	/* the first of that id failed */
void	 names_done(Client *c, uint64_t id);	/* it did not */
void	 names_settle(Client *c);	/* no answer will come any more */

/* --- take.c: what a client with a server says -------------------------------------------- */

/* One message, or its beginning: how many bytes were used; 0: not yet. */
size_t	 take_message(Client *c, char type, const unsigned char *at, size_t n, size_t total);
size_t	 take_pass(Client *c, const unsigned char *at, size_t n);	/* more of one that streams through */
bool	 take_room(Client *c);		/* false: its server takes no more now */

/* --- server.c, dial.c -------------------------------------------------------------------- */

Server	*server_new(Pool *p, Client *own);	/* own: a connection for this client alone */
void	 server_dial(Server *s);
void	 server_event(void *ptr, int events);
void	 server_close(Server *s, const char *why);	/* why NULL: nothing that anybody must hear of */
void	 server_dialed(Server *s);		/* dial.c: it is ready */
void	 server_dial_failed(Server *s, const char *sqlstate, const char *why);
void	 dial_event(Server *s, int events);
void	 dial_free(Server *s);
void	 server_say(Server *s, const char *sql);	/* a query of ours: its answer is swallowed */
void	 server_gave(Server *s);		/* after a message to it: flush, watch */
bool	 server_has(Server *s, const Statement *st);
void	 server_prepared(Server *s, const Statement *st);
void	 server_lost(Server *s, uint64_t id);
void	 server_still_has(Server *s, uint64_t id);	/* it was to be closed there, and an error came before */
void	 server_forget_all(Server *s, bool perhaps);	/* perhaps: it has yet to be done, or others were prepared since */
void	 server_unprepare(Server *s, uint64_t id, uint64_t about);	/* about: the id, to keep it in mind should that fail; 0 */
void	 server_between(Server *s);	/* nothing is owed and no transaction is open */
bool	 server_answers_us(const Server *s);	/* what it does now is ours, and not the client's */
void	 server_made(Server *s);	/* says what we answer ourselves and whose turn it is */
void	 server_tick(Server *s, int64_t now);
void	 servers_bury(Worker *w);
void	 clients_bury(Worker *w);

/* --- pool.c ---------------------------------------------------------------------------------- */

Tenancy	*tenancy_find(Worker *w, const char *name);		/* that has clients or servers here; NULL */
Pool	*pool_for(Worker *w, const Route *r, const RouteLogin *login);
void	 pool_join(Pool *p, Client *c);
void	 pool_leave(Client *c);
bool	 pool_want(Client *c);		/* true: c->server is there now; false: it waits */
void	 pool_unlink(Server *s);	/* the client has no more use of it: hands it on, resets or closes it */
void	 pool_idle(Server *s);		/* it can be used by anybody of the pool */
void	 pool_gone(Server *s);		/* it is being closed */
void	 pool_dialed(Server *s);
void	 pool_serve(Pool *p);		/* gives what there is to who waits, at the end of the turn */
void	 pools_serve(Worker *w);	/* that end */
void	 pool_dial_failed(Pool *p, const char *sqlstate, const char *why);
void	 pool_stop_waiting(Client *c);
bool	 gate_open(const Worker *w, const Tenancy *t);
void	 tenant_changed(Worker *w, const char *name);	/* its route is another one now */
void	 cluster_changed(Worker *w, uint32_t id, bool moved);	/* moved: it has another address */
void	 pools_tick(Worker *w, int64_t now);
bool	 client_pinned(const Client *c);
bool	 pool_crowded(const Pool *p);	/* there is no place for one more server connection */

/* --- guard.c -------------------------------------------------------------------------------------- */

/* What a text says of itself is taken into account.  Not 0: it is refused, for this reason. */
uint32_t guard_words(const Words *w);	/* what counts of a text that was read */
uint32_t guard_text(Client *c, uint32_t found, uint32_t savepoints);	/* before the message is sent */
void	 guard_pin(Client *c, uint32_t pins);
typedef struct Refusal { const char *sqlstate, *text; } Refusal;
extern const Refusal refusals[];
enum { REFUSE_NONE, REFUSE_LOCK, REFUSE_NOTIFY, REFUSE_SET, REFUSE_SAVEPOINTS, REFUSE_ADVISORY, REFUSE_HIDDEN, REFUSE_DEADLINE,
	REFUSE_LONG, REFUSE_ROWS, REFUSE_EXISTS, REFUSE_ENCODING, REFUSE_MANY, REFUSE_ROLE, REFUSE_START, REFUSALS };
#define REFUSED	(UINT64_C(1) << 63)	/* in Owed.about: the rest is the reason */
#define UNNAMED	(UINT64_C(1) << 62)	/* of a Parse: the rest is the statement, under no name there */
void	 guard_tick(Server *s, int64_t now);
void	 guard_answer(Server *s, size_t n);		/* so many bytes more of an answer */
void	 guard_tag(Client *c, const char *tag);		/* a command has ended */

/* --- cancel.c ------------------------------------------------------------------------------------- */

void	 cancel_asked(Client *c, uint32_t pid, const unsigned char *key, size_t n);	/* closed when it has been looked at */
void	 cancel_here(Worker *w, const LinkCancel *m);
void	 cancel_send(Server *s);		/* to the server: what it does now */
void	 cancels_forget(const Server *s);	/* it is being closed */
void	 cancels_tick(Worker *w, int64_t now);

/* --- report.c, worker.c ------------------------------------------------------------------------------ */

void	 report_answer(Worker *w, uint64_t id, const LinkAsk *ask);
void	 worker_settle(Worker *w);	/* at the end of every callback of the loop: who waits is served, who is dead freed */
typedef void (*AskedFn)(void *ptr, LinkType type, const void *body, size_t n);	/* body NULL: none will come */
uint64_t worker_ask(Worker *w, LinkType type, const void *body, size_t n, AskedFn fn, void *ptr);
void	 worker_forget(Worker *w, void *ptr);	/* what ptr asked is not wanted any more */
int64_t	 worker_now(const Worker *w);
void	 worker_peer(int fd, char *out, size_t n, bool *local);
