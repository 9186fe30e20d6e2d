#include "lib/adapters/ssh_intern.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDENTITY_MAX ((size_t)64 << 10)

/* --- private keys ------------------------------------------------------------------- */

/* The text between the lines of a PEM file, without its line ends.  All copies are wiped. */
static bool
pem_body(Arena *mem, const Secret *file, const char *label, Secret *body)
{
	const char *begin = arena_printf(mem, "-----BEGIN %s-----", label);
	const char *at = strstr(file->text, begin);
	const char *end = at ? strstr(at + strlen(begin), "-----END ") : NULL;
	size_t n = 0;

	if (!end)
		return false;
	Secret out = secret_alloc(mem, (size_t)(end - at));
	for (at += strlen(begin); at < end; at++)
		if (*at != '\n' && *at != '\r' && *at != ' ')
			out.text[n++] = *at;
	*body = (Secret){ out.text, n };
	return true;
}

/* PROTOCOL.key of OpenSSH: the public half stands in clear, also of an encrypted key. */
static bool
take_parts(Bytes all, Bytes *cipher, Bytes *public, Bytes *private)
{
	static const char magic[] = "openssh-key-v1";
	Bytes kdf, options;

	if (all.n < sizeof magic || memcmp(all.at, magic, sizeof magic) != 0)
		return false;
	all = (Bytes){ all.at + sizeof magic, all.n - sizeof magic };
	if (!ssh_take_string(&all, cipher) || !ssh_take_string(&all, &kdf) ||
	    !ssh_take_string(&all, &options) || all.n < 4)
		return false;
	all = (Bytes){ all.at + 4, all.n - 4 };
	return ssh_take_string(&all, public) && ssh_take_string(&all, private);
}

static bool
is_text(Bytes bytes, const char *text)
{
	return bytes.n == strlen(text) && memcmp(bytes.at, text, bytes.n) == 0;
}

/* Of a key that is not encrypted: two equal numbers, type, public half, seed and public half. */
static bool
take_seed(Bytes all, unsigned char seed[ED25519_SEED])
{
	Bytes type, public, both;

	if (all.n < 8 || memcmp(all.at, all.at + 4, 4) != 0)
		return false;
	all = (Bytes){ all.at + 8, all.n - 8 };
	if (!ssh_take_string(&all, &type) || !is_text(type, "ssh-ed25519") ||
	    !ssh_take_string(&all, &public) || public.n != ED25519_PUBLIC ||
	    !ssh_take_string(&all, &both) || both.n != ED25519_SEED + ED25519_PUBLIC ||
	    memcmp(both.at + ED25519_SEED, public.at, public.n) != 0)
		return false;
	memcpy(seed, both.at, ED25519_SEED);
	return true;
}

static bool
look_openssh(Arena *mem, const Secret *body, SshIdentity *id)
{
	Bytes all, cipher, public, private;

	if (!base64_bytes(mem, body->text, body->len, &all))
		return false;
	bool good = take_parts(all, &cipher, &public, &private);
	if (good) {
		id->encrypted = !is_text(cipher, "none");
		id->type = ssh_key_type(mem, public);
		id->seeded = !id->encrypted && take_seed(private, id->seed);
		id->blob = (Bytes){ (unsigned char *)arena_dupn(
					mem, (const char *)public.at, public.n),
			public.n };
	}
	secret_wipe((unsigned char *)(uintptr_t)all.at, all.n);
	return good && id->type != NULL;
}

static bool
look(Arena *mem, const Secret *file, SshIdentity *id)
{
	static const struct {
		const char *label, *type;
	} old[] = {
		{ "RSA PRIVATE KEY", "ssh-rsa" },
		{ "EC PRIVATE KEY", NULL },
		{ "PRIVATE KEY", NULL },
		{ "ENCRYPTED PRIVATE KEY", NULL },
	};
	Secret body;

	if (pem_body(mem, file, "OPENSSH PRIVATE KEY", &body))
		return look_openssh(mem, &body, id);
	for (size_t i = 0; i < sizeof old / sizeof *old; i++)
		if (pem_body(mem, file, old[i].label, &body)) {
			id->encrypted = strncmp(old[i].label, "ENCRYPTED", 9) == 0 ||
			    strncmp(body.text, "Proc-Type:", 10) == 0;
			id->type = old[i].type;
			return true;
		}
	return false;
}

/* As ssh does it: a key of ours that others may read is no secret. */
static bool
read_identity(Ctx *cx, const char *path, Secret *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	bool good = false;

	if (fd < 0)
		return fail_errno(cx, errno, "Name the file of the private key as identity.",
		    "cannot open the private key \"%s\"", path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size > IDENTITY_MAX) {
		fail(cx, FAIL_HOST_LOGIN, "Name the file of the private key as identity.",
		    "\"%s\" is no private key", path);
	} else if (st.st_uid == geteuid() && (st.st_mode & 077) != 0) {
		fail(cx, FAIL_PERMISSION, arena_printf(cx->mem, "chmod 600 %s", path),
		    "the private key \"%s\" may be read by others", path);
	} else {
		*out = secret_alloc(cx->mem, (size_t)st.st_size);
		ssize_t n = read(fd, out->text, out->len);
		good = n == (ssize_t)out->len ||
		    fail_errno(cx, EIO, NULL, "cannot read the private key \"%s\"", path);
	}
	close(fd);
	return good;
}

static void
wipe(void *ptr)
{
	SshIdentity *id = ptr;

	secret_wipe(id->seed, sizeof id->seed);
}

bool
ssh_identity(Ctx *cx, const SshTarget *to, SshIdentity **out)
{
	SshIdentity *id = arena_alloc(cx->mem, sizeof *id);

	arena_on_free(cx->mem, wipe, id);
	if (!read_identity(cx, to->identity, &id->file))
		return false;
	if (!look(cx->mem, &id->file, id))
		return fail(cx, FAIL_HOST_LOGIN,
		    "Name the file of a private key that ssh-keygen made as identity.",
		    "\"%s\" is no private key", to->identity);
	if (id->encrypted && (!to->passphrase || !to->passphrase->text))
		return fail(cx, FAIL_HOST_LOGIN,
		    "Give its passphrase as a secret, or let an agent hold the key.",
		    "the private key \"%s\" is encrypted, and no passphrase is given",
		    to->identity);
	*out = id;
	return true;
}
