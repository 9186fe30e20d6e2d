#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/vec.h"
#include "region/gateway/worker_intern.h"

/* The same text with other parameter types is another statement. */
static const char *
key_of(Arena *mem, const WireParse *p, bool standard_strings)
{
	Buf b = buf_new(mem);

	buf_add(&b, standard_strings ? "s" : "o");
	buf_add(&b, hex_text(mem, p->rest, p->rest_n));
	buf_addc(&b, ' ');
	buf_addn(&b, p->sql, p->sql_n);
	return b.text;
}

static Statement *
statement_new(Worker *w, const WireParse *p, const char *key, bool standard_strings)
{
	Arena *mem = arena_new(w->mem);
	Statement *s = arena_alloc(mem, sizeof *s);
	Words words;

	words_text(&words, p->sql, p->sql_n, standard_strings);
	*s = (Statement){
		.id = ++w->last_statement,
		.key = arena_dup(mem, key),
		.mem = mem,
		.sql = arena_dupn(mem, p->sql, p->sql_n),
		.sql_n = p->sql_n,
		.types = (unsigned char *)arena_dupn(mem, (const char *)p->rest, p->rest_n),
		.types_n = p->rest_n,
		.found = guard_words(&words),
		.savepoints = words.deepest,
	};
	s->forgets = words_forget_all(&words);
	s->resets = words.resets;
	if (words.found == WORD_DEALLOCATE && words.statements == 1)
		memcpy(s->deallocates, words.name, sizeof s->deallocates);
	map_set(w->statements, s->key, s);
	return s;
}

Statement *
statement_get(Worker *w, const WireParse *p, bool standard_strings)
{
	Arena *mem = arena_new(w->mem);
	const char *key = key_of(mem, p, standard_strings);
	Statement *s = map_get(w->statements, key);

	if (!s)
		s = statement_new(w, p, key, standard_strings);
	s->users++;
	arena_free(mem);
	return s;
}

void
statement_drop(Worker *w, Statement *s)
{
	if (!s || --s->users > 0)
		return;
	map_remove(w->statements, s->key);
	arena_free(s->mem);
}

const char *
statement_name(const Statement *s, char out[32])
{
	snprintf(out, 32, "copyhold/%llu", (unsigned long long)s->id);
	return out;
}

/* --- what a server has -------------------------------------------------------------- */

static uint16_t
place_of(const Server *s, uint64_t id)
{
	uint16_t i = 0;

	while (i < s->nstatements && s->statements[i] != id)
		i++;
	return i;
}

/* The one used last stands first. */
static void
to_front(Server *s, uint16_t i, uint64_t id)
{
	memmove(s->statements + 1, s->statements, i * sizeof *s->statements);
	s->statements[0] = id;
}

bool
server_has(Server *s, const Statement *st)
{
	uint16_t i = place_of(s, st->id);

	if (i == s->nstatements)
		return false;
	to_front(s, i, st->id);
	return true;
}

void
server_unprepare(Server *s, uint64_t id, uint64_t about)
{
	Worker *w = s->conn.w;
	char name[32];
	size_t n = wire_put_named(w->build, sizeof w->build, 'C', 'S',
	    statement_name(&(const Statement){ .id = id }, name));

	if (replies_sent(&s->replies, 'C', REPLY_OURS, about))
		queue_add(w, &s->conn.out, w->build, n);
	else
		s->unsure = true;
}

/* The one not used for the longest time makes room. */
static void
close_oldest(Server *s)
{
	uint64_t id = s->statements[--s->nstatements];

	server_unprepare(s, id, id);
}

void
server_prepared(Server *s, const Statement *st)
{
	if (s->nstatements >= SERVER_STATEMENTS)
		close_oldest(s);
	to_front(s, s->nstatements++, st->id);
}

void
server_lost(Server *s, uint64_t id)
{
	uint16_t i = place_of(s, id);

	s->unsure = true;
	if (i == s->nstatements)
		return;
	memmove(s->statements + i, s->statements + i + 1,
	    (size_t)(s->nstatements - i - 1) * sizeof *s->statements);
	s->nstatements--;
}

void
server_still_has(Server *s, uint64_t id)
{
	if (s->nstatements < LENGTH(s->statements))
		s->statements[s->nstatements++] = id;
	else
		s->old = true; /* it would be prepared twice */
}

void
server_forget_all(Server *s, bool perhaps)
{
	s->nstatements = 0;
	s->unnamed = 0;
	s->unsure = perhaps;
}
