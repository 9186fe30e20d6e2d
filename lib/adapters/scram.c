#include "lib/adapters/scram.h"

#include <string.h>

#include "lib/adapters/pbkdf.h"
#include "lib/base/clock.h"

#define PREFIX       "SCRAM-SHA-256$"
#define BINDING_TYPE "tls-server-end-point"
#define NONCE_BYTES  18 /* 24 letters, as PostgreSQL's */
#define MOCK_SALT    16
#define MOCK_ROUNDS  4096

/* --- texts ------------------------------------------------------------------------ */

/* A writer into room of fixed size. */
typedef struct Line {
	char *at;
	size_t cap, n;
	bool full;
} Line;

static void
line_add(Line *l, const char *text, size_t n)
{
	if (l->full || n >= l->cap - l->n) {
		l->full = true;
		return;
	}
	memcpy(l->at + l->n, text, n);
	l->n += n;
	l->at[l->n] = '\0';
}

static void
line_text(Line *l, const char *text)
{
	line_add(l, text, strlen(text));
}

static void
line_base64(Line *l, const void *bytes, size_t n)
{
	Arena *mem = arena_new(NULL);

	line_text(l, base64_text(mem, bytes, n));
	arena_free(mem);
}

static Line
line_of(char *room, size_t cap)
{
	if (cap > 0)
		room[0] = '\0';
	return (Line){ .at = room, .cap = cap, .full = cap == 0 };
}

/* At most cap bytes and at least one; *n: how many. */
static bool
read_base64(const char *text, size_t len, unsigned char *out, size_t cap, size_t *n)
{
	Arena *mem = arena_new(NULL);
	Bytes bytes;
	bool done = base64_bytes(mem, text, len, &bytes) && bytes.n > 0 && bytes.n <= cap;

	if (done) {
		memcpy(out, bytes.at, bytes.n);
		*n = bytes.n;
	}
	arena_free(mem);
	return done;
}

static bool
read_key(const char *text, size_t len, unsigned char out[32])
{
	unsigned char key[32];
	size_t n;

	if (!read_base64(text, len, key, sizeof key, &n) || n != sizeof key)
		return false;
	memcpy(out, key, sizeof key);
	return true;
}

/* A decimal number without zeros in front, 1 to SCRAM_ITERATIONS_MAX. */
static bool
read_count(const char *text, size_t n, uint32_t *out)
{
	uint32_t value = 0;

	if (n == 0 || n > 7 || text[0] == '0')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (uint32_t)(text[i] - '0');
	}
	if (value > SCRAM_ITERATIONS_MAX)
		return false;
	*out = value;
	return true;
}

/* The protocol's printable: 0x21 to 0x7e without the comma. */
static bool
is_nonce(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] < 0x21 || text[i] > 0x7e || text[i] == ',')
			return false;
	return n > 0;
}

/* What is left of a message; an attribute is "x=value", up to a comma or the end. */
typedef struct Rest {
	const char *at;
	size_t n;
} Rest;

static bool
attribute(Rest *r, char *name, Rest *value)
{
	const char *comma = r->n > 0 ? memchr(r->at, ',', r->n) : NULL;
	size_t len = comma ? (size_t)(comma - r->at) : r->n;
	bool letter = len >= 2 && ((r->at[0] | 0x20) >= 'a' && (r->at[0] | 0x20) <= 'z');

	if (!letter || r->at[1] != '=')
		return false;
	*name = r->at[0];
	*value = (Rest){ r->at + 2, len - 2 };
	r->at += len + (comma != NULL);
	r->n -= len + (comma != NULL);
	return !comma || r->n > 0;
}

static bool
wanted(Rest *r, char name, Rest *value)
{
	char got;

	return attribute(r, &got, value) && got == name;
}

/* A message in room of its own, ended by a NUL; false: too long, or there is a NUL in it. */
static bool
take(const void *message, size_t n, char room[SCRAM_MESSAGE])
{
	if (n == 0 || n >= SCRAM_MESSAGE || memchr(message, 0, n))
		return false;
	memcpy(room, message, n);
	room[n] = '\0';
	return true;
}

/* --- keys ----------------------------------------------------------------------------- */

