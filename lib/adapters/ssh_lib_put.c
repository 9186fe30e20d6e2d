#include "lib/adapters/ssh_lib_intern.h"

#include <errno.h>
#include <libssh2_sftp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/vec.h"

#define WINDOW ((size_t)4 << 20) /* half of it is under way at a time, and no answer waited for */
#define LITTLE ((size_t)1 << 20)

typedef struct Upload {
	Ssh *s;
	SshLib *l;
	LIBSSH2_SFTP *sftp;
	LIBSSH2_SFTP_HANDLE *file;
	const char *from, *temp, *path;
	int fd, mode;
	int64_t deadline;
	bool there; /* the temporary file exists */
} Upload;

static const char doing[] = "putting a file";

static bool
again(Ctx *cx, Upload *u, int rc)
{
	return rc == LIBSSH2_ERROR_EAGAIN && ssh_lib_wait(cx, u->l, u->deadline, doing);
}

/* What the server refuses is no failure of the session; of the protocol it tells no more than a
 * number, so the space is asked for. */
static bool
refused(Ctx *cx, Upload *u)
{
	static const char *const texts[] = { "OK", "end of file", "No such file or directory",
		"Permission denied", "Failure" };
	unsigned long code = libssh2_sftp_last_error(u->sftp);

	return ssh_fail_put(cx, u->s, u->path,
	    code < LENGTH(texts) ? texts[code] : arena_printf(cx->mem, "SFTP error %lu", code));
}

static bool
failed(Ctx *cx, Upload *u, int rc)
{
	if (cx->fail->kind != FAIL_NONE)
		return false;
	if (rc == LIBSSH2_ERROR_SFTP_PROTOCOL)
		return refused(cx, u);
	return ssh_lib_broke(cx, u->l, doing, rc);
}

static bool
begin(Ctx *cx, Upload *u)
{
	int rc;

	do {
		u->sftp = libssh2_sftp_init(u->l->session);
		rc = u->sftp ? 0 : libssh2_session_last_errno(u->l->session);
	} while (again(cx, u, rc));
	if (u->sftp)
		return true;
	if (rc == LIBSSH2_ERROR_EAGAIN)
		return false;
	if (rc == LIBSSH2_ERROR_CHANNEL_FAILURE || rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED)
		return fail(cx, FAIL_HOST_STEP,
		    "Install openssh-sftp-server there, and let the line \"Subsystem sftp\" stand in "
		    "its sshd_config.",
		    "host %s has no SFTP", u->l->who);
	return ssh_lib_broke(cx, u->l, doing, rc);
}

static bool
open_temp(Ctx *cx, Upload *u)
{
	const unsigned long flags = LIBSSH2_FXF_WRITE | LIBSSH2_FXF_CREAT | LIBSSH2_FXF_EXCL;
	int rc;

	do {
		u->file = libssh2_sftp_open_ex(u->sftp, u->temp, (unsigned)strlen(u->temp), flags,
		    0600, LIBSSH2_SFTP_OPENFILE);
		rc = u->file ? 0 : libssh2_session_last_errno(u->l->session);
	} while (again(cx, u, rc));
	u->there = u->file != NULL;
	return u->file || failed(cx, u, rc);
}

static bool
is_full(Ctx *cx, Upload *u)
{
	LIBSSH2_SFTP_STATVFS st;
	int rc;

	do
		rc = libssh2_sftp_fstatvfs(u->file, &st);
	while (again(cx, u, rc));
	return rc == 0 && st.f_bavail * st.f_frsize < LITTLE;
}

typedef struct Window { /* of the file: what is under way or about to be */
	char *bytes;
	size_t from, to, cap;
	bool end;
} Window;

/* Full enough that libssh2 never runs dry; the rest is moved to the front seldom. */
static bool
fill(Ctx *cx, Upload *u, Window *w)
{
	while (!w->end && w->to - w->from < w->cap / 2) {
		if (w->to == w->cap) {
			memmove(w->bytes, w->bytes + w->from, w->to - w->from);
			w->to -= w->from;
			w->from = 0;
		}
		ssize_t n = read(u->fd, w->bytes + w->to, w->cap - w->to);
		if (n < 0)
			return fail_errno(cx, errno, NULL, "cannot read \"%s\"", u->from);
		w->end = n == 0;
		w->to += (size_t)n;
	}
	return true;
}

static bool
write_file(Ctx *cx, Upload *u)
{
	struct stat st;
	Window w = { .cap = WINDOW };

	if (fstat(u->fd, &st) == 0 && st.st_size < (off_t)WINDOW)
		w.cap = 2 * (size_t)st.st_size + 4096;
	w.bytes = arena_alloc(cx->mem, w.cap);
	while (fill(cx, u, &w) && w.to > w.from) {
		ssize_t put = libssh2_sftp_write(u->file, w.bytes + w.from, w.to - w.from);

		if (put > 0) {
			w.from += (size_t)put;
		} else if (put != LIBSSH2_ERROR_EAGAIN || !again(cx, u, (int)put)) {
			if (put == LIBSSH2_ERROR_SFTP_PROTOCOL && is_full(cx, u))
				return ssh_fail_put(cx, u->s, u->path, "No space left on device");
			return failed(cx, u, (int)put);
		}
	}
	return cx->fail->kind == FAIL_NONE;
}

