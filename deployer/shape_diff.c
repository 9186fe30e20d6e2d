#include "deployer/shape.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- small things --------------------------------------------------------------- */

const char *
shape_diff_key(Arena *mem, int kind, const char *object, const char *name)
{
	return arena_printf(mem, "%d\n%s\n%s", kind, object, name);
}

const Item *
shape_diff_observed(const Diff *d, int kind, const char *object, const char *name)
{
	return map_get(d->observed_at, shape_diff_key(d->cx->mem, kind, object, name));
}

const Rule *
shape_diff_recorded(const Diff *d, const Item *item)
{
	return map_get(
	    d->recorded_at, shape_diff_key(d->cx->mem, item->kind, item->object, item->name));
}

const Rule *
shape_diff_desired(const Diff *d, int kind, const char *object, const char *name)
{
	return map_get(d->desired_at, shape_diff_key(d->cx->mem, kind, object, name));
}

void
shape_change(Diff *d, Change change)
{
	vec_push(d->cx->mem, d->changes, change);
}

void
shape_op(Diff *d, Ops *ops, Op op)
{
	vec_push(d->cx->mem, ops, op);
}

static Op
rule_op(OpCode code, const Rule *r, bool drift)
{
	return (Op){ .code = code,
		.kind = (ItemKind)r->item.kind,
		.object = r->item.object,
		.name = r->item.name,
		.def = code == OP_REMOVE ? NULL : r->item.def,
		.from = code == OP_REMOVE ? r->item.def : NULL,
		.drift = drift };
}

static bool
same_rule(const Rule *a, const Rule *b)
{
	return a != NULL && b != NULL && strcmp(a->item.def, b->item.def) == 0;
}

/* One line of the plan for a rule that is missing or differs. */
static void
rule_change(Diff *d, const Rule *want, const Rule *had, const Item *is, bool drift)
{
	Arena *mem = d->cx->mem;
	const char *from = is == NULL ? NULL
	    : drift || had == NULL    ? shape_type_text(mem, is->def)
				      : shape_rule_text(mem, had);

	shape_change(d,
	    (Change){ .op = is == NULL ? CHANGE_ADD : CHANGE_ALTER,
		.what = shape_rule_what(want),
		.name = shape_rule_label(mem, want),
		.from = from,
		.to = want->item.kind == ITEM_TABLE ? want->item.def : shape_rule_text(mem, want),
		.drift = drift });
}

/* --- names before the run, for the guards -------------------------------------------- */

static const Object *
object_before(const Diff *d, const char *name)
{
	for (size_t i = 0; i < d->renamed->objects.n; i++)
		if (strcmp(d->renamed->objects.at[i].name, name) == 0)
			return &d->work->recorded->objects.at[i];
	return NULL;
}

static const char *
table_before(const Diff *d, const char *name)
{
	const Object *before = object_before(d, name);

	return before == NULL ? name : before->name;
}

static const char *
column_before(const Diff *d, const char *object, const char *name)
{
	const Object *now = model_object(d->renamed, object), *before = object_before(d, object);

	for (size_t i = 0; now != NULL && i < now->fields.n; i++)
		if (strcmp(now->fields.at[i].name, name) == 0)
			return before->fields.at[i].name;
	return name;
}

bool
shape_diff_made(const Diff *d, const char *object, const char *name)
{
	return map_get(d->made, shape_diff_key(d->cx->mem, ITEM_COLUMN, object, name)) != NULL;
}

/* A rule that is built under a name which an undo will take back goes with it, even if it mended drift. */
static bool
stays(const Diff *d, const Rule *r, bool drift)
{
	if (strcmp(table_before(d, r->item.object), r->item.object) != 0)
		return false;
	return drift &&
	    (r->field == NULL ||
		strcmp(column_before(d, r->item.object, r->field->name), r->field->name) == 0);
}

static Guard
guard_of(const Diff *d, GuardSort sort, const char *object, const Names *columns)
{
	Guard g = { .sort = sort, .object = table_before(d, object) };

	for (size_t i = 0; i < columns->n; i++)
		vec_push(d->cx->mem, &g.columns, column_before(d, object, columns->at[i]));
	return g;
}

static Guard
field_guard(const Diff *d, GuardSort sort, const Rule *r)
{
	return guard_of(
	    d, sort, r->item.object, &(Names){ (const char *[]){ r->field->name }, 1, 1 });
}

static void
guard_push(Diff *d, Guard g)
{
	vec_push(d->cx->mem, &d->guards, g);
}

/* --- objects and fields ----------------------------------------------------------------- */

