#include "region/gateway/words_intern.h"

#include <string.h>
#include <strings.h>

enum { SAW_UPDATE = 1, SAW_SETTINGS = 2, SAW_FOR = 4 }; /* Words.seen */

/* --- tables ---------------------------------------------------------------------------- */

static const struct {
	const char *name;
	Word word;
} functions[] = {
	{ "pg_notify", WORD_NOTIFY },
	{ "set_config", WORD_SET },
	{ "setseed", WORD_SET },
	{ "set_limit", WORD_SET },
	{ "pg_advisory_lock", WORD_ADVISORY },
	{ "pg_advisory_lock_shared", WORD_ADVISORY },
	{ "pg_try_advisory_lock", WORD_ADVISORY },
	{ "pg_try_advisory_lock_shared", WORD_ADVISORY },
	{ "pg_advisory_xact_lock", WORD_ADVISORY_XACT },
	{ "pg_advisory_xact_lock_shared", WORD_ADVISORY_XACT },
	{ "pg_try_advisory_xact_lock", WORD_ADVISORY_XACT },
	{ "pg_try_advisory_xact_lock_shared", WORD_ADVISORY_XACT },
	{ "query_to_xml", WORD_RUNS_SQL },
	{ "query_to_xmlschema", WORD_RUNS_SQL },
	{ "query_to_xml_and_xmlschema", WORD_RUNS_SQL },
	{ "ts_stat", WORD_RUNS_SQL },
	{ "ts_rewrite", WORD_RUNS_SQL },
	{ "xpath_table", WORD_RUNS_SQL },
	{ "connectby", WORD_RUNS_SQL },
	{ "crosstab", WORD_RUNS_SQL },
	{ "crosstab2", WORD_RUNS_SQL },
	{ "crosstab3", WORD_RUNS_SQL },
	{ "crosstab4", WORD_RUNS_SQL },
	{ "dblink", WORD_RUNS_SQL },
	{ "dblink_exec", WORD_RUNS_SQL },
	{ "dblink_connect", WORD_RUNS_SQL },
	{ "dblink_connect_u", WORD_RUNS_SQL },
};

static const struct {
	const char *first;
	Word word;
} statements[] = {
	{ "LISTEN", WORD_LISTEN },
	{ "NOTIFY", WORD_NOTIFY },
	{ "LOCK", WORD_LOCK },
	{ "DO", WORD_DO },
	{ "CALL", WORD_DO },
	{ "LOAD", WORD_LOAD },
	{ "COPY", WORD_COPY },
	{ "BEGIN", WORD_TRANSACTION },
	{ "START", WORD_TRANSACTION },
};

static const struct {
	Word word;
	const char *name;
} names[] = {
	{ WORD_LISTEN, "LISTEN" },
	{ WORD_NOTIFY, "NOTIFY" },
	{ WORD_LOCK, "LOCK" },
	{ WORD_SAVEPOINT, "SAVEPOINT" },
	{ WORD_SET, "session SET" },
	{ WORD_TRACKED, "SET of a tracked setting" },
	{ WORD_ROLE, "SET ROLE" },
	{ WORD_TEMP, "temporary table" },
	{ WORD_HOLD, "held cursor" },
	{ WORD_PREPARE, "PREPARE" },
	{ WORD_ADVISORY, "advisory lock" },
	{ WORD_ADVISORY_XACT, "advisory lock of a transaction" },
	{ WORD_DO, "DO or CALL" },
	{ WORD_DISCARD_ALL, "DISCARD ALL" },
	{ WORD_DEALLOCATE, "DEALLOCATE" },
	{ WORD_LOAD, "LOAD" },
	{ WORD_COPY, "COPY" },
	{ WORD_RUNS_SQL, "function that runs SQL" },
	{ WORD_DEADLINE, "SET of a deadline" },
	{ WORD_TRANSACTION, "transaction" },
	{ WORD_PREPARED_XACT, "prepared transaction" },
	{ WORD_ALTER_ROLE, "ALTER ROLE" },
	{ WORD_ENCODING, "SET of client_encoding" },
	{ WORD_BYTES, "text that is not ASCII" },
};

bool
words_tracked(const char *setting)
{
	static const char *const tracked[] = { "client_encoding", "DateStyle", "TimeZone",
		"IntervalStyle", "extra_float_digits", "standard_conforming_strings",
		"application_name" };

	for (size_t i = 0; i < sizeof tracked / sizeof *tracked; i++)
		if (strcasecmp(setting, tracked[i]) == 0)
			return true;
	return false;
}