static bool
set_mode(Ctx *cx, Upload *u)
{
	LIBSSH2_SFTP_ATTRIBUTES a = { .flags = LIBSSH2_SFTP_ATTR_PERMISSIONS,
		.permissions = (unsigned long)u->mode };
	int rc;

	do
		rc = libssh2_sftp_fstat_ex(u->file, &a, 1);
	while (again(cx, u, rc));
	return rc == 0 || failed(cx, u, rc);
}

/* fsync@openssh.com where the server has it; else the command that follows syncs. */
static bool
sync_file(Ctx *cx, Upload *u, bool *synced)
{
	int rc;

	do
		rc = libssh2_sftp_fsync(u->file);
	while (again(cx, u, rc));
	*synced = rc == 0;
	if (rc == 0)
		return true;
	if (rc != LIBSSH2_ERROR_SFTP_PROTOCOL)
		return failed(cx, u, rc);
	return libssh2_sftp_last_error(u->sftp) == LIBSSH2_FX_OP_UNSUPPORTED || failed(cx, u, rc);
}

static bool
close_file(Ctx *cx, Upload *u)
{
	int rc = 0;

	if (u->file)
		do
			rc = libssh2_sftp_close_handle(u->file);
		while (again(cx, u, rc));
	u->file = NULL;
	return rc == 0 || failed(cx, u, rc);
}

/* libssh2 frees what it holds for the file only here, and would ask the host first: with the socket
 * shut it cannot wait for an answer. */
static void
abandon(Upload *u)
{
	shutdown(u->l->wire.fd, SHUT_RDWR);
	for (int i = 0; u->file && i < 1000; i++)
		if (libssh2_sftp_close_handle(u->file) != LIBSSH2_ERROR_EAGAIN)
			u->file = NULL;
	for (int i = 0; u->sftp && i < 1000; i++)
		if (libssh2_sftp_shutdown(u->sftp) != LIBSSH2_ERROR_EAGAIN)
			u->sftp = NULL;
	u->s->dead = true;
}

static void
end_sftp(Ctx *cx, Upload *u)
{
	int rc = 0;

	if (u->sftp)
		do
			rc = libssh2_sftp_shutdown(u->sftp);
		while (again(cx, u, rc));
	if (rc == LIBSSH2_ERROR_EAGAIN)
		abandon(u);
}

/* After a failure, as far as the session still goes. */
static void
remove_temp(Upload *u)
{
	Ctx cx = ctx_new(NULL);
	int rc;

	close_file(&cx, u);
	if (u->there)
		do
			rc = libssh2_sftp_unlink_ex(u->sftp, u->temp, (unsigned)strlen(u->temp));
		while (again(&cx, u, rc));
	end_sftp(&cx, u);
	arena_free(cx.mem);
}

static bool
upload(Ctx *cx, Upload *u, bool *synced)
{
	return begin(cx, u) && open_temp(cx, u) && write_file(cx, u) && set_mode(cx, u) &&
	    sync_file(cx, u, synced) && close_file(cx, u);
}

/* SFTP as libssh2 1.10 speaks it replaces no file and syncs no folder: a command does. */
static bool
settle(Ctx *cx, Upload *u, bool synced)
{
	const char *command = ssh_settle_command(cx->mem, u->temp, u->path);
	char *said = NULL;
	int code = 0;
	Buf b = buf_new(cx->mem);

	buf_add(&b, synced ? "{ " : "{ sync -- ");
	if (!synced) {
		buf_shell(&b, u->temp);
		buf_add(&b, " && ");
	}
	buf_fmt(&b, "%s; } || { rm -f -- ", command);
	buf_shell(&b, u->temp);
	buf_add(&b, "; exit 1; }");
	if (!ssh_run_short(cx, u->s, b.text, u->deadline, &code, &said))
		return false;
	return code == 0 || ssh_fail_put(cx, u->s, u->path, said);
}

static bool
put(Ctx *cx, Upload *u)
{
	bool synced = false;

	if (!ssh_lib_enter(cx, u->l, u, u->deadline, doing))
		return false;
	bool good = upload(cx, u, &synced);
	if (good)
		end_sftp(cx, u);
	else if (cx->fail->kind == FAIL_TIMEOUT || cx->fail->kind == FAIL_HOST_UNREACHABLE)
		abandon(u);
	else
		remove_temp(u);
	ssh_lib_leave(u->l, u);
	return good && settle(cx, u, synced);
}

bool
ssh_lib_put(Ctx *cx, Ssh *s, int fd, const char *file, const char *path, int mode, int64_t deadline)
{
	Ctx own = ctx_new(cx->mem);
	Upload u = { .s = s,
		.l = s->own,
		.from = file,
		.path = path,
		.fd = fd,
		.mode = mode,
		.deadline = deadline,
		.temp = ssh_temp_beside(own.mem, path) };
	bool good = put(&own, &u);

	if (!good)
		fail_copy(cx, &own);
	arena_free(own.mem);
	return good;
}