/* Everything of an object that is not there, but its references, which wait until all objects are. */
static void
create_object(Diff *d, const Rule *table)
{
	bool drift = same_rule(shape_diff_recorded(d, &table->item), table);
	Items *items = drift ? &d->recreate : &d->create;

	for (size_t i = 0; i < d->desired.n; i++) {
		const Rule *r = &d->desired.at[i];

		if (r->object == table->object && r->sort != RULE_REFERENCE)
			vec_push(d->cx->mem, items, r->item);
		else if (r->object == table->object)
			shape_op(d, &d->late, rule_op(OP_ADD, r, drift));
	}
	map_set(d->made, shape_diff_key(d->cx->mem, ITEM_TABLE, table->item.object, ""),
	    &d->desired.at[table - d->desired.at]);
	shape_change(d,
	    (Change){ .op = CHANGE_ADD,
		.what = "object",
		.name = table->item.object,
		.to = shape_rule_text(d->cx->mem, table),
		.drift = drift });
}

static void
mark_made(Diff *d, const Rule *column)
{
	map_set(d->made,
	    shape_diff_key(d->cx->mem, ITEM_COLUMN, column->item.object, column->item.name),
	    &d->desired.at[column - d->desired.at]);
}

/* `ops`: where the rule begins to hold for what is written. */
static void
plan_required(Diff *d, const Rule *r, bool drift, bool guarded, Ops *ops)
{
	Arena *mem = d->cx->mem;
	const char *name = rule_name(mem, r->item.object, r->field->name, "notnull");
	Buf check = buf_new(mem);

	buf_add(&check, "CHECK ((");
	buf_ident(&check, r->field->name);
	buf_add(&check, " IS NOT NULL))");
	Op add = { .code = OP_ADD,
		.kind = ITEM_CONSTRAINT,
		.object = r->item.object,
		.name = name,
		.def = arena_printf(mem, "%s NOT VALID", check.text) };
	Op remove = { .code = OP_REMOVE,
		.kind = ITEM_CONSTRAINT,
		.object = r->item.object,
		.name = name,
		.from = check.text,
		.drift = drift };
	Online validate = { .object = r->item.object, .name = name, .drift = drift };

	if (guarded)
		validate.guard = field_guard(d, GUARD_NULLS, r);
	shape_op(d, ops, add);
	vec_push(mem, &d->checks, validate);
	shape_op(d, &d->finish, rule_op(OP_ADD, r, drift));
	shape_op(d, &d->finish, remove);
}

static bool
is_random(const Field *f)
{
	return f->fallback != NULL && strcmp(f->fallback, "random") == 0 && f->type == TYPE_UUID;
}

/* A random default would rewrite the table under a lock: its rows are filled afterwards instead, and
 * required when they are, lest a change of an unfilled one be refused. */
static void
add_random_column(Diff *d, const Rule *r, const Rule *fallback, const Rule *required, bool drift)
{
	Online fill = { .object = r->item.object, .name = r->item.name, .drift = drift };
	Op add = rule_op(OP_ADD, r, drift);

	add.filled = true;
	shape_op(d, &d->adds, add);
	shape_op(d, &d->adds, rule_op(OP_ADD, fallback, drift));
	vec_push(d->cx->mem, &d->fills, fill);
	if (required != NULL)
		plan_required(d, required, drift, false, &d->require);
}

static void
add_column(Diff *d, const Rule *r)
{
	const Rule *fallback = shape_diff_desired(d, ITEM_DEFAULT, r->item.object, r->item.name);
	const Rule *required = shape_diff_desired(d, ITEM_NOT_NULL, r->item.object, r->item.name);
	bool drift = same_rule(shape_diff_recorded(d, &r->item), r);
	Op add = rule_op(OP_ADD, r, drift);

	mark_made(d, r);
	rule_change(d, r, NULL, NULL, drift);
	if (is_random(r->field)) {
		add_random_column(d, r, fallback, required, drift);
		return;
	}
	add.fallback = fallback == NULL ? NULL : fallback->item.def;
	add.required = required != NULL;
	if (required != NULL && (fallback == NULL || r->field == &shape_tenant_field))
		guard_push(
		    d, field_guard(d, GUARD_ROWS, r)); /* nobody knows whose rows they were */
	shape_op(d, &d->adds, add);
}

typedef enum Cast { CAST_NO, CAST_QUICK, CAST_REWRITE } Cast;

static bool
digits_of(const char *def, int64_t *precision, int64_t *scale)
{
	char *end;

	if (!shape_starts(def, "numeric("))
		return false;
	*precision = strtoll(def + strlen("numeric("), &end, 10);
	*scale = *end == ',' ? strtoll(end + 1, NULL, 10) : 0;
	return true;
}

