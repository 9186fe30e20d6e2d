#include "deployer/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/adapters/git.h"
#include "lib/adapters/tar.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"

#define DEPTH_MAX 32
#define LINK_MAX  100 /* what ustar holds */

typedef struct Member { /* one file of the bundle */
	const char *path;
	bool executable;
	const char *link; /* its target, or NULL */
	const char *file; /* where it is read, or */
	const GitFile *git;
} Member;

typedef struct Packing {
	Ctx *cx;
	const Bundle *bundle;
	GitFiles commit;
	struct {
		Member *at;
		size_t n, cap;
	} members;
	Map *paths; /* path -> itself */
	int64_t bytes;
} Packing;

char *
bundle_archive(Arena *mem, const Home *home, const char *digest)
{
	return arena_printf(mem, "%s/bundles/%s.tar.gz", home->dir, digest);
}

char *
bundle_source_text(Arena *mem, const BundleSource *s)
{
	if (s->folder)
		return arena_dup(mem, s->folder);
	return arena_printf(mem, "%s at %.12s%s%s", s->git, s->commit, s->path ? ", folder " : "",
	    s->path ? s->path : "");
}

/* --- names and links --------------------------------------------------------------------- */

/* sha256sum and tar have forms of their own for names with these; nobody needs them. */
static bool
check_name(Packing *p, const char *path)
{
	bool plain = utf8_valid(path, strlen(path)) && !strchr(path, '\\');

	for (const char *c = path; *c; c++)
		plain = plain && (unsigned char)*c >= 0x20 && *c != 0x7f;
	if (plain)
		return true;
	Buf b = buf_new_max(p->cx->mem, 400);
	buf_plain(&b, path, " ");
	return fail(p->cx, FAIL_REFUSED, "Rename it.",
	    "\"%s\" in bundle \"%s\" has a backslash, a control character or no UTF-8 in its name",
	    b.text, p->bundle->name);
}

/* Leads it to something within the bundle?  Only its beginning may go up: behind a name that is itself
 * a link, ".." would count from elsewhere. */
static bool
stays_within(const char *path, const char *target)
{
	size_t depth = 0;
	bool named = false;

	for (const char *c = path; *c; c++)
		depth += *c == '/';
	if (*target == '/' || !*target || strlen(target) > LINK_MAX)
		return false;
	for (const char *at = target; *at;) {
		size_t n = strcspn(at, "/");
		bool up = n == 2 && strncmp(at, "..", 2) == 0;
		if (up && (named || depth-- == 0))
			return false;
		named = named || !up;
		at += n + (at[n] == '/');
	}
	return true;
}

/* A tree of git may name a thing twice, or put files under a file. */
static bool
check_free(Packing *p, const char *path)
{
	bool taken = map_get(p->paths, path) != NULL;

	for (const char *c = strchr(path, '/'); c && !taken; c = strchr(c + 1, '/'))
		taken = map_get(p->paths, arena_dupn(p->cx->mem, path, (size_t)(c - path))) != NULL;
	return !taken ||
	    fail(p->cx, FAIL_INPUT, "See: git fsck.", "\"%s\" stands in bundle \"%s\" in two ways",
		path, p->bundle->name);
}

static bool
add_member(Packing *p, Member m, int64_t size)
{
	if (!check_name(p, m.path) || (m.link && !check_name(p, m.link)))
		return false;
	if (m.link && !stays_within(m.path, m.link))
		return fail(p->cx, FAIL_REFUSED, "Make it relative, to a file of the bundle.",
		    "the link \"%s\" in bundle \"%s\" leads out of it", m.path, p->bundle->name);
	p->bytes += size;
	if (p->bytes > BUNDLE_BYTES_MAX)
		return fail(p->cx, FAIL_LIMIT, "Keep data out of it.",
		    "bundle \"%s\" is larger than %" PRId64 " bytes", p->bundle->name,
		    BUNDLE_BYTES_MAX);
	if (p->members.n == GIT_FILES_MAX)
		return fail(p->cx, FAIL_LIMIT, "Keep data out of it.",
		    "bundle \"%s\" has more than %d files", p->bundle->name, GIT_FILES_MAX);
	map_set(p->paths, m.path, (void *)(uintptr_t)m.path);
	vec_push(p->cx->mem, &p->members, m);
	return true;
}

