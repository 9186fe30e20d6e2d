/*
 * evidence_room.h - a home with logs in it, and evidence files taken apart and
 * put together again by who may do so and by who may not.
 */
#pragma once

#include "compliance/audit/evidence_intern.h"
#include "compliance/audit/witness.h"
#include "tests/unit/core/room.h"

typedef struct Parts {	/* the members of a file, by evidence_rules */
	Bytes at[EVIDENCE_MEMBERS];
} Parts;

static inline size_t
part_of(const char *name)
{
	size_t i = 0;

	while (strcmp(evidence_rules[i].name, name) != 0)
		i++;
	return i;
}

static inline Bytes
bytes_of(const char *text)
{
	return (Bytes){ (const unsigned char *)text, strlen(text) };
}

static inline const char *
text_of(Ctx *cx, Bytes b)
{
	return arena_dupn(cx->mem, (const char *)b.at, b.n);
}

/* An event at a time, by somebody, of a tenant's log (NULL: the vendor's). */
static inline void
tell_at(Room *r, const char *iso, const char *tenant, const char *verb, const char *actor,
    const char *reason)
{
	Ctx cx = ctx_new(r->cx.mem);
	int64_t at;

	assert_true(clock_parse(iso, &at));
	setenv("COPYHOLD_NOW", arena_printf(cx.mem, "%lld", (long long)at), 1);
	r->home->actor = actor;
	r->home->reason = reason;
	ok(&cx, event_write(&cx, r->home, &(Event){ .tenant = tenant, .verb = verb, .outcome = "ok",
	    .object = tenant ? arena_printf(cx.mem, "tenant/%s", tenant) : "secret/key" }));
	r->home->actor = "officer@desk";
	r->home->reason = NULL;
	arena_free(cx.mem);
}

static inline void
add_tenant(Room *r, const char *name, const char *display)
{
	TenantRecord t = { .name = name, .display = display, .state = TENANT_ACTIVE,
		.mode = MODE_DEDICATED, .cluster = "bj-1", .dbname = "t", .owner = "o",
		.model = "crm", .model_version = 1, .shape = "", .spec_hash = "" };
	char *id;

	ok(&r->cx, home_tenant_id(&r->cx, r->home, name, &id));
	t.id = id;
	ok(&r->cx, lite_begin(&r->cx, r->home->db) && catalog_tenant_put(&r->cx, r->home, &t) &&
	    lite_commit(&r->cx, r->home->db));
}

static inline char *
export_to(Room *r, const char *name, EvidenceAsk ask, EvidenceMade *made)
{
	char *path = arena_printf(r->cx.mem, "%s/%s", r->dir, name);
	EvidenceMade unused;

	ok(&r->cx, evidence_export(&r->cx, r->home, &ask, path, made ? made : &unused));
	return path;
}

static inline NoteKey
key_of(Room *r, const char *tenant)
{
	NoteKey key;
	Log log;

	ok(&r->cx, log_of(&r->cx, r->home, tenant, &log) &&
	    log_key(&r->cx, r->home, &log, KEY_ED25519, &key));
	return key;
}

static inline Verdict
verified(Ctx *cx, const char *path, const NoteKey *key, const Policy *policy)
{
	EvidenceTrust trust = { .policy = policy };
	Verdict v;

	if (key)
		vec_push(cx->mem, &trust.keys, *key);
	ok(cx, evidence_verify(cx, path, &trust, &v));
	return v;
}

static inline Parts
take_apart(Ctx *cx, const char *path)
{
	Parts p;
	Pack *pack;

	ok(cx, pack_open(cx, path, evidence_rules, EVIDENCE_MEMBERS, &pack));
	for (size_t i = 0; i < EVIDENCE_MEMBERS; i++)
		ok(cx, pack_read(cx, pack, evidence_rules[i].name, &p.at[i]));
	return p;
}

static inline void
put_together(Ctx *cx, const char *path, const Parts *p)
{
	PackWriter *w;

	unlink(path);
	ok(cx, pack_begin(cx, path, &w));
	for (size_t i = 0; i < EVIDENCE_MEMBERS; i++)
		ok(cx, pack_add(cx, w, evidence_rules[i].name, p->at[i], PACK_STORED));
	ok(cx, pack_end(cx, w));
}

