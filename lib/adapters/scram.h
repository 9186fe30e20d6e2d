/*
 * scram.h - SCRAM-SHA-256 (RFC 5802, RFC 7677) as PostgreSQL uses it (no user name
 * in the messages), both sides, from stored keys: a password is never needed.
 *
 * Messages are bytes of the network: bounds and alphabet are checked, nonces are
 * from random_bytes(), proofs are compared in constant time.  A state is a
 * plain struct; scram_wipe() when it is done.
 */
#pragma once

#include "lib/adapters/crypto.h"

#define SCRAM_MESSAGE	1024	/* the longest message that is taken or made */
#define SCRAM_SALT	64
#define SCRAM_ITERATIONS_MAX 1000000

typedef struct ScramVerifier {		/* what a server keeps */
	unsigned char	 salt[SCRAM_SALT];
	size_t		 salt_n;
	uint32_t	 iterations;
	unsigned char	 stored[32], server[32];	/* StoredKey, ServerKey */
} ScramVerifier;

typedef struct ScramKeys {		/* what a client needs, for one salt and iteration count */
	unsigned char	 client[32], server[32];	/* ClientKey, ServerKey */
} ScramKeys;

bool	 scram_read(const char *text, ScramVerifier *out);	/* PostgreSQL's stored form */
/* For a user that does not exist: the same salt for the same name every time, and nothing fits.  It looks as
 * what scram_verifier() makes. */
void	 scram_mock(const unsigned char secret[32], const char *name, ScramVerifier *out);
bool	 scram_keys(Ctx *cx, const Secret *password, const unsigned char *salt, size_t salt_n,
	    uint32_t iterations, ScramKeys *out);	/* slow by design: one PBKDF2 */
bool	 scram_keys_fit(const ScramKeys *keys, const ScramVerifier *v);

/* --- the server's side ------------------------------------------------------------- */

typedef struct ScramServer {
	ScramVerifier	 verifier;
	char		 first_bare[SCRAM_MESSAGE], server_first[SCRAM_MESSAGE], nonce[128];
	char		 header[32];	/* gs2: "n,,", "y,," or "p=tls-server-end-point,," */
	unsigned char	 binding[64];
	size_t		 binding_n;
} ScramServer;

/* binding: the tls-server-end-point data of our certificate when the client chose SCRAM-SHA-256-PLUS, else
 * n 0; offered: PLUS had been offered (a client that says "y" then is refused: a downgrade). */
bool	 scram_server_first(ScramServer *s, const ScramVerifier *v, Bytes binding, bool offered,
	    const void *client_first, size_t n, char *out, size_t cap, size_t *out_n);
/* *proven: the client knows the password; if not, out is empty.  False: no message of the protocol, or not the
 * binding that was announced. */
bool	 scram_server_final(ScramServer *s, const void *client_final, size_t n, bool *proven,
	    char *out, size_t cap, size_t *out_n);

/* --- the client's side --------------------------------------------------------------- */

/* Without channel binding: for servers that are reached by a verified TLS session or a local socket. */
typedef struct ScramClient {
	char		 nonce[SCRAM_MESSAGE];	/* ours; then with the server's behind it */
	char		 first_bare[128], server_first[SCRAM_MESSAGE];
	unsigned char	 salt[SCRAM_SALT];
	size_t		 salt_n;
	uint32_t	 iterations;
	unsigned char	 signature[32];	/* that the server must send */
	bool		 proven;	/* our proof was made, and so was the signature */
} ScramClient;

bool	 scram_client_first(ScramClient *c, char *out, size_t cap, size_t *out_n);
/* Then salt and iterations are there.  Once: another challenge needs another first message. */
bool	 scram_client_challenge(ScramClient *c, const void *server_first, size_t n);
/* keys: those of the salt and the count that came. */
bool	 scram_client_final(ScramClient *c, const ScramKeys *keys, char *out, size_t cap, size_t *out_n);
/* The server knows it, too: false before scram_client_final(), whatever it says. */
bool	 scram_client_verify(const ScramClient *c, const void *server_final, size_t n);
void	 scram_wipe(void *state, size_t n);
