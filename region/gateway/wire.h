/*
 * wire.h - the PostgreSQL frontend/backend protocol 3.0 and 3.2 as bytes
 * (PostgreSQL documentation, "Frontend/Backend Protocol"): finding the messages
 * in what has come, reading the few that a gateway must understand, writing
 * those that it says itself.
 *
 * Every byte from outside is hostile: lengths are checked before anything is
 * believed; nothing is allocated; what is returned points into the bytes given.
 * Writers fill the caller's buffer and return the bytes written, 0 if it is too
 * small.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_HEAD	5		/* type and length */
#define WIRE_MAX	0x3fffffffu	/* of a message's length: PostgreSQL's own limit of 1 GiB */

typedef enum WireLook { WIRE_MORE, WIRE_OK, WIRE_BAD } WireLook;

/* --- any message after the login -------------------------------------------- */

typedef struct WireHead {
	char		 type;
	uint32_t	 body;		/* bytes after the head */
} WireHead;

/* Looks at the beginning of what has come.  WIRE_BAD: a length below 4 or above WIRE_MAX. */
WireLook wire_head(const unsigned char *at, size_t n, WireHead *out);
bool	 wire_from_client(char type);	/* such a message may come from a client that has logged in */
bool	 wire_from_server(char type);	/* from a server that has taken our login */

/* --- the first packet ---------------------------------------------------------- */

#define STARTUP_MAX	10000		/* bytes; PostgreSQL's MAX_STARTUP_PACKET_LENGTH */
#define STARTUP_PARAMS	32
#define CANCEL_KEY_MAX	256		/* protocol 3.2; 4 bytes in 3.0 */

typedef enum StartupKind { STARTUP_LOGIN, STARTUP_SSL, STARTUP_GSS, STARTUP_CANCEL } StartupKind;
typedef struct StartupParam { const char *name, *value; } StartupParam;
typedef struct Startup {
	StartupKind	 kind;
	int		 major, minor;		/* STARTUP_LOGIN: 3, 0.. */
	StartupParam	 param[STARTUP_PARAMS];	/* as sent, those of "_pq_." apart */
	size_t		 params;
	const char	*unknown[STARTUP_PARAMS];	/* "_pq_." options: none is known to us */
	size_t		 unknowns;
	uint32_t	 pid;			/* STARTUP_CANCEL */
	const unsigned char *key;
	size_t		 key_n;
} Startup;

/* *used: bytes of the packet.  WIRE_BAD: too long, no terminator, another protocol than 3, two
 * parameters of one name, too many. */
WireLook wire_startup(const unsigned char *at, size_t n, size_t *used, Startup *out);
const char *startup_param(const Startup *s, const char *name);	/* NULL: not sent */

/* --- messages of the client, by their body ------------------------------------- */

/* Whole bodies; false: not well formed.  Texts are NUL-terminated in place. */
bool	 wire_query(const unsigned char *body, size_t n, const char **sql, size_t *sql_n);
typedef struct WireParse { const char *name, *sql; size_t sql_n; const unsigned char *rest; size_t rest_n; } WireParse;
bool	 wire_parse(const unsigned char *body, size_t n, WireParse *out);	/* rest: the parameter types */
typedef struct WireName { char kind; const char *name; size_t used; } WireName;
bool	 wire_describe(const unsigned char *body, size_t n, WireName *out);	/* Describe and Close: 'S' or 'P' */
/* The beginning of a Bind, which may be as long as it likes: portal and statement.  WIRE_MORE: not
 * enough of it has come yet, and less than WIRE_BIND_NAMES. */
#define WIRE_BIND_NAMES	1024
typedef struct WireBind { const char *portal, *statement; size_t used; } WireBind;
WireLook wire_bind(const unsigned char *body, size_t n, WireBind *out);
bool	 wire_sasl_first(const unsigned char *body, size_t n, const char **mechanism,
	    const unsigned char **data, size_t *data_n);	/* SASLInitialResponse */

/* --- messages of the server, by their body ---------------------------------------- */

typedef struct WireError { char severity[8]; char sqlstate[6]; const char *message; } WireError;	/* "" where missing */
bool	 wire_error_read(const unsigned char *body, size_t n, WireError *out);
bool	 wire_tag(const unsigned char *body, size_t n, const char **tag);	/* CommandComplete */
bool	 wire_setting(const unsigned char *body, size_t n, const char **name, const char **value);	/* ParameterStatus */
bool	 wire_status(const unsigned char *body, size_t n, char *status);	/* ReadyForQuery: I, T or E */
bool	 wire_key(const unsigned char *body, size_t n, uint32_t *pid, const unsigned char **key, size_t *key_n);
/* Authentication: the code, and what follows it. */
enum { AUTH_OK = 0, AUTH_CLEAR = 3, AUTH_MD5 = 5, AUTH_SASL = 10, AUTH_SASL_MORE = 11, AUTH_SASL_FINAL = 12 };
bool	 wire_auth(const unsigned char *body, size_t n, uint32_t *code, const unsigned char **data, size_t *data_n);
bool	 wire_mechanism(const unsigned char *data, size_t n, const char *wanted);	/* in AUTH_SASL's list */

/* --- what the gateway says itself --------------------------------------------------- */

size_t	 wire_put_error(unsigned char *out, size_t cap, const char *severity, const char *sqlstate,
	    const char *message, const char *hint);		/* hint may be NULL; texts are cut to fit 512 bytes each */
size_t	 wire_put_ready(unsigned char *out, size_t cap, char status);
size_t	 wire_put_empty(unsigned char *out, size_t cap, char type);	/* no body: '1' '2' '3' 'n' 'S' 'H' 'X'... */
size_t	 wire_put_tag(unsigned char *out, size_t cap, const char *tag);	/* CommandComplete */
size_t	 wire_put_query(unsigned char *out, size_t cap, const char *sql);
size_t	 wire_put_setting(unsigned char *out, size_t cap, const char *name, const char *value);
size_t	 wire_put_key(unsigned char *out, size_t cap, uint32_t pid, const unsigned char *key, size_t key_n);
size_t	 wire_put_auth(unsigned char *out, size_t cap, uint32_t code, const void *data, size_t n);
size_t	 wire_put_negotiate(unsigned char *out, size_t cap, int minor, const Startup *s);	/* NegotiateProtocolVersion */
size_t	 wire_put_startup(unsigned char *out, size_t cap, const StartupParam *params, size_t n);	/* 3.0 */
size_t	 wire_put_ssl_request(unsigned char *out, size_t cap);
size_t	 wire_put_cancel(unsigned char *out, size_t cap, uint32_t pid, const unsigned char *key, size_t key_n);
size_t	 wire_put_sasl_first(unsigned char *out, size_t cap, const char *mechanism, const void *data, size_t n);
size_t	 wire_put_sasl(unsigned char *out, size_t cap, const void *data, size_t n);	/* SASLResponse */
/* A message of the client with another statement name in place of the one that it has: the new head and
 * beginning; the old body goes on after `used` bytes of it. */
size_t	 wire_put_parse_head(unsigned char *out, size_t cap, const char *name, size_t body_after_name);
size_t	 wire_put_bind_head(unsigned char *out, size_t cap, const char *portal, const char *statement,
	    size_t body_after_names);
size_t	 wire_put_named(unsigned char *out, size_t cap, char type, char kind, const char *name);	/* Describe, Close */