/* In the same time wherever they differ. */
static bool
same(const void *a, const void *b, size_t n)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned char different = 0;

	for (size_t i = 0; i < n; i++)
		different = (unsigned char)(different | (x[i] ^ y[i]));
	return different == 0;
}

static void
mix(unsigned char out[32], const unsigned char with[32])
{
	for (size_t i = 0; i < 32; i++)
		out[i] ^= with[i];
}

bool
scram_read(const char *text, ScramVerifier *out)
{
	const size_t prefix = strlen(PREFIX);
	ScramVerifier v = { 0 };

	if (strncmp(text, PREFIX, prefix) != 0)
		return false;
	const char *count = text + prefix, *salt = strchr(count, ':');
	const char *stored = salt ? strchr(salt, '$') : NULL;
	const char *server = stored ? strchr(stored, ':') : NULL;
	if (!server || !read_count(count, (size_t)(salt - count), &v.iterations) ||
	    !read_base64(salt + 1, (size_t)(stored - salt - 1), v.salt, sizeof v.salt, &v.salt_n) ||
	    !read_key(stored + 1, (size_t)(server - stored - 1), v.stored) ||
	    !read_key(server + 1, strlen(server + 1), v.server))
		return false;
	*out = v;
	return true;
}

void
scram_mock(const unsigned char secret[32], const char *name, ScramVerifier *out)
{
	unsigned char seed[32], salt[32];

	memset(out, 0, sizeof *out);
	hmac_sha256(secret, 32, name, strlen(name), seed);
	hmac_sha256(seed, sizeof seed, "salt", strlen("salt"), salt);
	memcpy(out->salt, salt, MOCK_SALT);
	out->salt_n = MOCK_SALT;
	out->iterations = MOCK_ROUNDS;
	/* Nobody knows a key whose hash this is. */
	hmac_sha256(seed, sizeof seed, "stored", strlen("stored"), out->stored);
	hmac_sha256(seed, sizeof seed, "server", strlen("server"), out->server);
	secret_wipe(seed, sizeof seed);
}

bool
scram_keys(Ctx *cx, const Secret *password, const unsigned char *salt, size_t salt_n,
    uint32_t iterations, ScramKeys *out)
{
	unsigned char salted[PBKDF_BYTES];

	if (iterations == 0 || iterations > SCRAM_ITERATIONS_MAX)
		return fail(cx, FAIL_LIMIT, "Set the password anew with fewer iterations.",
		    "a password is to be hashed %u times, more than %d or not at all",
		    (unsigned)iterations, SCRAM_ITERATIONS_MAX);
	pbkdf2_sha256(password->text, password->len, salt, salt_n, (int)iterations, salted);
	hmac_sha256(salted, sizeof salted, "Client Key", strlen("Client Key"), out->client);
	hmac_sha256(salted, sizeof salted, "Server Key", strlen("Server Key"), out->server);
	secret_wipe(salted, sizeof salted);
	return true;
}

bool
scram_keys_fit(const ScramKeys *keys, const ScramVerifier *v)
{
	unsigned char stored[32];

	sha256(keys->client, sizeof keys->client, stored);
	bool client = same(stored, v->stored, sizeof stored);
	return same(keys->server, v->server, sizeof keys->server) && client;
}

/* HMAC of the whole exchange: what both sides sign. */
static bool
sign(const unsigned char key[32], const char *first_bare, const char *server_first,
    const char *final, size_t final_n, unsigned char out[32])
{
	char all[3 * SCRAM_MESSAGE];
	Line l = line_of(all, sizeof all);

	line_text(&l, first_bare);
	line_text(&l, ",");
	line_text(&l, server_first);
	line_text(&l, ",");
	line_add(&l, final, final_n);
	if (l.full)
		return false;
	hmac_sha256(key, 32, all, l.n, out);
	return true;
}

/* --- the server's side ----------------------------------------------------------------- */

/* "n,,", "y,," or "p=tls-server-end-point,,", as it has to be for what was chosen and offered. */
static bool
read_header(ScramServer *s, Rest *r, bool offered)
{
	const char *header = s->binding_n > 0         ? "p=" BINDING_TYPE ",,"
	    : r->n > 0 && r->at[0] == 'y' && !offered ? "y,,"
						      : "n,,";
	size_t n = strlen(header);
	Line l = line_of(s->header, sizeof s->header);

	if (r->n < n || memcmp(r->at, header, n) != 0)
		return false;
	line_text(&l, header);
	r->at += n;
	r->n -= n;
	return !l.full;
}