/* --- from a folder ------------------------------------------------------------------------ */

static bool walk_folder(Packing *p, const char *dir, const char *prefix, int depth);

static bool
read_link(Packing *p, const char *file, const char **out)
{
	char target[LINK_MAX + 2];
	ssize_t n = readlink(file, target, sizeof target);

	if (n < 0)
		return fail_errno(p->cx, errno, NULL, "cannot read \"%s\"", file);
	if ((size_t)n == sizeof target)
		return fail(p->cx, FAIL_LIMIT, "Shorten it.",
		    "the target of the link \"%s\" is longer than %d bytes", file, LINK_MAX);
	*out = arena_dupn(p->cx->mem, target, (size_t)n);
	return true;
}

static bool
add_found(Packing *p, const char *dir, const char *prefix, const char *name, int depth)
{
	Arena *mem = p->cx->mem;
	const char *file = arena_printf(mem, "%s/%s", dir, name);
	Member m = { .path = arena_printf(mem, "%s%s", prefix, name), .file = file };
	struct stat st;

	if (lstat(file, &st) != 0)
		return fail_errno(p->cx, errno, NULL, "cannot look at \"%s\"", file);
	if (S_ISDIR(st.st_mode))
		return walk_folder(p, file, arena_printf(mem, "%s/", m.path), depth + 1);
	if (S_ISLNK(st.st_mode))
		return read_link(p, file, &m.link) && add_member(p, m, 0);
	if (!S_ISREG(st.st_mode))
		return fail(p->cx, FAIL_REFUSED, "Move it away.",
		    "\"%s\" is neither a file nor a folder nor a link", file);
	if (st.st_size > GIT_FILE_MAX)
		return fail(p->cx, FAIL_LIMIT, "Keep it out of the bundle.",
		    "\"%s\" is larger than %" PRId64 " bytes", file, (int64_t)GIT_FILE_MAX);
	m.executable = (st.st_mode & S_IXUSR) != 0;
	return add_member(p, m, st.st_size);
}