/* What the server does without losing a value; *whole: digits before the point that values may now have. */
static Cast
cast_of(const char *from, const char *to, int64_t *whole)
{
	int64_t p = 0, s = 0, q = 0, t = 0;

	*whole = 0;
	if (shape_starts(to, "\"text\""))
		return shape_starts(from, "\"text\"") || shape_starts(from, "character varying")
		    ? CAST_QUICK
		    : CAST_NO;
	if (strcmp(to, "bigint") == 0)
		return strcmp(from, "integer") == 0 || strcmp(from, "smallint") == 0 ? CAST_REWRITE
										     : CAST_NO;
	if (!shape_starts(to, "numeric"))
		return CAST_NO;
	bool limited = digits_of(to, &q, &t);
	if (strcmp(from, "bigint") == 0 || strcmp(from, "integer") == 0 ||
	    strcmp(from, "smallint") == 0) {
		*whole = limited && q - t < 19 ? q - t : 0;
		return CAST_REWRITE;
	}
	if (!digits_of(from, &p, &s))
		return CAST_NO;
	if (!limited || (s == t && q >= p))
		return CAST_QUICK;
	return t > s && q - t >= p - s ? CAST_REWRITE : CAST_NO;
}

static const char *
without_suffix(Arena *mem, const char *def)
{
	const char *at = strstr(def, ", generated");

	if (at == NULL)
		at = strstr(def, ", identity");
	return at == NULL ? def : arena_dupn(mem, def, (size_t)(at - def));
}

static void
retype(Diff *d, const Rule *r, const Item *is, Op op, bool drift)
{
	const Rule *fallback = shape_diff_desired(d, ITEM_DEFAULT, r->item.object, r->item.name);
	const Item *stands = shape_diff_observed(d, ITEM_DEFAULT, r->item.object, r->item.name);
	const Rule *had = stands == NULL ? NULL : shape_diff_recorded(d, stands);

	mark_made(d, r);
	if (stands != NULL)
		shape_op(d, &d->adds,
		    (Op){ .code = OP_REMOVE,
			.kind = ITEM_DEFAULT,
			.object = is->object,
			.name = is->name,
			.from = had == NULL ? NULL : had->item.def,
			.drift = drift || had == NULL });
	shape_op(d, &d->adds, op);
	if (fallback != NULL)
		shape_op(d, &d->adds, rule_op(OP_ADD, fallback, drift));
}

static bool
refuse_type(Diff *d, const Rule *r, const Rule *had)
{
	return fail(d->cx, FAIL_REFUSED, "Add a new field and move the values.",
	    "\"%s\" cannot change from %s to %s", shape_rule_label(d->cx->mem, r),
	    shape_rule_text(d->cx->mem, had), shape_rule_text(d->cx->mem, r));
}

static bool
alter_column(Diff *d, const Rule *r, const Item *is)
{
	const Rule *had = shape_diff_recorded(d, &r->item);
	bool drift = same_rule(had, r);
	int64_t whole = 0;
	const char *from = without_suffix(d->cx->mem, is->def);
	Cast cast = strcmp(from, r->item.def) == 0 ? CAST_QUICK
						   : cast_of(from, r->item.def, &whole);
	bool shared = object_key_has(r->object, r->field->name) || r->field->type == TYPE_REFERENCE;

	if (!drift && had != NULL && (cast == CAST_NO || shared))
		return refuse_type(d, r, had);
	rule_change(d, r, had, is, drift);
	if (cast == CAST_NO) {
		Change *change = &d->changes->at[d->changes->n - 1];

		change->kept = true;
		change->note = "its type was changed by hand: change it back by hand";
		return true;
	}
	Op op = rule_op(OP_ALTER, r, drift);
	op.from = drift || had == NULL ? is->def : had->item.def;
	if (shape_is_wide(d->at))
		guard_push(d, field_guard(d, GUARD_VIEWS, r));
	if (cast == CAST_REWRITE)
		guard_push(d, field_guard(d, GUARD_REWRITE, r));
	if (cast == CAST_REWRITE && whole > 0) {
		Guard g = field_guard(d, GUARD_RANGE, r);

		g.limit = whole;
		guard_push(d, g);
	}
	retype(d, r, is, op, drift);
	return true;
}

/* --- rules ------------------------------------------------------------------------------- */