/* "n=...,r=NONCE": the name is not looked at, as in PostgreSQL: the first packet has it.
 * Extensions that may be ignored may follow; those that may not would come first. */
static bool
read_first_bare(ScramServer *s, Rest r)
{
	Line bare = line_of(s->first_bare, sizeof s->first_bare);
	Line nonce = line_of(s->nonce, sizeof s->nonce);
	Rest value;
	char name;

	line_add(&bare, r.at, r.n);
	if (bare.full || !wanted(&r, 'n', &value) || !wanted(&r, 'r', &value) ||
	    !is_nonce(value.at, value.n))
		return false;
	line_add(&nonce, value.at, value.n);
	while (r.n > 0)
		if (!attribute(&r, &name, &value))
			return false;
	unsigned char ours[NONCE_BYTES];
	random_bytes(ours, sizeof ours);
	line_base64(&nonce, ours, sizeof ours);
	return !nonce.full;
}

static bool
say(const char *text, size_t n, char *out, size_t cap, size_t *out_n)
{
	if (n >= cap)
		return false;
	memcpy(out, text, n + 1);
	*out_n = n;
	return true;
}

bool
scram_server_first(ScramServer *s, const ScramVerifier *v, Bytes binding, bool offered,
    const void *client_first, size_t n, char *out, size_t cap, size_t *out_n)
{
	char message[SCRAM_MESSAGE], count[16];
	Line l = line_of(s->server_first, sizeof s->server_first);
	Line digits = line_of(count, sizeof count);

	if (binding.n > sizeof s->binding || v->salt_n > sizeof v->salt ||
	    !take(client_first, n, message))
		return false;
	s->verifier = *v;
	s->binding_n = binding.n;
	if (binding.n > 0)
		memcpy(s->binding, binding.at, binding.n);
	Rest r = { message, n };
	if (!read_header(s, &r, offered) || !read_first_bare(s, r))
		return false;
	for (uint32_t unit = 1000000000; unit > 0; unit /= 10)
		if (v->iterations >= unit)
			line_add(&digits, &"0123456789"[v->iterations / unit % 10], 1);
	line_text(&l, "r=");
	line_text(&l, s->nonce);
	line_text(&l, ",s=");
	line_base64(&l, v->salt, v->salt_n);
	line_text(&l, ",i=");
	line_text(&l, count);
	return !l.full && say(l.at, l.n, out, cap, out_n);
}

/* "c=" is the header of the first message and, if it said so, our certificate's hash. */
static bool
binding_is_ours(const ScramServer *s, Rest value)
{
	unsigned char got[sizeof s->header + sizeof s->binding];
	size_t n, header = strlen(s->header);

	return read_base64(value.at, value.n, got, sizeof got, &n) && n == header + s->binding_n &&
	    memcmp(got, s->header, header) == 0 && same(got + header, s->binding, s->binding_n);
}

/* *signed_n: the bytes before the proof. */
static bool
read_final(
    const ScramServer *s, const char *message, size_t n, size_t *signed_n, unsigned char proof[32])
{
	Rest r = { message, n }, value;
	char name = 'r';

	if (!wanted(&r, 'c', &value) || !binding_is_ours(s, value) || !wanted(&r, 'r', &value) ||
	    value.n != strlen(s->nonce) || !same(value.at, s->nonce, value.n))
		return false;
	while (name != 'p') {
		*signed_n = (size_t)(r.at - message) - 1;
		if (r.n == 0 || !attribute(&r, &name, &value))
			return false;
	}
	return r.n == 0 && read_key(value.at, value.n, proof);
}

