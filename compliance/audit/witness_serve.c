#include "compliance/audit/witness.h"

#include <string.h>

#include "lib/base/log.h"

#define BODY_MAX ((size_t)256 << 10) /* 63 hashes and a checkpoint with room for long signatures */

static bool
answer_key(Ctx *cx, const Witness *w, ServeAnswer *out)
{
	*out = (ServeAnswer){ 200, "text/plain; charset=utf-8",
		arena_printf(cx->mem, "%s\n", note_key_text(cx->mem, witness_key(w))) };
	return true;
}

static bool
answer_checkpoint(Ctx *cx, Witness *w, const ServeRequest *request, ServeAnswer *out)
{
	WitnessAnswer a;

	if (!witness_add(cx, w, (const char *)request->body.at, request->body.n, &a))
		return false;
	log_note("add-checkpoint: %d", a.status);
	*out = (ServeAnswer){ a.status, a.type, a.body };
	return true;
}

static bool
answer(Ctx *cx, void *ptr, const ServeRequest *request, ServeAnswer *out)
{
	bool post = strcmp(request->method, "POST") == 0;

	if (strcmp(request->path, "/add-checkpoint") == 0 && post)
		return answer_checkpoint(cx, ptr, request, out);
	if (strcmp(request->path, "/") == 0 && !post)
		return answer_key(cx, ptr, out);
	*out = strcmp(request->path, "/add-checkpoint") == 0 || strcmp(request->path, "/") == 0
	    ? (ServeAnswer){ 405, "text/plain", "POST /add-checkpoint, GET /\n" }
	    : (ServeAnswer){ 404, "text/plain", "POST /add-checkpoint, GET /\n" };
	return true;
}

bool
witness_serve(Ctx *cx, Witness *w, const ServeSpec *spec)
{
	ServeSpec own = *spec;
	Serve *s;

	own.body_max = BODY_MAX;
	own.answer = answer;
	own.ptr = w;
	if (!serve_open(cx, &own, &s))
		return false;
	log_say("%s cosigns on %s", witness_key(w)->name, serve_url(s));
	return serve_run(cx, s) && (log_say("stopped"), true);
}