/* A key that is there, but another one. */
static bool
plan_key(Diff *d, const Rule *r, const Item *is, bool drift)
{
	const Rule *had = shape_diff_recorded(d, &r->item);
	Online build = { .object = r->item.object,
		.name = r->item.name,
		.primary = true,
		.columns = r->object->key,
		.drift = stays(d, r, drift) };

	if (had != NULL && !drift)
		return fail(d->cx, FAIL_REFUSED,
		    "Add a new object with that key and move the rows.",
		    "the key of \"%s\" cannot change", r->item.object);
	if (is != NULL)
		shape_op(d, &d->early, rule_op(OP_REMOVE, r, true));
	build.guard = guard_of(d, GUARD_UNIQUE, r->item.object, &r->object->key);
	d->rekeyed = true;
	vec_push(d->cx->mem, &d->uniques, build);
	return true;
}

static void
plan_build(Diff *d, const Rule *r, const Item *is, bool drift)
{
	bool unique = r->item.kind == ITEM_CONSTRAINT;
	bool made = shape_diff_made(d, r->item.object, r->field->name);
	Online build = {
		.object = r->item.object, .name = r->item.name, .drift = stays(d, r, drift)
	};

	vec_push(d->cx->mem, &build.columns, r->field->name);
	if (is != NULL)
		shape_op(d, &d->early,
		    (Op){ .code = OP_REMOVE,
			.kind = (ItemKind)r->item.kind,
			.object = r->item.object,
			.name = r->item.name,
			.drift = true });
	if (unique && !made) {
		build.guard = field_guard(d, GUARD_UNIQUE, r);
	} else if (unique && r->field->fallback != NULL && !is_random(r->field)) {
		build.guard = field_guard(d, GUARD_ROWS, r);
		build.guard.limit = 1;
	}
	if (unique)
		vec_push(d->cx->mem, &d->uniques, build);
	else
		vec_push(d->cx->mem, &d->indexes, build);
}

static Guard
check_guard(const Diff *d, const Rule *r)
{
	Field resolved;
	Guard g = { 0 };

	if (shape_diff_made(d, r->item.object, r->field->name) ||
	    !field_resolved(d->work->desired, r->field, &resolved))
		return g;
	if (r->sort == RULE_LIMIT) {
		g = field_guard(d, GUARD_LIMIT, r);
		g.limit = resolved.max_length;
		return g;
	}
	const Object *target = model_object(d->work->desired, r->field->to);
	g = field_guard(d, GUARD_ORPHANS, r);
	g.to = table_before(d, target->name);
	g.to_column = column_before(d, target->name, target->key.at[0]);
	return g;
}

/* A limit or a reference: added beside the old one, proven, and put in its place. */
static void
plan_check(Diff *d, const Rule *r, const Item *is, bool drift)
{
	Arena *mem = d->cx->mem;
	const char *unproven = arena_printf(mem, "%s NOT VALID", r->item.def);
	bool reference = r->sort == RULE_REFERENCE;
	Online validate = { .object = r->item.object,
		.name = r->item.name,
		.guard = check_guard(d, r),
		.drift = drift };
	Op add = rule_op(OP_ADD, r, stays(d, r, drift));

	add.def = unproven;
	if (is != NULL && strcmp(is->def, unproven) != 0) {
		const Rule *had = shape_diff_recorded(d, &r->item);
		Op remove = rule_op(OP_REMOVE, had == NULL || drift ? r : had, drift);

		add.drift = false; /* an undo finds it, or finds it settled */
		add.name = validate.name = rule_name(
		    mem, r->item.object, r->field->name, reference ? "fkeynew" : "maxnew");
		shape_op(d, &d->finish, remove);
		shape_op(d, &d->finish,
		    (Op){ .code = OP_RENAME,
			.kind = ITEM_CONSTRAINT,
			.object = r->item.object,
			.name = add.name,
			.def = r->item.name,
			.drift = drift });
	}
	if (is == NULL || strcmp(is->def, unproven) != 0)
		shape_op(d, reference ? &d->late : &d->adds, add);
	if (reference && shape_is_wide(d->at))
		validate.exact = shape_guard_reference(mem, r->item.object, r->item.def);
	if (reference)
		vec_push(mem, &d->references, validate);
	else
		vec_push(mem, &d->checks, validate);
}

static bool
plan_constraint(Diff *d, const Rule *r, const Item *is, bool drift)
{
	if (r->sort == RULE_KEY) {
		if (!plan_key(d, r, is, drift))
			return false;
	} else if (r->sort == RULE_UNIQUE)
		plan_build(d, r, is, drift);
	else
		plan_check(d, r, is, drift);
	rule_change(d, r, shape_diff_recorded(d, &r->item), is, drift);
	return true;
}

