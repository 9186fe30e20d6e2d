#include "lib/adapters/ssh_intern.h"

#include <string.h>

#define PACKET_MAX 35000 /* RFC 4253 6.1 */
#define KEXINIT    20
#define LISTS      10

/* --- RFC 4251 5 --------------------------------------------------------------------- */

static uint32_t
take_u32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool
ssh_take_string(Bytes *from, Bytes *out)
{
	if (from->n < 4)
		return false;
	size_t n = take_u32(from->at);
	if (n > from->n - 4)
		return false;
	*out = (Bytes){ from->at + 4, n };
	*from = (Bytes){ from->at + 4 + n, from->n - 4 - n };
	return true;
}

/* Names of algorithms and keys: printable ASCII (RFC 4251 6). */
static bool
is_plain(Bytes text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.at[i] <= ' ' || text.at[i] > '~')
			return false;
	return true;
}

/* --- KEXINIT ------------------------------------------------------------------------ */

static bool
find_line(Bytes head, Bytes *banner, Bytes *rest)
{
	while (head.n > 0) {
		const unsigned char *end = memchr(head.at, '\n', head.n);
		if (!end)
			return false;
		Bytes line = { head.at, (size_t)(end - head.at) };
		head = (Bytes){ end + 1, head.n - line.n - 1 };
		if (line.n < 4 || memcmp(line.at, "SSH-", 4) != 0)
			continue;
		if (line.n > 0 && line.at[line.n - 1] == '\r')
			line.n--;
		*banner = line;
		*rest = head;
		return true;
	}
	return false;
}

static bool
take_payload(Bytes rest, Bytes *payload)
{
	if (rest.n < 5)
		return false;
	size_t n = take_u32(rest.at), padding = rest.at[4];
	if (n > PACKET_MAX || n > rest.n - 4 || n < padding + 2)
		return false;
	*payload = (Bytes){ rest.at + 5, n - padding - 1 };
	return true;
}

static bool
take_lists(Bytes payload, Bytes lists[LISTS])
{
	if (payload.n < 17 || payload.at[0] != KEXINIT)
		return false;
	payload = (Bytes){ payload.at + 17, payload.n - 17 };
	for (int i = 0; i < LISTS; i++)
		if (!ssh_take_string(&payload, &lists[i]) || !is_plain(lists[i]))
			return false;
	return true;
}

/* A banner is text for people: what would steer a terminal becomes '?'. */
static char *
plain_text(Arena *mem, Bytes from)
{
	char *text = arena_dupn(mem, (const char *)from.at, from.n);

	for (size_t i = 0; i < from.n; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
	return text;
}

bool
ssh_hello(Arena *mem, const unsigned char *head, size_t n, SshOffer *out)
{
	Bytes banner, rest, payload, lists[LISTS];
	const char **texts[LISTS] = { &out->kex, &out->host_keys, &out->ciphers, NULL, &out->macs };

	if (!find_line((Bytes){ head, n }, &banner, &rest) || !take_payload(rest, &payload) ||
	    !take_lists(payload, lists))
		return false;
	out->banner = plain_text(mem, banner);
	for (int i = 0; i < LISTS; i++)
		if (texts[i])
			*texts[i] = arena_dupn(mem, (const char *)lists[i].at, lists[i].n);
	return true;
}

bool
ssh_list_has(const char *list, const char *name, size_t n)
{
	while (*list) {
		size_t len = strcspn(list, ",");

		if (len == n && memcmp(list, name, n) == 0)
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}

bool
ssh_lists_meet(const char *a, const char *b)
{
	while (*a) {
		size_t len = strcspn(a, ",");

		if (len > 0 && ssh_list_has(b, a, len))
			return true;
		a += len + (a[len] == ',');
	}
	return false;
}

/* --- keys --------------------------------------------------------------------------- */

char *
ssh_key_type(Arena *mem, Bytes blob)
{
	Bytes type;

	if (!ssh_take_string(&blob, &type) || type.n == 0 || type.n > 64 || !is_plain(type))
		return NULL;
	return arena_dupn(mem, (const char *)type.at, type.n);
}

bool
ssh_key_blob(Arena *mem, const char *host_key, Bytes *blob)
{
	size_t n = strcspn(host_key, " ");
	const char *code = host_key + n + strspn(host_key + n, " ");
	Bytes bytes;

	if (n == 0 || !base64_bytes(mem, code, strcspn(code, " \t\r\n"), &bytes))
		return false;
	const char *type = ssh_key_type(mem, bytes);
	if (!type || strlen(type) != n || memcmp(type, host_key, n) != 0)
		return false;
	*blob = bytes;
	return true;
}

char *
ssh_key_text(Arena *mem, Bytes blob)
{
	const char *type = ssh_key_type(mem, blob);

	return type ? arena_printf(mem, "%s %s", type, base64_text(mem, blob.at, blob.n)) : NULL;
}

/* As ssh-keygen has it: base64 without its padding. */
char *
ssh_blob_fingerprint(Arena *mem, Bytes blob)
{
	unsigned char sum[32];

	sha256(blob.at, blob.n, sum);
	char *text = base64_text(mem, sum, sizeof sum);
	text[strcspn(text, "=")] = '\0';
	return arena_printf(mem, "SHA256:%s", text);
}

char *
ssh_fingerprint(Arena *mem, const char *host_key)
{
	Bytes blob;

	return ssh_key_blob(mem, host_key, &blob) ? ssh_blob_fingerprint(mem, blob) : NULL;
}