bool
words_encoding(const char *client_encoding)
{
	/* Beginnings of all the names that PostgreSQL knows them by. */
	static const char *const others[] = { "sjis", "shiftjis", "mskanji", "win932", "windows932",
		"big5", "win950", "windows950", "gbk", "win936", "windows936", "uhc", "win949",
		"windows949", "gb18030", "johab" };
	char name[16] = "";
	size_t n = 0;

	for (const char *p = client_encoding; *p && n + 1 < sizeof name; p++)
		if ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z'))
			name[n++] = *p;
		else if (*p >= 'A' && *p <= 'Z')
			name[n++] = (char)(*p | 0x20);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strncmp(name, others[i], strlen(others[i])) == 0)
			return false;
	return true;
}

const char *
word_name(Word w)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].word == w)
			return names[i].name;
	return "statement";
}

/* --- a statement --------------------------------------------------------------------------- */

/* Each token of each query is compared with many words, and nearly always differs in the first letter. */
static inline bool
same(const char *token, const char *word)
{
	return token[0] == word[0] && strcmp(token, word) == 0;
}

bool
words_is(const Words *w, uint32_t i, const char *word)
{
	return i < WORDS_FIRST && i < w->tokens && same(w->first[i], word);
}

static bool
is_one_of(const char *name, const char *const *list)
{
	while (*list && strcasecmp(*list, name) != 0)
		list++;
	return *list != NULL;
}

/* One setting, by its name. */
static uint32_t
setting_word(const char *name, bool local)
{
	static const char *const roles[] = { "role", "session_authorization", NULL };
	static const char *const deadlines[] = { "statement_timeout", "lock_timeout",
		"transaction_timeout", "idle_in_transaction_session_timeout",
		"idle_session_timeout", NULL };
	/* PostgreSQL itself forgets them at the transaction's end. */
	static const char *const transaction[] = { "transaction_isolation", "transaction_read_only",
		"transaction_deferrable", NULL };
	uint32_t deadline = is_one_of(name, deadlines) ? WORD_DEADLINE : 0;

	if (strcmp(name, WORDS_UNKNOWN) == 0)
		deadline = WORD_DEADLINE | WORD_ENCODING;
	if (strcasecmp(name, "client_encoding") == 0)
		return WORD_ENCODING | (local ? 0 : WORD_TRACKED);
	if (local || is_one_of(name, transaction))
		return deadline;
	if (is_one_of(name, roles))
		return WORD_ROLE;
	/* no server reports this one, so where it goes cannot be followed */
	if (strcasecmp(name, "extra_float_digits") == 0)
		return WORD_SET;
	return words_tracked(name) ? WORD_TRACKED : deadline | WORD_SET;
}

/* Is the token there a name, although it is a word of the grammar: SET local.x = 1, SET session = 1? */
static bool
is_name(const Words *w, uint32_t i)
{
	return words_is(w, i + 1, ".") || words_is(w, i + 1, "=") || words_is(w, i + 1, "TO");
}

/* SET and RESET, from the token behind their name. */
static uint32_t
set_words(const Words *w, uint32_t at)
{
	bool reset = words_is(w, 0, "RESET"), local = false;

	if (reset && words_is(w, at, "ALL"))
		return WORD_SET | WORD_TRACKED | WORD_DEADLINE | WORD_ENCODING;
	if (!reset && (words_is(w, at, "LOCAL") || words_is(w, at, "SESSION")) && !is_name(w, at)) {
		local = words_is(w, at, "LOCAL");
		if (words_is(w, at + 1, "CHARACTERISTICS"))
			return WORD_SET;
		if (!words_is(w, at + 1, "AUTHORIZATION"))
			at++;
	}
	if (at >= w->tokens || at >= WORDS_FIRST)
		return 0;
	if (words_is(w, at + 1, "."))
		return local ? 0 : WORD_SET;
	if (!is_name(w, at)) {
		if (words_is(w, at, "CONSTRAINTS") || words_is(w, at, "TRANSACTION"))
			return 0;
		if (words_is(w, at, "SESSION") && words_is(w, at + 1, "AUTHORIZATION"))
			return local ? 0 : WORD_ROLE;
		if (words_is(w, at, "TIME") && words_is(w, at + 1, "ZONE"))
			return local ? 0 : WORD_TRACKED;
		if (words_is(w, at, "NAMES"))
			return WORD_ENCODING | (local ? 0 : WORD_TRACKED);
	}
	return setting_word(w->first[at] + (w->first[at][0] == '"'), local);
}

static void
deallocate(Words *w)
{
	uint32_t at = words_is(w, 1, "PREPARE") && w->tokens > 2 ? 2 : 1;

	w->found |= WORD_DEALLOCATE;
	w->name[0] = '\0';
	if (w->deallocated++ > 0 || at >= w->tokens || words_is(w, at, "ALL")) {
		w->deallocated = 2;
		return;
	}
	/* The name is the last token, and whole in w->tag. */
	memcpy(w->name, w->tag, sizeof w->name - 1);
	w->name[sizeof w->name - 1] = '\0';
}

