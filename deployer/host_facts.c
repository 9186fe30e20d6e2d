/* What a machine says of itself, in a shell of our user there. */
#include <string.h>

#include "deployer/host.h"
#include "deployer/look.sh.h"
#include "lib/base/clock.h"

#define FACT_MAX 200

/* The first word of *at as a number; 0 if it is none.  *at moves behind it. */
static int64_t
take_number(const char **at)
{
	int64_t n = 0;

	*at += strspn(*at, " ");
	for (size_t digits = 0; **at >= '0' && **at <= '9' && digits < 18; digits++, (*at)++)
		n = n * 10 + (**at - '0');
	return n;
}

static const char *
plain_fact(Arena *mem, const char *text)
{
	Buf b = buf_new_max(mem, FACT_MAX * 4);

	buf_plain(&b, arena_dupn(mem, text, strnlen(text, FACT_MAX)), " ");
	return b.text;
}

static void
disk_fact(HostFacts *f, const char *value)
{
	f->disk_kib = take_number(&value);
	f->disk_used_kib = take_number(&value);
	f->disk_free_kib = take_number(&value);
}

static void
fact(Arena *mem, HostFacts *f, const char *name, const char *value)
{
	const struct {
		const char *name, **to;
	} texts[] = { { "os", &f->os }, { "arch", &f->arch }, { "kernel", &f->kernel },
		{ "hostname", &f->hostname }, { "pid1", &f->pid1 }, { "mount", &f->mount },
		{ "open", &f->open }, { "boot", &f->boot } };
	const struct {
		const char *name;
		int64_t *to;
	} numbers[] = { { "memory", &f->memory_kib }, { "clock", &f->clock_ms },
		{ "uid", &f->uid } };

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (strcmp(texts[i].name, name) == 0 && *value)
			*texts[i].to = plain_fact(mem, value);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (strcmp(numbers[i].name, name) == 0) {
			const char *at = value;
			*numbers[i].to = take_number(&at);
		}
	if (strcmp(name, "apt") == 0)
		f->apt = *value == '/';
	if (strcmp(name, "disk") == 0)
		disk_fact(f, value);
	if (strcmp(name, "there") == 0)
		f->there = *value != '\0';
	if (strcmp(name, "duty") == 0)
		vec_push(mem, &f->duties, plain_fact(mem, value));
	if (strncmp(name, "package:", 8) == 0 && strcmp(value, "installed") != 0)
		vec_push(mem, &f->missing, plain_fact(mem, name + 8));
}

static void
read_facts(Arena *mem, const char *text, HostFacts *f)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		char *line = arena_dupn(mem, text, n), *blank = strchr(line, ' ');

		if (blank) {
			*blank = '\0';
			fact(mem, f, line, blank + 1);
		}
		text += n + (text[n] == '\n');
	}
}

bool
host_facts(Ctx *cx, Conns *conns, const Host *h, const Names *packages, HostFacts *out)
{
	Buf b = buf_new(cx->mem);
	HostFacts facts = { 0 };
	HostReply r;

	buf_add(&b, "go() {\nset -- ");
	buf_shell(&b, h->root);
	buf_fmt(&b, " %s %s", host_mark(cx->mem, h), h->sudo ? "yes" : "no");
	for (size_t i = 0; i < packages->n; i++) {
		buf_addc(&b, ' ');
		buf_shell(&b, packages->at[i]);
	}
	buf_addc(&b, '\n');
	buf_add(&b, LOOK_TEXT);
	buf_add(&b, "}\ngo </dev/null\nexit $?\n");
	int64_t mono = clock_mono_ms(), wall = clock_wall_ms();

	if (!host_script(cx, conns, h, false, b.text, &r))
		return false;
	facts.asked_ms = clock_mono_ms() - mono;
	read_facts(cx->mem, r.out, &facts);
	if (r.code != 0 || !facts.clock_ms || !facts.arch)
		return fail(cx, FAIL_HOST_STEP,
		    "Its login shell must be a POSIX shell that says nothing of its own.",
		    "host \"%s\" did not tell what it is", h->name);
	facts.skew_ms = facts.clock_ms - (wall + facts.asked_ms / 2);
	*out = facts;
	return true;
}
