/*
 * A tenant's rows go to another place of the same tenant, where its tables stand
 * empty: nobody is logged in on either side, so the owner's own sessions do it.
 */
#include <string.h>

#include "deployer/load.h"

typedef struct Both { /* a session of the owner on each side */
	Pg *here, *there;
	Source *source; /* of the rows */
	Matches matches;
} Both;

/* Sessions that may stand already: each that is opened while the tenant is parked makes it wait. */
static bool
open_here(Ctx *cx, Conns *conns, const Placement *at, Pg **out)
{
	if (!conns_get_as(cx, conns, at->cluster, at->dbname, at->owner, out))
		return fail_in(
		    cx, "opening the database of \"%s\" on \"%s\"", at->tenant, at->cluster->name);
	pg_rollback(*out);
	return true;
}

static bool
open_there(Ctx *cx, Conns *conns, const Placement *at, Pg **out)
{
	return owner_session(cx, conns, at, out) || fail_in(cx, "on \"%s\"", at->cluster->name);
}

/* What the model does not know would be left behind. */
static bool
has_all(Ctx *cx, const Placement *at, const Matches *all)
{
	const char *other = all->strays.n ? all->strays.at[0] : NULL;

	if (!other && all->absent.n)
		other = all->absent.at[0];
	for (size_t i = 0; !other && i < all->objects.n; i++) {
		const Match *m = &all->objects.at[i];
		if (m->left_out.n || m->missing.n || m->clashes.n)
			other = m->object->name;
	}
	return !other ||
	    fail(cx, FAIL_DIFFERENT, "See: copyhold plan; then mend it: copyhold apply.",
		"table \"%s\" of \"%s\" on \"%s\" is not as its model says", other, at->tenant,
		at->cluster->name);
}

static bool
open_both(Ctx *cx, Conns *conns, const Placement *from, const Placement *to, const Model *m,
    int64_t deadline, Both *out)
{
	if (!open_here(cx, conns, from, &out->here) || !open_there(cx, conns, to, &out->there) ||
	    !load_in_time(cx, deadline, out->here, out->there))
		return false;
	return source_begin(cx, out->here, from->dbname, from->schema, &out->source) &&
	    load_in_time(cx, deadline, out->here, out->there) &&
	    match_source(cx, to, m, out->source, &out->matches) && has_all(cx, from, &out->matches);
}

static void
leave_both(Both *b)
{
	if (b->here)
		pg_rollback(b->here);
	if (!b->there)
		return;
	pg_rollback(b->there);
	if (pg_alive(b->there))
		owner_session_end(b->there);
}

/* The rows are removed where they come from, once they are said to be here: the disk has them. */
static bool
copy_rows(Ctx *cx, const StepEnv *env, const Placement *to, int64_t deadline, const Both *b)
{
	DataReport report = { .matches = b->matches };
	Load l = { .cx = cx,
		.at = to,
		.source = b->source,
		.pg = b->there,
		.env = *env,
		.report = &report,
		.until = deadline };

	l.env.at = to;
	l.env.cluster = to->cluster;
	for (size_t i = 0; i < report.matches.objects.n; i++)
		vec_push(cx->mem, &report.objects,
		    ((DataObject){ .match = &report.matches.objects.at[i] }));
	return pg_script(cx, b->there, "SET synchronous_commit = on") && load_copy(&l);
}

bool
copy_act(Ctx *cx, const StepEnv *env, const Placement *to, const Model *m, int64_t deadline)
{
	Both b = { 0 };
	bool good = open_both(cx, env->conns, env->at, to, m, deadline, &b) &&
	    copy_rows(cx, env, to, deadline, &b);

	leave_both(&b);
	return good || fail_in(cx, "copying the rows of \"%s\"", to->tenant);
}

static bool
unequal(Ctx *cx, const Placement *from, const Placement *to, const CompareReport *r)
{
	Buf b = buf_new(cx->mem);

	for (size_t i = 0; i < r->objects.n; i++) {
		const CompareObject *o = &r->objects.at[i];
		if (o->equal)
			continue;
		buf_fmt(&b, "%s\"%s\" has %lld rows on \"%s\" and %lld on \"%s\"",
		    b.len ? ", " : "", o->match->object->name, (long long)o->rows_there,
		    from->cluster->name, (long long)o->rows_here, to->cluster->name);
	}
	return fail(cx, FAIL_DIFFERENT,
	    "Somebody has written there: see who may, then run it again.", "not the same rows: %s",
	    b.text);
}

static bool
compare_both(Ctx *cx, const Placement *from, const Placement *to, int64_t deadline, const Both *b,
    int64_t *rows)
{
	CompareReport *r = arena_alloc(cx->mem, sizeof *r); /* matches are pointed at */

	r->matches = b->matches;
	if (!pg_script(cx, b->there, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") ||
	    !data_compare_in(cx, b->there, b->source, deadline, r))
		return false;
	if (!r->equal)
		return unequal(cx, from, to, r);
	*rows = 0;
	for (size_t i = 0; i < r->objects.n; i++)
		*rows += r->objects.at[i].rows_here;
	return true;
}

bool
copy_same(Ctx *cx, Conns *conns, const Placement *from, const Placement *to, const Model *m,
    int64_t deadline, int64_t *rows)
{
	Both b = { 0 };
	bool good = open_both(cx, conns, from, to, m, deadline, &b) &&
	    compare_both(cx, from, to, deadline, &b, rows);

	leave_both(&b);
	return good || fail_in(cx, "comparing the rows of \"%s\" with their copy", to->tenant);
}
