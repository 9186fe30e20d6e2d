#include "lib/adapters/git.h"

#include <inttypes.h>
#include <string.h>

#include <git2.h>

#include "lib/base/buf.h"
#include "lib/base/vec.h"

#define NAME_MAX_BYTES 255

/* What libgit2 holds open for one repository. */
typedef struct Open {
	git_repository *repository;
	git_odb *odb;
} Open;

static void
close_all(void *ptr)
{
	Open *o = ptr;

	git_odb_free(o->odb);
	git_repository_free(o->repository);
	git_libgit2_shutdown();
}

/* What libgit2 says is of its own making, but may quote bytes of the repository. */
static bool
cannot(Ctx *cx, FailKind kind, const char *hint, const char *what)
{
	const git_error *e = git_error_last();
	Buf b = buf_new_max(cx->mem, 400);

	if (e && e->message)
		buf_plain(&b, e->message, " ");
	fail(cx, kind, hint, "%s", what);
	return b.len ? fail_cause(cx, "%s", b.text) : false;
}

static bool
open_repository(Ctx *cx, const char *path, Open **out)
{
	Open *o = arena_alloc(cx->mem, sizeof *o);
	int found;

	git_libgit2_init();
	arena_on_free(cx->mem, close_all, o);
	found = git_repository_open_ext(&o->repository, path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
	if (found == GIT_EOWNER)
		return fail(cx, FAIL_PERMISSION, "Read a clone of your own: git clone.",
		    "the repository \"%s\" belongs to another user", path);
	if (found != 0)
		return cannot(cx, FAIL_NOT_FOUND,
		    "Name the folder of a clone, or a bare repository.",
		    arena_printf(cx->mem, "\"%s\" is no git repository that can be read", path));
	if (git_repository_odb(&o->odb, o->repository) != 0)
		return cannot(cx, FAIL_INPUT, NULL,
		    arena_printf(cx->mem, "the objects of \"%s\" cannot be read", path));
	*out = o;
	return true;
}

/* --- the tree of the commit, or of a folder in it -------------------------------------- */

static bool
no_commit(Ctx *cx, const char *repository, const char *commit)
{
	return fail(cx, FAIL_NOT_FOUND,
	    arena_printf(cx->mem, "Fetch it first: git -C %s fetch.", repository),
	    "there is no commit %s in \"%s\"", commit, repository);
}

static bool
find_folder(Ctx *cx, git_tree *root, const char *path, git_tree **out)
{
	git_tree_entry *entry = NULL;
	int wrong = git_tree_entry_bypath(&entry, root, path);

	if (wrong == 0 && git_tree_entry_type(entry) == GIT_OBJECT_TREE)
		wrong = git_tree_lookup(out, git_tree_owner(root), git_tree_entry_id(entry));
	else
		wrong = -1;
	git_tree_entry_free(entry);
	return wrong == 0 ||
	    fail(cx, FAIL_NOT_FOUND, "See: git ls-tree -d -r COMMIT.",
		"the commit has no folder \"%s\"", path);
}

static bool
find_tree(Ctx *cx, const Open *o, const char *repository, const char *id, const char *path,
    git_tree **out)
{
	git_oid oid;
	git_commit *commit = NULL;
	git_tree *root = NULL;
	bool ok;

	if (git_oid_fromstr(&oid, id) != 0 || git_commit_lookup(&commit, o->repository, &oid) != 0)
		return no_commit(cx, repository, id);
	if (git_commit_tree(&root, commit) != 0) {
		git_commit_free(commit);
		return cannot(cx, FAIL_INPUT, "See: git fsck.",
		    arena_printf(cx->mem, "commit %s in \"%s\" is damaged", id, repository));
	}
	git_commit_free(commit);
	if (!path) {
		*out = root;
		return true;
	}
	ok = find_folder(cx, root, path, out);
	git_tree_free(root);
	return ok;
}

/* --- its files ---------------------------------------------------------------------------- */

typedef struct Walk {
	Ctx *cx;
	const Open *open;
	GitFiles *out;
} Walk;

static bool
add_file(Walk *w, const char *path, const git_tree_entry *entry, git_filemode_t mode)
{
	Ctx *cx = w->cx;
	GitFile f = { .path = path,
		.executable = mode == GIT_FILEMODE_BLOB_EXECUTABLE,
		.link = mode == GIT_FILEMODE_LINK };
	git_object_t type;
	size_t size;

	if (w->out->list.n == GIT_FILES_MAX)
		return fail(cx, FAIL_LIMIT, "Name a folder of it: path.",
		    "the commit has more than %d files", GIT_FILES_MAX);
	if (git_odb_read_header(&size, &type, w->open->odb, git_tree_entry_id(entry)) != 0 ||
	    type != GIT_OBJECT_BLOB)
		return cannot(cx, FAIL_INPUT, "See: git fsck.",
		    arena_printf(cx->mem, "\"%s\" cannot be read from the repository", path));
	if (size > (size_t)GIT_FILE_MAX)
		return fail(cx, FAIL_LIMIT, "Keep it out of the bundle.",
		    "\"%s\" is larger than %" PRId64 " bytes", path, (int64_t)GIT_FILE_MAX);
	f.size = (int64_t)size;
	memcpy(f.id, git_tree_entry_id(entry)->id, GIT_OID_RAWSZ);
	vec_push(cx->mem, &w->out->list, f);
	return true;
}

static bool walk_tree(Walk *w, const git_oid *id, const char *prefix, int depth);

static bool
walk_entry(Walk *w, const git_tree_entry *entry, const char *prefix, int depth)
{
	const char *name = git_tree_entry_name(entry);
	git_filemode_t mode = git_tree_entry_filemode(entry);

	if (strlen(name) > NAME_MAX_BYTES)
		return fail(w->cx, FAIL_LIMIT, NULL,
		    "a name in folder \"%s\" is longer than %d bytes", prefix, NAME_MAX_BYTES);
	const char *path = arena_printf(w->cx->mem, "%s%s", prefix, name);

	switch (mode) {
	case GIT_FILEMODE_TREE:
		return walk_tree(
		    w, git_tree_entry_id(entry), arena_printf(w->cx->mem, "%s/", path), depth + 1);
	case GIT_FILEMODE_BLOB:
	case GIT_FILEMODE_BLOB_EXECUTABLE:
	case GIT_FILEMODE_LINK:
		return add_file(w, path, entry, mode);
	case GIT_FILEMODE_COMMIT:
		return fail(w->cx, FAIL_REFUSED,
		    "Bring its files into the repository, or leave it out.",
		    "\"%s\" is a submodule: its files are not in the commit", path);
	case GIT_FILEMODE_UNREADABLE:
		break;
	}
	return fail(
	    w->cx, FAIL_INPUT, "See: git fsck.", "\"%s\" has a mode that git does not know", path);
}

static bool
walk_tree(Walk *w, const git_oid *id, const char *prefix, int depth)
{
	git_tree *tree;
	bool ok = true;

	if (depth > GIT_DEPTH_MAX)
		return fail(w->cx, FAIL_LIMIT, NULL,
		    "folders in the commit are nested deeper than %d", GIT_DEPTH_MAX);
	if (git_tree_lookup(&tree, w->open->repository, id) != 0)
		return cannot(w->cx, FAIL_INPUT, "See: git fsck.",
		    arena_printf(
			w->cx->mem, "folder \"%s\" cannot be read from the repository", prefix));
	for (size_t i = 0; ok && i < git_tree_entrycount(tree); i++)
		ok = walk_entry(w, git_tree_entry_byindex(tree, i), prefix, depth);
	git_tree_free(tree);
	return ok;
}

bool
git_files_open(Ctx *cx, const char *repository, const char *commit, const char *path, GitFiles *out)
{
	GitFiles files = { 0 };
	git_tree *tree;
	Open *o = NULL;

	if (!open_repository(cx, repository, &o) ||
	    !find_tree(cx, o, repository, commit, path, &tree))
		return false;
	git_oid id = *git_tree_id(tree);
	git_tree_free(tree);
	files.repository = o;
	Walk w = { .cx = cx, .open = o, .out = &files };
	if (!walk_tree(&w, &id, "", 0))
		return fail_in(cx, "reading commit %s of \"%s\"", commit, repository);
	*out = files;
	return true;
}

bool
git_files_read(Ctx *cx, const GitFiles *files, const GitFile *file, Arena *mem, Bytes *out)
{
	const Open *o = files->repository;
	git_odb_object *object;
	git_oid id;

	memcpy(id.id, file->id, GIT_OID_RAWSZ);
	if (git_odb_read(&object, o->odb, &id) != 0)
		return cannot(cx, FAIL_INPUT, "See: git fsck.",
		    arena_printf(cx->mem, "\"%s\" cannot be read from the repository", file->path));
	bool same = git_odb_object_size(object) == (size_t)file->size;
	if (same)
		*out = (Bytes){ .at = (const unsigned char *)arena_dupn(
				    mem, git_odb_object_data(object), (size_t)file->size),
			.n = (size_t)file->size };
	git_odb_object_free(object);
	return same ||
	    fail(cx, FAIL_INPUT, "See: git fsck.", "\"%s\" is not as long as its header says",
		file->path);
}