/* The list as it would be of these members, not signed by anybody. */
static inline Note
list_again(Ctx *cx, const Parts *p, const char *origin)
{
	EvidenceList list = { .origin = origin };

	for (size_t i = 0; i < EVIDENCE_MEMBERS; i++) {
		EvidenceDigest *d = &list.at[list.n];
		if (i == part_of(EVIDENCE_MANIFEST))
			continue;
		list.n++;
		*d = (EvidenceDigest){ .name = evidence_rules[i].name, .size = p->at[i].n,
			.tree = i == part_of(EVIDENCE_EVENTS) };
		sha256(p->at[i].at, p->at[i].n, d->sha);
	}
	char *text = evidence_list_text(cx->mem, &list);
	return (Note){ .text = text, .n = strlen(text) };
}

static inline void
sign_again(Ctx *cx, Parts *p, const NoteSigner *signer)
{
	Note note = list_again(cx, p, signer->key.name);

	ok(cx, note_sign(cx, &note, signer, 0));
	p->at[part_of(EVIDENCE_MANIFEST)] = bytes_of(note_text(cx->mem, &note));
}

static inline NoteSigner
signer_of(Room *r, const char *tenant)
{
	NoteSigner signer;
	Log log;

	ok(&r->cx, log_of(&r->cx, r->home, tenant, &log) &&
	    log_signer(&r->cx, r->home, &log, KEY_ED25519, &signer));
	return signer;
}

static inline NoteSigner
made_signer(Ctx *cx, const char *name, NoteKeyType type, char seed)
{
	char bytes[32];
	NoteSigner signer;
	Secret s;

	memset(bytes, seed, sizeof bytes);
	s = secret_new(cx->mem, bytes, sizeof bytes);
	ok(cx, note_signer(cx, name, type, &s, &signer));
	return signer;
}

/* As a witness does: its line under the published checkpoint. */
static inline void
cosign(Room *r, const char *tenant, const NoteSigner *witness, int64_t unix_s)
{
	Ctx *cx = &r->cx;
	Checkpoint c;
	bool found;
	Note note;
	Log log;

	ok(cx, log_of(cx, r->home, tenant, &log) && log_checkpoint(cx, &log, &note, &c, &found));
	assert_true(found);
	ok(cx, note_sign(cx, &note, witness, unix_s) && log_cosigned(cx, r->home, &log, &note));
}

/* Lines of a text; put together by join(). */
typedef struct Texts { const char **at; size_t n, cap; } Texts;

static inline Texts
split(Ctx *cx, Bytes b)
{
	Texts all = { 0 };
	char *text = arena_dupn(cx->mem, (const char *)b.at, b.n), *line;

	while ((line = strsep(&text, "\n")) && text)
		vec_push(cx->mem, &all, line);
	return all;
}

static inline Bytes
join(Ctx *cx, const Texts *all)
{
	Buf b = buf_new(cx->mem);

	for (size_t i = 0; i < all->n; i++)
		buf_fmt(&b, "%s\n", all->at[i]);
	return (Bytes){ (const unsigned char *)b.text, b.len };
}

/* --- acme ------------------------------------------------------------------------------- */

static inline int64_t
ms(const char *iso)
{
	int64_t at;

	assert_true(clock_parse(iso, &at));
	return at;
}

/* Five events of acme's, one a day, and two of the vendor's. */
static inline void
tell_five(Room *r)
{
	add_tenant(r, "acme", "ACME");
	tell_at(r, "2026-01-01", "acme", "tenant.register", "lin@ops", "order 1");
	tell_at(r, "2026-01-02", "acme", "database.create", "lin@ops", NULL);
	tell_at(r, "2026-01-02", NULL, "secret.set", "lin@ops", NULL);
	tell_at(r, "2026-01-03", "acme", "shape.create", "mia@ops", NULL);
	tell_at(r, "2026-01-04", "acme", "route.open", "lin@ops", "go");
	tell_at(r, "2026-01-05", "acme", "secret.read", "mia@ops", "support");
	tell_at(r, "2026-01-05", NULL, "secret.remove", "lin@ops", NULL);
	setenv("COPYHOLD_NOW", arena_printf(r->cx.mem, "%lld", (long long)ms("2026-02-01")), 1);
}

static inline int
acme_setup(void **state)
{
	if (room_setup(state) != 0)
		return -1;
	tell_five(*state);
	return 0;
}

static inline int
acme_teardown(void **state)
{
	unsetenv("COPYHOLD_NOW");
	return room_teardown(state);
}

static inline void
are(Findings f, const char *const *wanted, size_t n)
{
	for (size_t i = 0; i < f.n && i < n; i++)
		assert_string_equal(f.at[i], wanted[i]);
	assert_int_equal(f.n, n);
}

#define ARE(f, ...) \
	are((f), (const char *const[]){ __VA_ARGS__ }, \
	    LENGTH(((const char *const[]){ __VA_ARGS__ })))
