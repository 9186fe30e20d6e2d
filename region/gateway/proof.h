/*
 * proof.h - the two logins that a worker takes part in, as machines without a
 * socket: a client proves itself to us (ProofIn), we prove ourselves to a server
 * and it to us (ProofOut).
 *
 * Each message comes from outside.  It is taken in its own step and once; one that
 * comes in another step ends the login, whatever is in it.
 */
#pragma once

#include "lib/adapters/scram.h"
#include "region/gateway/wire.h"

/* --- a client and us ------------------------------------------------------------- */

typedef enum ProofInStep {
	PROOF_FIRST,		/* waits for SASLInitialResponse */
	PROOF_VERIFIER,		/* for proof_in_verifier() */
	PROOF_LAST,		/* for SASLResponse */
	PROOF_OVER
} ProofInStep;

typedef struct ProofIn {
	ProofInStep	 step;
	ScramServer	 scram;
	bool		 plus_offered, plus;	/* channel binding; chosen */
	bool		 known;		/* there is such a user; one that is not goes the same way to its end */
	unsigned char	 first[SCRAM_MESSAGE];
	size_t		 first_n;
	const char	*sqlstate, *why;	/* of what was refused */
} ProofIn;

/* What the client may choose from, as AuthenticationSASL has it: bytes written. */
size_t	 proof_in_offer(ProofIn *p, bool binding, char list[64]);
/* False: refused, for a reason.  After the first its verifier is needed; `binding` counts only if it chose it. */
bool	 proof_in_first(ProofIn *p, const unsigned char *body, size_t n);
bool	 proof_in_verifier(ProofIn *p, const ScramVerifier *v, bool known, Bytes binding,
	    char out[SCRAM_MESSAGE], size_t *out_n);
bool	 proof_in_last(ProofIn *p, const unsigned char *body, size_t n, char out[SCRAM_MESSAGE], size_t *out_n);

/* --- we and a server --------------------------------------------------------------- */

typedef enum ProofOutStep {
	PROOF_ASKED,		/* the first packet was sent */
	PROOF_CHALLENGE,	/* our first message was: its challenge is to come */
	PROOF_KEYS,		/* waits for proof_out_keys() */
	PROOF_SIGNATURE,	/* our last was: its signature is to come */
	PROOF_SIGNED,		/* it knows the keys, too: AuthenticationOk is to come */
	PROOF_IN,
	PROOF_FAILED
} ProofOutStep;

typedef enum ProofDo {
	PROOF_WAIT,		/* for its next message */
	PROOF_SEND,		/* `out` */
	PROOF_WANT_KEYS,	/* of scram.salt and scram.iterations: once a login */
	PROOF_DONE,		/* it has let us in, and is who it should be */
	PROOF_REFUSE		/* for a reason */
} ProofDo;

typedef struct ProofOut {
	ProofOutStep	 step;
	ScramClient	 scram;
	const char	*sqlstate, *why;
} ProofOut;

/* The body of an Authentication message.  trusted: the server has proven itself otherwise, and need not ask
 * for a proof.  One that asks for it must give its own, too. */
ProofDo	 proof_out_message(ProofOut *p, const unsigned char *body, size_t n, bool trusted, unsigned char *out,
	    size_t cap, size_t *out_n);
ProofDo	 proof_out_keys(ProofOut *p, const ScramKeys *keys, unsigned char *out, size_t cap, size_t *out_n);
