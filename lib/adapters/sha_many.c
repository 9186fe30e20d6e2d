#include "lib/adapters/sha_many.h"

/* By OpenSSL, whose own code knows the instructions for SHA-256. */
static void
one_by_one(const Bytes *texts, size_t n, ShaSum *out)
{
	for (size_t i = 0; i < n; i++)
		sha256(texts[i].at, texts[i].n, out[i]);
}

#if defined(__x86_64__) && __has_include(<intel-ipsec-mb.h>)

#include <dlfcn.h>
#include <intel-ipsec-mb.h>

#define LIBRARY "libIPSec_MB.so.1"
#define LONGEST 65534 /* the library refuses longer texts */

typedef IMB_MGR *MakeFn(uint64_t);
typedef void ManagerFn(IMB_MGR *);
typedef unsigned VersionFn(void);
typedef int ErrorFn(IMB_MGR *);

/*
 * Of a library that is loaded only when it is used: its twelve megabytes would be mapped at each
 * start of the program, and a machine without it is served as well.
 */
static void *
imb_function(const char *name)
{
	static void *library;

	if (library == NULL)
		library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	return library == NULL ? NULL : dlsym(library, name);
}

/* NULL: not there, another version (its structs may differ), or not for this processor. */
static IMB_MGR *
imb_make(size_t lanes)
{
	VersionFn *version = (VersionFn *)imb_function("imb_get_version");
	MakeFn *make = (MakeFn *)imb_function("alloc_mb_mgr");
	ManagerFn *init = (ManagerFn *)imb_function(
	    lanes == 16 ? "init_mb_mgr_avx512" : "init_mb_mgr_avx2");
	ErrorFn *error = (ErrorFn *)imb_function("imb_get_errno");
	ManagerFn *release = (ManagerFn *)imb_function("free_mb_mgr");

	if (!version || !make || !init || !error || !release || version() != IMB_VERSION_NUM)
		return NULL;
	IMB_MGR *manager = make(0);
	if (manager == NULL)
		return NULL;
	init(manager);
	if (error(manager) == 0)
		return manager;
	release(manager);
	return NULL;
}

/* Each is made once, and kept as long as the program runs. */
static IMB_MGR *
imb_manager(size_t lanes)
{
	static IMB_MGR *managers[2];
	static bool tried[2];
	size_t i = lanes == 16;

	if (!tried[i])
		managers[i] = imb_make(lanes);
	tried[i] = true;
	return managers[i];
}

static void
imb_fill(IMB_JOB *job, Bytes text, unsigned char *sum)
{
	job->cipher_mode = IMB_CIPHER_NULL;
	job->cipher_direction = IMB_DIR_ENCRYPT;
	job->chain_order = IMB_ORDER_HASH_CIPHER;
	job->hash_alg = IMB_AUTH_SHA_256;
	job->src = text.at != NULL ? text.at : (const unsigned char *)"";
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_hash_in_bytes = text.n;
	job->auth_tag_output = sum;
	job->auth_tag_output_len_in_bytes = sizeof(ShaSum);
}

/* The manager has nothing under way when it begins, nor when it ends. */
static bool
imb_many(IMB_MGR *manager, const Bytes *texts, size_t n, ShaSum *out)
{
	size_t done = 0;
	IMB_JOB *job;

	for (size_t i = 0; i < n; i++) {
		if (texts[i].n > LONGEST) {
			one_by_one(&texts[i], 1, &out[i]);
			done++;
			continue;
		}
		imb_fill(IMB_GET_NEXT_JOB(manager), texts[i], out[i]);
		for (job = IMB_SUBMIT_JOB(manager); job; job = IMB_GET_COMPLETED_JOB(manager))
			done += job->status == IMB_STATUS_COMPLETED;
	}
	while ((job = IMB_FLUSH_JOB(manager)) != NULL)
		done += job->status == IMB_STATUS_COMPLETED;
	return done == n;
}

/* As the processor and the system under it have it; with instructions for SHA-256, one by one. */
static size_t
lanes_here(void)
{
	__builtin_cpu_init();
	size_t lanes = __builtin_cpu_supports("avx512f") ? 16 : 8;

	if (!__builtin_cpu_supports("avx2"))
		return 1;
	IMB_MGR *manager = imb_manager(lanes);
	return manager == NULL || (manager->features & IMB_FEATURE_SHANI) ? 1 : lanes;
}

size_t
sha_many_lanes(void)
{
	static size_t lanes;

	if (lanes == 0)
		lanes = lanes_here();
	return lanes;
}

void
sha_many_with(size_t lanes, const Bytes *texts, size_t n, ShaSum *out)
{
	IMB_MGR *manager = imb_manager(lanes);

	if (manager == NULL || !imb_many(manager, texts, n, out))
		one_by_one(texts, n, out);
}

#else

size_t
sha_many_lanes(void)
{
	return 1;
}

void
sha_many_with(size_t lanes, const Bytes *texts, size_t n, ShaSum *out)
{
	(void)lanes;
	one_by_one(texts, n, out);
}

#endif

void
sha_many(const Bytes *texts, size_t n, ShaSum *out)
{
	if (sha_many_lanes() == 1 || n == 1)
		one_by_one(texts, n, out);
	else
		sha_many_with(sha_many_lanes(), texts, n, out);
}
