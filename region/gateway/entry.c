#include "region/gateway/entry.h"

#include <string.h>
#include <strings.h>

#include "region/gateway/words.h"

#define BAD_LOGIN   "28000" /* invalid_authorization_specification */
#define BAD_SETTING "22023" /* invalid_parameter_value */

static bool
refuse(Entry *e, const char *sqlstate, const char *why)
{
	e->sqlstate = sqlstate;
	e->why = why;
	return false;
}

/* --- names ---------------------------------------------------------------------- */

/* One more source names the tenant. */
static bool
name_tenant(Entry *e, const char *name, size_t n)
{
	if (n == 0 || n >= ENTRY_NAME)
		return refuse(e, BAD_LOGIN, "the tenant's name is empty or too long");
	if (e->tenant[0] == '\0') {
		memcpy(e->tenant, name, n);
		e->tenant[n] = '\0';
		return true;
	}
	if (strlen(e->tenant) != n || memcmp(e->tenant, name, n) != 0)
		return refuse(e, BAD_LOGIN,
		    "options, user, server name and database do not name the same tenant");
	return true;
}

/* A user's suffix after the last dot is the tenant. */
static bool
read_user(Entry *e, const char *user)
{
	const char *dot = user ? strrchr(user, '.') : NULL;

	if (!user || user[0] == '\0')
		return refuse(e, BAD_LOGIN, "no user name was sent");
	size_t n = dot ? (size_t)(dot - user) : strlen(user);
	if (n == 0 || n >= ENTRY_NAME)
		return refuse(e, BAD_LOGIN, "the user name is empty or too long");
	memcpy(e->user, user, n);
	e->user[n] = '\0';
	return !dot || name_tenant(e, dot + 1, strlen(dot + 1));
}

/* The label before one of our domains; names of hosts have no case. */
static bool
read_sni(Entry *e, const char *sni, const char *const *suffixes)
{
	const char *dot = sni ? strchr(sni, '.') : NULL;
	char label[ENTRY_NAME];

	for (size_t i = 0; dot && suffixes && suffixes[i]; i++) {
		if (strcasecmp(dot + 1, suffixes[i]) != 0)
			continue;
		size_t n = (size_t)(dot - sni);
		for (size_t at = 0; at < n && n < sizeof label; at++)
			label[at] = (char)(sni[at] >= 'A' && sni[at] <= 'Z' ? sni[at] | 0x20
									    : sni[at]);
		return name_tenant(e, label, n);
	}
	return true;
}

/* Alone it names the tenant; beside others it may also be what libpq sends when none is given. */
static bool
read_database(Entry *e, const char *database, const char *user)
{
	if (!database || database[0] == '\0')
		database = user;
	if (e->tenant[0] != '\0' && (strcmp(database, user) == 0 || strcmp(database, e->user) == 0))
		return true;
	return name_tenant(e, database, strlen(database));
}

/* --- settings ------------------------------------------------------------------------ */

static const char *
keep(Entry *e, size_t *used, const char *text)
{
	size_t n = strlen(text) + 1;

	if (n > sizeof e->text - *used)
		return NULL;
	char *kept = memcpy(e->text + *used, text, n);
	*used += n;
	return kept;
}

/* As PostgreSQL names settings; what the first packet has beside settings is none. */
static bool
is_setting(const char *name)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$";
	static const char *const taken[] = { "user", "database", "options", "replication" };

	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
		if (strcasecmp(name, taken[i]) == 0)
			return false;
	return strchr("0123456789.$", name[0]) == NULL && name[strspn(name, letters)] == '\0' &&
	    strlen(name) < ENTRY_NAME && strncasecmp(name, "_pq_.", 5) != 0;
}