/* Who took a table or schema from its owner has all rights on it: we have none left to mend it with. */
static bool
is_taken(const Diff *d, const Rule *r, const Item *is)
{
	const char *owner = arena_printf(d->cx->mem, "owner %s", d->at->owner);
	size_t n = strlen(owner);

	return is != NULL && (r->item.kind == ITEM_TABLE || r->item.kind == ITEM_SCHEMA) &&
	    (strncmp(is->def, owner, n) != 0 || (is->def[n] != '\0' && is->def[n] != ','));
}

static void
plan_taken(Diff *d, const Rule *r, const Item *is)
{
	Change c = { .op = CHANGE_ALTER,
		.what = shape_rule_what(r),
		.name = shape_rule_label(d->cx->mem, r),
		.from = is->def,
		.to = r->item.def,
		.drift = true,
		.kept = true,
		.note = "only its present owner or a superuser can give it back" };

	shape_change(d, c);
}

static void
plan_plain(Diff *d, const Rule *r, const Item *is, bool drift)
{
	const Rule *had = shape_diff_recorded(d, &r->item);
	Op op = rule_op(is == NULL ? OP_ADD : OP_ALTER, r, drift);

	if (is != NULL)
		op.from = drift || had == NULL ? is->def : had->item.def;
	if (r->item.kind == ITEM_NOT_NULL)
		plan_required(d, r, drift, true, &d->adds);
	else
		shape_op(d, r->item.kind == ITEM_SCHEMA ? &d->early : &d->adds, op);
	if (r->item.kind != ITEM_STATISTICS || !shape_diff_made(d, r->item.object, r->item.name))
		rule_change(d, r, had, is, drift);
}

static bool
plan_rule(Diff *d, const Rule *r)
{
	const Item *is = shape_diff_observed(d, r->item.kind, r->item.object, r->item.name);
	bool drift = same_rule(shape_diff_recorded(d, &r->item), r);
	bool column = r->item.kind == ITEM_DEFAULT || r->item.kind == ITEM_NOT_NULL;

	if (is != NULL && strcmp(is->def, r->item.def) == 0)
		return true;
	if (r->object != NULL &&
	    map_get(d->made, shape_diff_key(d->cx->mem, ITEM_TABLE, r->item.object, "")) != NULL)
		return true;
	if (r->item.kind == ITEM_TABLE && is == NULL) {
		create_object(d, r);
		return true;
	}
	if (r->item.kind == ITEM_COLUMN && is != NULL)
		return alter_column(d, r, is);
	if (r->item.kind == ITEM_COLUMN) {
		add_column(d, r);
		return true;
	}
	if (column && shape_diff_made(d, r->item.object, r->item.name) &&
	    (r->item.kind == ITEM_DEFAULT ||
		shape_diff_observed(d, ITEM_COLUMN, r->item.object, r->item.name) == NULL))
		return true;
	if (r->item.kind == ITEM_CONSTRAINT)
		return plan_constraint(d, r, is, drift);
	if (r->item.kind == ITEM_INDEX) {
		plan_build(d, r, is, drift);
		rule_change(d, r, shape_diff_recorded(d, &r->item), is, drift);
		return true;
	}
	if (is_taken(d, r, is))
		plan_taken(d, r, is);
	else
		plan_plain(d, r, is, drift);
	return true;
}

/* --- the whole ------------------------------------------------------------------------------- */

static Map *
rules_map(Arena *mem, const Rules *rules)
{
	Map *m = map_new(mem);

	for (size_t i = 0; i < rules->n; i++)
		map_set(m,
		    shape_diff_key(mem, rules->at[i].item.kind, rules->at[i].item.object,
			rules->at[i].item.name),
		    &rules->at[i]);
	return m;
}

static bool
prepare(Diff *d)
{
	Arena *mem = d->cx->mem;

	d->made = map_new(mem);
	d->gone = map_new(mem);
	d->observed_at = map_new(mem);
	if (!shape_diff_renames(d) || !shape_rules(d->cx, d->at, d->work->desired, &d->desired))
		return false;
	d->recorded_at = rules_map(mem, &d->recorded);
	d->desired_at = rules_map(mem, &d->desired);
	for (size_t i = 0; i < d->observed.n; i++)
		map_set(d->observed_at,
		    shape_diff_key(mem, d->observed.at[i].kind, d->observed.at[i].object,
			d->observed.at[i].name),
		    &d->observed.at[i]);
	return true;
}

bool
shape_diff(Diff *d)
{
	if (!prepare(d))
		return false;
	for (size_t i = 0; i < d->desired.n; i++)
		if (!plan_rule(d, &d->desired.at[i]))
			return false;
	shape_diff_gone(d);
	return true;
}
