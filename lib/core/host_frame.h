/*
 * host_frame.h - the words between us and the helper on a host: requests as
 * lines, replies as what a verb said and a line that begins with the sentinel.
 *
 * What comes in is hostile: its length is bounded, and a line that is not
 * exactly as docs/hosts.md has it spoils the session.
 */
#pragma once

#include <stdint.h>

#include "lib/adapters/crypto.h"
#include "lib/base/buf.h"

#define HOST_OUT_MAX	65536			/* kept of what a verb says */
#define HOST_ALL_MAX	((uint64_t)256 << 20)	/* more of it ends the session */
#define HOST_LINE_MAX	4096			/* of a reply's last line */
#define HOST_WORDS_MAX	32768			/* of a request */
#define HOST_BODY_MAX	65536

typedef enum HostStatus { HOST_OK, HOST_STORED, HOST_NONE, HOST_FENCED, HOST_BUSY, HOST_UNDONE, HOST_REFUSED } HostStatus;

typedef enum HostFed { HOST_MORE, HOST_WHOLE, HOST_WRONG } HostFed;

typedef struct HostFrame {
	Arena		*mem;
	const char	*sentinel;	/* 32 hex digits */
	char		*pending;	/* not yet told apart */
	size_t		 pending_n;
	char		*out;		/* NUL-terminated once it is whole */
	size_t		 out_n;
	uint64_t	 all;		/* bytes of it, those that were not kept too */
	Sha256		*sha;
	const char	*line;		/* the last one, without sentinel and blank */
} HostFrame;

typedef struct HostEnd {	/* of a reply */
	int64_t		 seq;
	HostStatus	 status;
	int		 code;
	const char	*digest;	/* of all output where the host kept a part of it, or NULL */
	const char	*err;		/* as people may read it */
} HostEnd;

typedef struct HostHello { const char *digest, *prefix, *supervise; int64_t protocol; } HostHello;

HostFrame *host_frame_new(Arena *mem, const char *sentinel);
HostFed	 host_frame_feed(HostFrame *f, const char *bytes, size_t n);	/* not after HOST_WHOLE or HOST_WRONG */
bool	 host_frame_end(const HostFrame *f, HostEnd *out);		/* false: malformed */
bool	 host_frame_hello(const HostFrame *f, HostHello *out);
/* The words of a request, each after a blank; false if they are too long. */
bool	 host_frame_words(Buf *b, const char *const *words);