/* The last of two for one setting counts, as with PostgreSQL. */
static bool
add_setting(Entry *e, size_t *used, const char *name, const char *value)
{
	bool tracked = words_tracked(name);
	StartupParam *at = tracked ? e->tracked : e->other;
	size_t *n = tracked ? &e->ntracked : &e->nothers, i = 0;
	size_t max = tracked ? sizeof e->tracked / sizeof *at : sizeof e->other / sizeof *at;

	if (!is_setting(name))
		return refuse(e, BAD_SETTING, "a parameter's name is not that of a setting");
	while (i < *n && strcasecmp(at[i].name, name) != 0)
		i++;
	if (i == max)
		return refuse(e, BAD_SETTING, "too many settings");
	StartupParam p = { keep(e, used, name), keep(e, used, value) };
	if (!p.name || !p.value)
		return refuse(e, BAD_SETTING, "the settings are too long");
	at[i] = p;
	*n += i == *n;
	return true;
}

/* --- options ---------------------------------------------------------------------------- */

static bool
is_blank(char c)
{
	return c != '\0' && strchr(" \t\n\v\f\r", c) != NULL;
}

/* The next word, without the backslashes that quote blanks and each other; false: none is left. */
static bool
next_word(const char **at, char *out)
{
	const char *p = *at;

	while (is_blank(*p))
		p++;
	if (*p == '\0')
		return false;
	for (; *p && !is_blank(*p); p++) {
		if (*p == '\\' && *++p == '\0')
			break;
		*out++ = *p;
	}
	*out = '\0';
	*at = p;
	return true;
}

/* name=value; a hyphen in the name is an underscore. */
static bool
read_assignment(Entry *e, size_t *used, char *word)
{
	char *equals = strchr(word, '=');

	if (!equals || equals == word)
		return refuse(e, BAD_SETTING, "a setting in the options has no name or no value");
	*equals = '\0';
	for (char *p = word; *p; p++)
		if (*p == '-')
			*p = '_';
	if (strcasecmp(word, "tenant") == 0)
		return name_tenant(e, equals + 1, strlen(equals + 1));
	return add_setting(e, used, word, equals + 1);
}

static bool
read_options(Entry *e, size_t *used, const char *options)
{
	char word[sizeof e->text];

	if (!options)
		return true;
	if (strlen(options) >= sizeof word)
		return refuse(e, BAD_SETTING, "the options are too long");
	while (next_word(&options, word)) {
		char *assignment = word + 2;
		if (strcmp(word, "-c") == 0) {
			if (!next_word(&options, word))
				return refuse(e, BAD_SETTING, "-c at the end of the options");
			assignment = word;
		} else if (strncmp(word, "-c", 2) != 0 && strncmp(word, "--", 2) != 0)
			return refuse(e, BAD_SETTING,
			    "the options may have only -c name=value and --name=value");
		if (!read_assignment(e, used, assignment))
			return false;
	}
	return true;
}

/* --- the rest of the first packet ------------------------------------------------------------ */

/* PostgreSQL's spellings of false; a database's name or anything else asks for it. */
static bool
asks_replication(const char *value)
{
	static const char *const no[] = { "false", "no", "off", "0" };
	size_t n = strlen(value);

	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		if (n > (i == 2) && n <= strlen(no[i]) && strncasecmp(value, no[i], n) == 0)
			return false;
	return true;
}

static bool
read_params(Entry *e, size_t *used, const Startup *s)
{
	static const char *const taken[] = { "user", "database", "options" };

	for (size_t i = 0; i < s->params; i++) {
		const char *name = s->param[i].name;
		bool setting = true;
		for (size_t k = 0; k < sizeof taken / sizeof *taken; k++)
			setting = setting && strcmp(name, taken[k]) != 0;
		if (strcmp(name, "replication") == 0)
			e->replication = asks_replication(s->param[i].value);
		else if (setting && !add_setting(e, used, name, s->param[i].value))
			return false;
	}
	return true;
}

bool
entry_read(const Startup *s, const char *sni, const char *const *suffixes, Entry *out)
{
	const char *user = startup_param(s, "user");
	size_t used = 0;

	memset(out, 0, sizeof *out);
	return read_options(out, &used, startup_param(s, "options")) && read_user(out, user) &&
	    read_sni(out, sni, suffixes) &&
	    read_database(out, startup_param(s, "database"), user) && read_params(out, &used, s);
}
