#include "lib/base/fail.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"

static const struct {
	const char *name;
	ExitCode exit_code;
	const char *doc;
} kinds[] = {
	[FAIL_NONE] = { "none", EXIT_DONE, "nothing failed" },
#define FAIL_KIND(id, name, exit_code, doc) [FAIL_##id] = { name, exit_code, doc },
#include "lib/base/fail.def"
#undef FAIL_KIND
};

Ctx
ctx_new(Arena *parent)
{
	Arena *mem = arena_new(parent);

	return (Ctx){ .mem = mem, .fail = arena_alloc(mem, sizeof(Fail)) };
}

/* The first failure stays: what fails while cleaning up must not hide its cause. */
static bool
fill(Ctx *cx, FailKind kind, const char *hint, const char *fmt, va_list ap)
{
	if (cx->fail->kind != FAIL_NONE)
		return false;
	*cx->fail = (Fail){ .kind = kind };
	cx->fail->what = arena_vprintf(cx->mem, fmt, ap);
	cx->fail->hint = arena_dup(cx->mem, hint);
	return true;
}

bool
fail(Ctx *cx, FailKind kind, const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(cx, kind, hint, fmt, ap);
	va_end(ap);
	return false;
}

bool
fail_in(Ctx *cx, const char *fmt, ...)
{
	Fail *f = cx->fail;
	va_list ap;

	if (f->nframes == FAIL_FRAMES)
		return false;
	va_start(ap, fmt);
	f->frames[f->nframes++] = arena_vprintf(cx->mem, fmt, ap);
	va_end(ap);
	return false;
}

bool
fail_at(Ctx *cx, Place place)
{
	if (!cx->fail->place.file && place.file) {
		cx->fail->place = place;
		cx->fail->place.file = arena_dup(cx->mem, place.file);
	}
	return false;
}

bool
fail_cause(Ctx *cx, const char *fmt, ...)
{
	va_list ap;

	if (cx->fail->cause)
		return false;
	va_start(ap, fmt);
	cx->fail->cause = arena_vprintf(cx->mem, fmt, ap);
	va_end(ap);
	return false;
}

static FailKind
kind_of_errno(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return FAIL_DISK_FULL;
	case EACCES:
	case EPERM:
	case EROFS:
		return FAIL_PERMISSION;
	default:
		return FAIL_SYSTEM;
	}
}

bool
fail_errno(Ctx *cx, int err, const char *hint, const char *fmt, ...)
{
	const char *name = strerrorname_np(err);
	va_list ap;

	va_start(ap, fmt);
	bool first = fill(cx, kind_of_errno(err), hint, fmt, ap);
	va_end(ap);
	if (!first)
		return false;
	return name ? fail_cause(cx, "%s", name) : fail_cause(cx, "errno %d", err);
}

void
fail_clear(Ctx *cx)
{
	*cx->fail = (Fail){ .kind = FAIL_NONE };
}

void
fail_copy(Ctx *to, const Ctx *from)
{
	const Fail *f = from->fail;
	Fail *out = to->fail;

	*out = (Fail){ .kind = f->kind, .nframes = f->nframes, .place = f->place };
	out->what = arena_dup(to->mem, f->what);
	out->hint = arena_dup(to->mem, f->hint);
	out->cause = arena_dup(to->mem, f->cause);
	out->place.file = arena_dup(to->mem, f->place.file);
	for (int i = 0; i < f->nframes; i++)
		out->frames[i] = arena_dup(to->mem, f->frames[i]);
}

const char *
fail_name(FailKind kind)
{
	return kinds[kind].name;
}

ExitCode
fail_exit(FailKind kind)
{
	return kinds[kind].exit_code;
}

const char *
fail_doc(FailKind kind)
{
	return kinds[kind].doc;
}

static void
add_line(Buf *b, const char *label, const char *text)
{
	buf_add(b, label);
	buf_plain(b, text, "\n         ");
	buf_addc(b, '\n');
}

char *
fail_text(Arena *mem, const Fail *f)
{
	Buf b = buf_new(mem);

	buf_fmt(&b, "error[%s]: ", fail_name(f->kind));
	buf_plain(&b, f->what ? f->what : "", "\n  ");
	if (f->cause) {
		buf_add(&b, " (");
		buf_plain(&b, f->cause, " ");
		buf_addc(&b, ')');
	}
	buf_addc(&b, '\n');
	for (int i = 0; i < f->nframes; i++)
		add_line(&b, "  while: ", f->frames[i]);
	if (f->place.file && f->place.line > 0)
		add_line(&b, "  where: ",
		    arena_printf(mem, "%s:%d:%d", f->place.file, f->place.line, f->place.column));
	else if (f->place.file)
		add_line(&b, "  where: ", f->place.file);
	if (f->hint)
		add_line(&b, "  hint:  ", f->hint);
	return b.text;
}

static void
add_member(Buf *b, const char *key, const char *value)
{
	buf_fmt(b, ",\"%s\":", key);
	if (value)
		buf_json(b, value);
	else
		buf_add(b, "null");
}

static void
add_number(Buf *b, const char *key, int value)
{
	if (value > 0)
		buf_fmt(b, ",\"%s\":%d", key, value);
	else
		buf_fmt(b, ",\"%s\":null", key);
}

char *
fail_json(Arena *mem, const Fail *f)
{
	Buf b = buf_new(mem);

	buf_fmt(&b, "{\"error\":{\"kind\":\"%s\"", fail_name(f->kind));
	add_member(&b, "what", f->what);
	add_member(&b, "cause", f->cause);
	buf_add(&b, ",\"while\":[");
	for (int i = 0; i < f->nframes; i++) {
		buf_add(&b, i ? "," : "");
		buf_json(&b, f->frames[i]);
	}
	buf_addc(&b, ']');
	add_member(&b, "file", f->place.file);
	add_number(&b, "line", f->place.line);
	add_number(&b, "column", f->place.column);
	add_member(&b, "hint", f->hint);
	buf_fmt(&b, ",\"exit\":%d}}", (int)fail_exit(f->kind));
	return b.text;
}
