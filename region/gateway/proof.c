#include "region/gateway/proof.h"

#include <string.h>

#define MECHANISM      "SCRAM-SHA-256"
#define MECHANISM_PLUS "SCRAM-SHA-256-PLUS"

/* --- a client and us ------------------------------------------------------------- */

static bool
refuse(ProofIn *p, const char *sqlstate, const char *why)
{
	p->step = PROOF_OVER;
	p->sqlstate = sqlstate;
	p->why = why;
	return false;
}

static bool
malformed(ProofIn *p)
{
	return refuse(p, "08P01", "the SCRAM message is not well formed");
}

size_t
proof_in_offer(ProofIn *p, bool binding, char list[64])
{
	size_t n = 0;

	p->plus_offered = binding;
	if (binding) {
		memcpy(list, MECHANISM_PLUS, sizeof MECHANISM_PLUS);
		n = sizeof MECHANISM_PLUS;
	}
	memcpy(list + n, MECHANISM, sizeof MECHANISM);
	n += sizeof MECHANISM;
	list[n++] = '\0';
	return n;
}

bool
proof_in_first(ProofIn *p, const unsigned char *body, size_t n)
{
	const char *mechanism;
	const unsigned char *data;
	size_t data_n;

	if (p->step != PROOF_FIRST || !wire_sasl_first(body, n, &mechanism, &data, &data_n) ||
	    data_n > sizeof p->first)
		return malformed(p);
	p->plus = p->plus_offered && strcmp(mechanism, MECHANISM_PLUS) == 0;
	if (!p->plus && strcmp(mechanism, MECHANISM) != 0)
		return refuse(p, "28000", "only SCRAM-SHA-256 is offered");
	memcpy(p->first, data, data_n);
	p->first_n = data_n;
	p->step = PROOF_VERIFIER;
	return true;
}

bool
proof_in_verifier(ProofIn *p, const ScramVerifier *v, bool known, Bytes binding,
    char out[SCRAM_MESSAGE], size_t *out_n)
{
	if (p->step != PROOF_VERIFIER ||
	    !scram_server_first(&p->scram, v, p->plus ? binding : (Bytes){ NULL, 0 },
		p->plus_offered, p->first, p->first_n, out, SCRAM_MESSAGE, out_n))
		return malformed(p);
	p->known = known;
	p->step = PROOF_LAST;
	return true;
}

/* One text for whatever is wrong: tenant, user or password. */
bool
proof_in_last(
    ProofIn *p, const unsigned char *body, size_t n, char out[SCRAM_MESSAGE], size_t *out_n)
{
	bool proven;

	if (p->step != PROOF_LAST ||
	    !scram_server_final(&p->scram, body, n, &proven, out, SCRAM_MESSAGE, out_n))
		return malformed(p);
	p->step = PROOF_OVER;
	return (proven && p->known) || refuse(p, "28P01", "tenant, user or password is wrong");
}

/* --- we and a server --------------------------------------------------------------- */

static ProofDo
fail_out(ProofOut *p, const char *sqlstate, const char *why)
{
	p->step = PROOF_FAILED;
	p->sqlstate = sqlstate;
	p->why = why;
	return PROOF_REFUSE;
}

static ProofDo
said(ProofOut *p, ProofOutStep next, size_t n)
{
	if (n == 0)
		return fail_out(p, "08006", "no login message could be made");
	p->step = next;
	return PROOF_SEND;
}

static ProofDo
begin(
    ProofOut *p, const unsigned char *data, size_t n, unsigned char *out, size_t cap, size_t *out_n)
{
	char first[SCRAM_MESSAGE];
	size_t len;

	if (!wire_mechanism(data, n, MECHANISM))
		return fail_out(p, "28000", "it does not offer SCRAM-SHA-256");
	*out_n = scram_client_first(&p->scram, first, sizeof first, &len)
	    ? wire_put_sasl_first(out, cap, MECHANISM, first, len)
	    : 0;
	return said(p, PROOF_CHALLENGE, *out_n);
}

static ProofDo
challenge(ProofOut *p, const unsigned char *data, size_t n)
{
	if (!scram_client_challenge(&p->scram, data, n))
		return fail_out(p, "28000", "its SCRAM challenge is not well formed");
	p->step = PROOF_KEYS;
	return PROOF_WANT_KEYS;
}

ProofDo
proof_out_keys(ProofOut *p, const ScramKeys *keys, unsigned char *out, size_t cap, size_t *out_n)
{
	char final[SCRAM_MESSAGE];
	size_t len;

	if (p->step != PROOF_KEYS)
		return fail_out(p, "08006", "no login message could be made");
	*out_n = scram_client_final(&p->scram, keys, final, sizeof final, &len)
	    ? wire_put_sasl(out, cap, final, len)
	    : 0;
	return said(p, PROOF_SIGNATURE, *out_n);
}

static ProofDo
signature(ProofOut *p, const unsigned char *data, size_t n)
{
	if (!scram_client_verify(&p->scram, data, n))
		return fail_out(p, "28000", "it could not prove that it knows the role");
	p->step = PROOF_SIGNED;
	return PROOF_WAIT;
}

/* Who let us in without a proof must have proven itself otherwise; who asked for ours gives its own. */
static ProofDo
let_in(ProofOut *p, bool trusted)
{
	if (p->step != PROOF_SIGNED && (p->step != PROOF_ASKED || !trusted))
		return fail_out(p, "28000", "it asks for no proof and gives none");
	p->step = PROOF_IN;
	return PROOF_DONE;
}

ProofDo
proof_out_message(ProofOut *p, const unsigned char *body, size_t n, bool trusted,
    unsigned char *out, size_t cap, size_t *out_n)
{
	const unsigned char *data;
	uint32_t code;
	size_t data_n;

	if (!wire_auth(body, n, &code, &data, &data_n))
		return fail_out(p, "08006", "it does not speak the protocol");
	if (code == AUTH_OK)
		return let_in(p, trusted);
	if (code == AUTH_SASL && p->step == PROOF_ASKED)
		return begin(p, data, data_n, out, cap, out_n);
	if (code == AUTH_SASL_MORE && p->step == PROOF_CHALLENGE)
		return challenge(p, data, data_n);
	if (code == AUTH_SASL_FINAL && p->step == PROOF_SIGNATURE)
		return signature(p, data, data_n);
	if (code == AUTH_CLEAR)
		return fail_out(p, "28000", "it asks for a password in clear");
	if (code == AUTH_MD5)
		return fail_out(p, "28000", "it asks for MD5 authentication");
	if (code == AUTH_SASL || code == AUTH_SASL_MORE || code == AUTH_SASL_FINAL)
		return fail_out(p, "28000", "its login messages are not in their order");
	return fail_out(p, "28000", "it asks for a way of authentication that the gateway refuses");
}
