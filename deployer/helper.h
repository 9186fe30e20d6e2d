/*
 * helper.h - the text of our helper on hosts (deployer/helper/), as one file.
 */
#pragma once

#include "lib/base/buf.h"

const char	*helper_text(void);
const char	*helper_digest(void);	/* SHA-256 of it, hex; known after helper_register() */
void		 helper_register(void);	/* by main: host.h knows the digest then */