static bool
walk_folder(Packing *p, const char *dir, const char *prefix, int depth)
{
	const struct dirent *d;
	bool ok = true;
	DIR *open;

	if (depth > DEPTH_MAX)
		return fail(p->cx, FAIL_LIMIT, NULL, "folders in \"%s\" are nested deeper than %d",
		    p->bundle->source.folder, DEPTH_MAX);
	open = opendir(dir);
	if (!open)
		return fail_errno(p->cx, errno, "Does it exist, and may you read it?",
		    "cannot open the folder \"%s\"", dir);
	while (ok && (d = readdir(open)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
		    strcmp(d->d_name, ".git") != 0)
			ok = add_found(p, dir, prefix, d->d_name, depth);
	closedir(open);
	return ok;
}

/* --- from a commit -------------------------------------------------------------------------- */

static bool
git_link(Packing *p, const GitFile *f, const char **out)
{
	Bytes target;

	if (f->size > LINK_MAX)
		return fail(p->cx, FAIL_LIMIT, "Shorten it.",
		    "the target of the link \"%s\" is longer than %d bytes", f->path, LINK_MAX);
	if (!git_files_read(p->cx, &p->commit, f, p->cx->mem, &target))
		return false;
	*out = (const char *)target.at;
	return strlen(*out) == target.n ||
	    fail(p->cx, FAIL_INPUT, NULL, "the target of the link \"%s\" has a NUL in it", f->path);
}

static bool
walk_commit(Packing *p)
{
	const BundleSource *s = &p->bundle->source;

	if (!git_files_open(p->cx, s->git, s->commit, s->path, &p->commit))
		return false;
	for (size_t i = 0; i < p->commit.list.n; i++) {
		const GitFile *f = &p->commit.list.at[i];
		Member m = { .path = f->path, .executable = f->executable, .git = f };
		if (!check_free(p, m.path) || (f->link && !git_link(p, f, &m.link)) ||
		    !add_member(p, m, f->size))
			return false;
	}
	return true;
}

/* --- packing
 * ----------------------------------------------------------------------------------- */

static int
by_path(const void *a, const void *b)
{
	return strcmp(((const Member *)a)->path, ((const Member *)b)->path);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool
read_member(Packing *p, const Member *m, Ctx *own, Bytes *out)
{
	char *text;
	size_t n;

	if (m->git)
		return git_files_read(own, &p->commit, m->git, own->mem, out);
	if (!file_read(own, m->file, (size_t)GIT_FILE_MAX, &text, &n))
		return false;
	*out = (Bytes){ .at = (const unsigned char *)text, .n = n };
	return true;
}

static bool
pack_member(Packing *p, const Member *m, TarWriter *w, const char **line)
{
	Ctx own = ctx_new(p->cx->mem);
	Bytes bytes;
	bool ok;

	if (m->link) {
		*line = arena_printf(p->cx->mem, "link %s  ./%s", m->link, m->path);
		ok = !w || tar_link(&own, w, m->path, m->link);
	} else {
		ok = read_member(p, m, &own, &bytes) &&
		    (!w || tar_add(&own, w, m->path, m->executable, bytes));
		if (ok)
			*line = arena_printf(p->cx->mem, "%s %s  ./%s",
			    m->executable ? "755" : "644", sha256_hex(own.mem, bytes.at, bytes.n),
			    m->path);
	}
	if (!ok)
		fail_copy(p->cx, &own);
	arena_free(own.mem);
	return ok;
}

static const char *
digest_of(Arena *mem, const Names *lines)
{
	Sha256 *s = sha256_begin(mem);

	qsort(lines->at, lines->n, sizeof *lines->at, by_text);
	for (size_t i = 0; i < lines->n; i++) {
		sha256_add(s, lines->at[i], strlen(lines->at[i]));
		sha256_add(s, "\n", 1);
	}
	return sha256_end_hex(s);
}

static bool
pack_members(Packing *p, TarWriter *w, Artefact *out)
{
	Names lines = { 0 };

	if (p->members.n == 0)
		return fail(p->cx, FAIL_REFUSED, "Does its source name the right folder?",
		    "there is no file in bundle \"%s\"", p->bundle->name);
	qsort(p->members.at, p->members.n, sizeof *p->members.at, by_path);
	for (size_t i = 0; i < p->members.n; i++) {
		const char *line;
		if (!pack_member(p, &p->members.at[i], w, &line))
			return false;
		vec_push(p->cx->mem, &lines, line);
	}
	*out = (Artefact){
		.bundle = p->bundle->name,
		.version = p->bundle->version,
		.digest = digest_of(p->cx->mem, &lines),
		.source = bundle_source_text(p->cx->mem, &p->bundle->source),
		.bytes = p->bytes,
		.files = (int64_t)p->members.n,
		.at = clock_wall_ms(),
	};
	return true;
}

static bool
begin_archive(Ctx *cx, Home *home, TarWriter **w)
{
	const char *folder = arena_printf(cx->mem, "%s/bundles", home->dir);

	*w = NULL;
	return home->access != ACCESS_WRITES ||
	    (file_make_dirs(cx, folder, 0700) && tar_begin(cx, folder, w));
}

/* What stands under that digest is the same; written again, it is whole in any case. */
static bool
pack(Packing *p, Home *home, Artefact *out)
{
	TarWriter *w;

	if (!(p->bundle->source.folder ? walk_folder(p, p->bundle->source.folder, "", 0)
				       : walk_commit(p)) ||
	    !begin_archive(p->cx, home, &w) || !pack_members(p, w, out))
		return false;
	return !w || tar_end(p->cx, w, bundle_archive(p->cx->mem, home, out->digest));
}

static Artefact
keep(Arena *mem, const Artefact *a)
{
	Artefact out = *a;

	out.bundle = arena_dup(mem, a->bundle);
	out.version = arena_dup(mem, a->version);
	out.digest = arena_dup(mem, a->digest);
	out.source = arena_dup(mem, a->source);
	return out;
}

bool
bundle_pack(Ctx *cx, Home *home, const Bundle *bundle, Artefact *out)
{
	Ctx own = ctx_new(cx->mem);
	Packing p = { .cx = &own, .bundle = bundle, .paths = map_new(own.mem) };
	Artefact made = { 0 };
	bool ok = pack(&p, home, &made) ||
	    fail_in(&own, "packing bundle \"%s\" %s", bundle->name, bundle->version);

	if (ok)
		*out = keep(cx->mem, &made);
	else
		fail_copy(cx, &own);
	arena_free(own.mem);
	return ok;
}