bool
scram_server_final(ScramServer *s, const void *client_final, size_t n, bool *proven, char *out,
    size_t cap, size_t *out_n)
{
	char message[SCRAM_MESSAGE], room[64];
	unsigned char proof[32], signature[32], stored[32];
	Line l = line_of(room, sizeof room);
	size_t len = 0;

	if (!take(client_final, n, message) || !read_final(s, message, n, &len, proof) ||
	    !sign(s->verifier.stored, s->first_bare, s->server_first, message, len, signature))
		return false;
	mix(proof, signature); /* now the client's key, if it knows the password */
	sha256(proof, sizeof proof, stored);
	secret_wipe(proof, sizeof proof);
	bool right = same(stored, s->verifier.stored, sizeof stored);
	if (!sign(s->verifier.server, s->first_bare, s->server_first, message, len, signature))
		return false;
	if (right) {
		line_text(&l, "v=");
		line_base64(&l, signature, sizeof signature);
	}
	if (l.full || !say(l.at, l.n, out, cap, out_n))
		return false;
	*proven = right;
	return true;
}

/* --- the client's side ------------------------------------------------------------------ */

bool
scram_client_first(ScramClient *c, char *out, size_t cap, size_t *out_n)
{
	char message[SCRAM_MESSAGE];
	unsigned char bytes[NONCE_BYTES];
	Line nonce = line_of(c->nonce, sizeof c->nonce);
	Line bare = line_of(c->first_bare, sizeof c->first_bare);
	Line l = line_of(message, sizeof message);

	c->proven = false;
	random_bytes(bytes, sizeof bytes);
	line_base64(&nonce, bytes, sizeof bytes);
	line_text(&bare, "n=,r="); /* the server takes the name of the first packet */
	line_text(&bare, c->nonce);
	line_text(&l, "n,,");
	line_text(&l, c->first_bare);
	return say(l.at, l.n, out, cap, out_n);
}

bool
scram_client_challenge(ScramClient *c, const void *server_first, size_t n)
{
	const size_t ours = strlen(c->nonce);
	unsigned char salt_bytes[SCRAM_SALT];
	size_t salt_n;
	uint32_t iterations;
	Rest nonce, salt, count;

	if (!take(server_first, n, c->server_first))
		return false;
	Rest r = { c->server_first, n };
	if (!wanted(&r, 'r', &nonce) || !wanted(&r, 's', &salt) || !wanted(&r, 'i', &count) ||
	    r.n > 0)
		return false;
	if (nonce.n <= ours || nonce.n > ours + 256 || memcmp(nonce.at, c->nonce, ours) != 0 ||
	    !is_nonce(nonce.at, nonce.n))
		return false;
	if (!read_base64(salt.at, salt.n, salt_bytes, sizeof salt_bytes, &salt_n) ||
	    !read_count(count.at, count.n, &iterations))
		return false;
	Line l = line_of(c->nonce, sizeof c->nonce);
	line_add(&l, nonce.at, nonce.n);
	memcpy(c->salt, salt_bytes, salt_n);
	c->salt_n = salt_n;
	c->iterations = iterations;
	return !l.full;
}

bool
scram_client_final(ScramClient *c, const ScramKeys *keys, char *out, size_t cap, size_t *out_n)
{
	char message[SCRAM_MESSAGE];
	unsigned char stored[32], proof[32];
	Line l = line_of(message, sizeof message);

	line_text(&l, "c=biws,r="); /* "n,," */
	line_text(&l, c->nonce);
	sha256(keys->client, sizeof keys->client, stored);
	if (l.full || !sign(stored, c->first_bare, c->server_first, l.at, l.n, proof) ||
	    !sign(keys->server, c->first_bare, c->server_first, l.at, l.n, c->signature))
		return false;
	mix(proof, keys->client);
	line_text(&l, ",p=");
	line_base64(&l, proof, sizeof proof);
	secret_wipe(stored, sizeof stored);
	c->proven = !l.full && say(l.at, l.n, out, cap, out_n);
	return c->proven;
}

bool
scram_client_verify(const ScramClient *c, const void *server_final, size_t n)
{
	char message[SCRAM_MESSAGE];
	unsigned char signature[32];
	Rest value;

	if (!c->proven || !take(server_final, n, message))
		return false;
	Rest r = { message, n };
	return wanted(&r, 'v', &value) && r.n == 0 && read_key(value.at, value.n, signature) &&
	    same(signature, c->signature, sizeof signature);
}

void
scram_wipe(void *state, size_t n)
{
	secret_wipe(state, n);
}