/* The end of a transaction, unless it is ROLLBACK TO or names a prepared one. */
static void
end_transaction(Words *w)
{
	uint32_t at = words_is(w, 1, "WORK") || words_is(w, 1, "TRANSACTION") ? 2 : 1;

	if (words_is(w, 1, "PREPARED"))
		w->found |= WORD_PREPARED_XACT;
	else if (!words_is(w, 0, "ROLLBACK") || !words_is(w, at, "TO")) {
		w->found |= WORD_TRANSACTION;
		w->savepoints = 0;
	}
}

static void
savepoint(Words *w)
{
	w->found |= WORD_SAVEPOINT;
	if (++w->savepoints > w->deepest)
		w->deepest = w->savepoints;
}

static void
end_statement(Words *w)
{
	if (w->tokens == 0)
		return;
	w->statements++;
	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
		if (words_is(w, 0, statements[i].first))
			w->found |= statements[i].word;
	if (words_is(w, 0, "SET") || words_is(w, 0, "RESET"))
		w->found |= set_words(w, 1);
	else if (words_is(w, 0, "SAVEPOINT"))
		savepoint(w);
	else if (words_is(w, 0, "RELEASE"))
		w->savepoints -= w->savepoints > 0;
	else if (words_is(w, 0, "COMMIT") || words_is(w, 0, "END") || words_is(w, 0, "ABORT") ||
	    words_is(w, 0, "ROLLBACK"))
		end_transaction(w);
	else if (words_is(w, 0, "PREPARE"))
		w->found |= words_is(w, 1, "TRANSACTION") && words_is(w, 2, "'")
		    ? WORD_PREPARED_XACT
		    : WORD_PREPARE;
	else if (words_is(w, 0, "DISCARD") && words_is(w, 1, "ALL"))
		w->found |= WORD_DISCARD_ALL;
	else if (words_is(w, 0, "DEALLOCATE"))
		deallocate(w);
	else if (words_is(w, 0, "ALTER") &&
	    (words_is(w, 1, "ROLE") || words_is(w, 1, "USER") || words_is(w, 1, "GROUP")))
		w->found |= WORD_ALTER_ROLE;
	if ((w->seen & (SAW_UPDATE | SAW_SETTINGS)) == (SAW_UPDATE | SAW_SETTINGS))
		w->found |= WORD_SET; /* its rule calls set_config() */
	words_reset(w);
	w->tokens = w->seen = 0;
	w->last[0][0] = w->last[1][0] = '\0';
}

/* --- a token --------------------------------------------------------------------------------- */

/* What a function of this name does; the text has the name in lower case, or quoted as it is. */
static void
call(Words *w)
{
	char name[WORDS_KEPT];
	bool quoted = w->last[0][0] == '"';

	memcpy(name, w->last[0] + quoted, sizeof name - quoted);
	name[sizeof name - 1] = '\0';
	if (strcmp(name, WORDS_UNKNOWN) == 0)
		w->found |= WORD_RUNS_SQL;
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
		if ((name[0] | 0x20) == functions[i].name[0] &&
		    (quoted ? strcmp : strcasecmp)(name, functions[i].name) == 0)
			w->found |= functions[i].word;
}

static bool
was(const Words *w, int before, const char *word)
{
	return same(w->last[before], word);
}

/* A word where it stands. */
static void
notice(Words *w, const char *token)
{
	bool temp = same(token, "TEMP") || same(token, "TEMPORARY");

	if (temp &&
	    (was(w, 0, "CREATE") || was(w, 0, "REPLACE") || was(w, 0, "LOCAL") ||
		was(w, 0, "GLOBAL") ||
		(was(w, 0, "INTO") && !was(w, 1, "INSERT") && !was(w, 1, "MERGE"))))
		w->found |= WORD_TEMP;
	if (same(token, "PG_TEMP") || same(token, "\"pg_temp"))
		w->found |= WORD_TEMP;
	if (same(token, "PG_SETTINGS") || same(token, "\"pg_settings"))
		w->seen |= SAW_SETTINGS;
	if (same(token, "UPDATE"))
		w->seen |= SAW_UPDATE;
	if (same(token, "FOR"))
		w->seen |= SAW_FOR;
	if (same(token, "HOLD") && was(w, 0, "WITH") && words_is(w, 0, "DECLARE") &&
	    !(w->seen & SAW_FOR))
		w->found |= WORD_HOLD;
}

void
words_mean(Words *w, const char *text)
{
	if (same(text, ";")) {
		end_statement(w);
		return;
	}
	if (same(text, "("))
		call(w);
	notice(w, text);
	if (w->tokens < WORDS_FIRST)
		memcpy(w->first[w->tokens], text, strlen(text) + 1);
	memcpy(w->last[1], w->last[0], sizeof w->last[0]);
	memcpy(w->last[0], text, strlen(text) + 1);
	w->tokens++;
}

bool
words_forget_all(const Words *w)
{
	return w->found & WORD_DISCARD_ALL || w->deallocated > 1;
}
