/* Which of the settings that follow a client a text sets back to what its session began with. */
#include <string.h>
#include <strings.h>

#include "region/gateway/words_intern.h"

/* In the order of VAR_*, which the bits of Words.resets have. */
static const char *const settings[] = { "client_encoding", "DateStyle", "TimeZone", "IntervalStyle",
	"standard_conforming_strings", "application_name", "extra_float_digits" };

#define SETTINGS (sizeof settings / sizeof *settings)
#define ALL      ((1u << SETTINGS) - 1)

/* The one that is named from this token on; *value: the token behind its name. */
static uint32_t
named(const Words *w, uint32_t at, uint32_t *value)
{
	const char *name = "";

	*value = at + 1;
	if (words_is(w, at, "TIME") && words_is(w, at + 1, "ZONE")) {
		*value = at + 2;
		name = "TimeZone";
	} else if (words_is(w, at, "NAMES")) {
		name = "client_encoding";
	} else if (at < w->tokens && at < WORDS_FIRST) {
		name = w->first[at] + (w->first[at][0] == '"');
	}
	for (uint32_t i = 0; i < SETTINGS; i++)
		if (strcasecmp(name, settings[i]) == 0)
			return 1u << i;
	return 0;
}

static bool
is_assigned(const Words *w, uint32_t at)
{
	return words_is(w, at, "=") || words_is(w, at, "TO");
}

/* The last word on each counts. */
static void
set(Words *w)
{
	uint32_t at = 1, value, one;

	if ((words_is(w, 1, "LOCAL") || words_is(w, 1, "SESSION")) && !is_assigned(w, 2)) {
		if (words_is(w, 1, "LOCAL"))
			return; /* gone with the transaction */
		at++;
	}
	one = named(w, at, &value);
	value += is_assigned(w, value);
	w->resets &= ~one;
	if (words_is(w, value, "DEFAULT") ||
	    (words_is(w, value, "LOCAL") && words_is(w, at, "TIME")))
		w->resets |= one;
}

void
words_reset(Words *w)
{
	uint32_t value;

	if (words_is(w, 0, "SET"))
		set(w);
	else if (words_is(w, 1, "ALL") && (words_is(w, 0, "RESET") || words_is(w, 0, "DISCARD")))
		w->resets = ALL;
	else if (words_is(w, 0, "RESET"))
		w->resets |= named(w, 1, &value);
}
